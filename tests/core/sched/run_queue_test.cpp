#include <boost/test/unit_test.hpp>

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "gort/sched/run_queue.h"

using namespace gort;

BOOST_AUTO_TEST_SUITE(run_queue)

BOOST_AUTO_TEST_CASE(local_queue_is_first_in_first_out_after_runnext) {
  LocalQueue queue;
  std::deque<G> gs(5);
  for (int i = 0; i < 4; i++) BOOST_TEST(queue.push_tail(&gs[size_t(i)]));
  BOOST_TEST(queue.put_next(&gs[4]) == nullptr);
  BOOST_TEST(queue.pop() == &gs[4]);
  for (int i = 0; i < 4; i++) BOOST_TEST(queue.pop() == &gs[size_t(i)]);
  BOOST_TEST(queue.pop() == nullptr);
  BOOST_TEST(queue.empty());
}

BOOST_AUTO_TEST_CASE(local_queue_holds_256_and_gives_its_older_half_on_overflow) {
  LocalQueue queue;
  std::deque<G> gs(257);
  for (size_t i = 0; i < 256; i++) BOOST_TEST(queue.push_tail(&gs[i]));
  BOOST_TEST(!queue.push_tail(&gs[256]));
  G* half[128];
  BOOST_TEST(queue.take_half(half) == 128u);
  BOOST_TEST(half[0] == &gs[0]);
  BOOST_TEST(half[127] == &gs[127]);
  BOOST_TEST(queue.pop() == &gs[128]);
}

BOOST_AUTO_TEST_CASE(a_thief_takes_half_rounded_up_and_runnext_only_when_told) {
  LocalQueue queue;
  std::deque<G> gs(6);
  for (size_t i = 0; i < 5; i++) queue.push_tail(&gs[i]);
  queue.put_next(&gs[5]);
  G* batch[128];
  BOOST_TEST(queue.steal(batch, true) == 3u);
  BOOST_TEST(batch[0] == &gs[0]);
  BOOST_TEST(queue.steal(batch, false) == 1u);
  BOOST_TEST(queue.steal(batch, false) == 1u);
  BOOST_TEST(queue.steal(batch, false) == 0u);
  BOOST_TEST(queue.steal(batch, true) == 1u);
  BOOST_TEST(batch[0] == &gs[5]);
}

BOOST_AUTO_TEST_CASE(no_goroutine_is_lost_or_doubled_between_owner_and_thieves) {
  constexpr size_t kCount = 200'000;
  LocalQueue queue;
  std::deque<G> gs(kCount);
  std::vector<std::atomic<int>> seen(kCount);
  for (size_t i = 0; i < kCount; i++) gs[i].id.store(i);
  std::atomic<bool> done{false};
  auto note = [&](G* g) { seen[g->id.load()].fetch_add(1); };
  std::vector<std::thread> thieves;
  for (int t = 0; t < 2; t++) {
    thieves.emplace_back([&] {
      G* batch[128];
      while (!done.load()) {
        uint32_t n = queue.steal(batch, true);
        for (uint32_t i = 0; i < n; i++) note(batch[i]);
      }
    });
  }
  for (size_t i = 0; i < kCount;) {
    if (i % 3 == 0) {
      if (G* kicked = queue.put_next(&gs[i])) {
        while (!queue.push_tail(kicked)) {
          if (G* g = queue.pop()) note(g);
        }
      }
      i++;
    } else if (queue.push_tail(&gs[i])) {
      i++;
    }
    if (i % 5 == 0) {
      if (G* g = queue.pop()) note(g);
    }
  }
  while (!queue.empty()) {
    if (G* g = queue.pop()) note(g);
  }
  done.store(true);
  for (auto& thief : thieves) thief.join();
  while (G* g = queue.pop()) note(g);
  size_t wrong = 0;
  for (auto& n : seen) wrong += n.load() != 1;
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
