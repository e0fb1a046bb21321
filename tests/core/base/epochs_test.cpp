#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/base/epochs.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(epochs)

BOOST_AUTO_TEST_CASE(what_is_retired_while_nobody_else_is_inside_is_over_when_its_owner_has_left) {
  Epochs epochs;
  Epochs::Ticket me = epochs.enter();
  uint64_t retired_at = epochs.retire();
  BOOST_TEST(!Epochs::is_over(retired_at, epochs.advance()));
  (void)epochs.leave(me);
  BOOST_TEST(Epochs::is_over(retired_at, epochs.advance()));
}

BOOST_AUTO_TEST_CASE(who_was_inside_before_holds_it_and_is_told_so_on_leaving) {
  Epochs epochs;
  Epochs::Ticket reader = epochs.enter();
  Epochs::Ticket writer = epochs.enter();
  uint64_t retired_at = epochs.retire();
  (void)epochs.leave(writer);
  for (int i = 0; i < 5; i++) BOOST_TEST(!Epochs::is_over(retired_at, epochs.advance()));
  BOOST_TEST(!epochs.may_advance());
  BOOST_TEST(epochs.leave(reader));
  BOOST_TEST(epochs.may_advance());
  BOOST_TEST(Epochs::is_over(retired_at, epochs.advance()));
}

BOOST_AUTO_TEST_CASE(who_came_later_holds_nothing_that_was_retired_two_steps_before) {
  Epochs epochs;
  Epochs::Ticket writer = epochs.enter();
  uint64_t retired_at = epochs.retire();
  (void)epochs.leave(writer);
  BOOST_TEST(Epochs::is_over(retired_at, epochs.advance()));
  Epochs::Ticket late = epochs.enter();
  BOOST_TEST(late.epoch >= retired_at + 2);
  (void)epochs.leave(late);
}

BOOST_AUTO_TEST_CASE(a_reader_that_nobody_waits_for_need_not_look_after_anything) {
  Epochs epochs;
  Epochs::Ticket reader = epochs.enter();
  BOOST_TEST(!epochs.leave(reader));
}

// Threads publish objects, take them out and free them by the rules; a reader that meets a freed one sees it (and a sanitizer shouts).
BOOST_AUTO_TEST_CASE(nobody_ever_meets_what_was_given_back) {
  struct Object {
    std::atomic<bool> alive{true};
  };
  constexpr int kEach = 2000 * kRounds;
  Epochs epochs;
  std::atomic<Object*> place{new Object};
  std::atomic<int> dead_seen{0};
  std::atomic<bool> done{false};
  auto read = [&] {
    while (!done.load()) {
      Epochs::Ticket ticket = epochs.enter();
      if (!place.load(std::memory_order_acquire)->alive.load()) dead_seen++;
      (void)epochs.leave(ticket);
    }
  };
  std::vector<std::vector<std::pair<Object*, uint64_t>>> kept(2);
  auto write = [&](int me) {
    for (int n = 0; n < kEach; n++) {
      Epochs::Ticket ticket = epochs.enter();
      Object* old = place.exchange(new Object, std::memory_order_acq_rel);
      kept[me].emplace_back(old, epochs.retire());
      (void)epochs.leave(ticket);
      uint64_t epoch = epochs.advance();
      std::erase_if(kept[me], [&](auto& one) {
        if (!Epochs::is_over(one.second, epoch)) return false;
        one.first->alive = false;
        delete one.first;
        return true;
      });
    }
  };
  std::thread readers[2] = {std::thread(read), std::thread(read)};
  std::thread writers[2] = {std::thread(write, 0), std::thread(write, 1)};
  for (std::thread& t : writers) t.join();
  done = true;
  for (std::thread& t : readers) t.join();
  BOOST_TEST(dead_seen == 0);
  uint64_t epoch = epochs.advance();
  for (auto& mine : kept) {
    for (auto& [object, retired_at] : mine) {
      BOOST_TEST(Epochs::is_over(retired_at, epoch));
      delete object;
    }
  }
  delete place.load();
}

BOOST_AUTO_TEST_SUITE_END()
