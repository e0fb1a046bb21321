#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <random>
#include <vector>

#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sync/wait_group.h"
#include "gort/time/timer_heap.h"

using namespace gort;

BOOST_AUTO_TEST_SUITE(timer_heap)

BOOST_AUTO_TEST_CASE(timers_fire_in_order_of_time_and_removed_ones_do_not) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    std::mt19937_64 random(seed);
    TimerHeap heap;
    std::deque<Timer> timers(300);
    std::vector<uint64_t> fired, expected;
    for (size_t i = 0; i < timers.size(); i++) {
      Nanos when = Nanos(1 + random() % 1000);
      heap.insert(&timers[i], when, [](void* log, uint64_t when) { static_cast<std::vector<uint64_t>*>(log)->push_back(when); },
                  &fired, uint64_t(when));
      if (random() % 3 == 0) {
        BOOST_TEST(heap.remove(&timers[i]));
        BOOST_TEST(!heap.remove(&timers[i]));
      } else if (when <= 600) {
        expected.push_back(uint64_t(when));
      }
      BOOST_REQUIRE(heap.verify());
    }
    std::sort(expected.begin(), expected.end());
    BOOST_TEST(heap.run_due(600) == int(expected.size()));
    BOOST_TEST(fired == expected, boost::test_tools::per_element());
    BOOST_REQUIRE(heap.verify());
    BOOST_TEST((heap.next() == 0 || heap.next() > 600));
  }
}

BOOST_AUTO_TEST_CASE(a_timers_function_may_arm_another_timer_of_the_same_heap) {
  struct Chain {
    TimerHeap heap;
    Timer timers[5];
    int fired = 0;
    static void fire(void* self, uint64_t i) {
      auto* chain = static_cast<Chain*>(self);
      chain->fired++;
      if (i + 1 < 5) chain->heap.insert(&chain->timers[i + 1], Nanos(i + 2), fire, chain, i + 1);
    }
  } chain;
  chain.heap.insert(&chain.timers[0], 1, Chain::fire, &chain, 0);
  chain.heap.run_due(100);
  BOOST_TEST(chain.fired == 5);
  BOOST_TEST(chain.heap.next() == 0);
}

BOOST_AUTO_TEST_CASE(all_sleepers_wake_and_none_before_its_deadline) {
  run([] {
    std::atomic<int> early{0};
    WaitGroup wg;
    Nanos base = nanotime() + 2 * kMillisecond;
    for (int i = 0; i < 200; i++) {
      wg.add(1);
      go([&, i] {
        Nanos deadline = base + (i * 37 % 100) * 100 * kMicrosecond;
        if (sleep_until(deadline) != Outcome::TimedOut || nanotime() < deadline) early++;
        wg.done();
      });
    }
    wg.wait();
    BOOST_TEST(early.load() == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_sleep_never_ends_early) {
  run([] {
    for (int i = 0; i < 20; i++) {
      Nanos deadline = deadline_after(300 * kMicrosecond);
      sleep_until(deadline);
      BOOST_TEST(nanotime() >= deadline);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
