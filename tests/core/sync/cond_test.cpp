// Cond and NotifyList. Behaviours are those of Go's sync/cond_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <mutex>
#include <vector>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/sched/go.h"
#include "gort/sync/cond.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(cond)

// Go: sync/cond_test.go TestCondSignal, TestCondSignalGenerations
BOOST_AUTO_TEST_CASE(signals_wake_one_waiter_each_in_the_order_of_waiting) {
  run([] {
    Mutex m;
    Cond cond(m);
    NotifyList list;
    constexpr int n = 20;
    std::vector<int> awake;  // guarded by m
    WaitGroup wg;
    std::atomic<int> waiting{0};
    for (int i = 0; i < n; i++) {
      wg.go([&, i] {
        std::lock_guard lock(m);
        waiting++;
        cond.wait();
        awake.push_back(i);
      });
      until([&] { return waiting == i + 1; });
      m.lock();  // once we have it, the goroutine waits
      m.unlock();
    }
    for (int i = 0; i < n; i++) {
      BOOST_REQUIRE(int(awake.size()) == i);
      cond.signal();
      until([&] {
        std::lock_guard lock(m);
        return int(awake.size()) > i;
      });
      std::lock_guard lock(m);
      BOOST_REQUIRE(int(awake.size()) == i + 1);
      BOOST_REQUIRE(awake.back() == i);
    }
    wg.wait();
    cond.signal();  // nobody there
    cond.broadcast();
  });
}

// Go: sync/cond_test.go TestCondBroadcast
BOOST_AUTO_TEST_CASE(a_broadcast_wakes_all) {
  run([] {
    Mutex m;
    Cond cond(m);
    int waiting = 0, awake = 0;  // guarded by m
    bool go_on = false;
    WaitGroup wg;
    for (int i = 0; i < 200; i++) {
      wg.go([&] {
        std::lock_guard lock(m);
        waiting++;
        while (!go_on) cond.wait();
        awake++;
      });
    }
    until([&] {
      std::lock_guard lock(m);
      return waiting == 200;
    });
    {
      std::lock_guard lock(m);
      go_on = true;
      BOOST_TEST(awake == 0);
      cond.broadcast();
    }
    wg.wait();
    BOOST_TEST(awake == 200);
  });
}

BOOST_AUTO_TEST_CASE(a_notification_between_add_and_wait_is_not_lost) {
  run([] {
    NotifyList list;
    for (bool all : {false, true}) {
      NotifyList::Place place;
      list.add(place);
      BOOST_TEST(list.size() == 1u);
      if (all) list.notify_all(); else list.notify_one();
      BOOST_TEST(list.size() == 0u);
      BOOST_TEST((list.wait(place) == Outcome::Fired));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_place_that_never_waited_passes_its_notification_on) {
  run([] {
    NotifyList list;
    NotifyList::Place second;
    {
      NotifyList::Place first;
      list.add(first);
      list.add(second);
      list.notify_one();
    }
    BOOST_TEST(list.size() == 0u);
    BOOST_TEST((list.wait(second, kPast) == Outcome::Fired));
    {
      NotifyList::Place unused;
      list.add(unused);
    }
    BOOST_TEST(list.size() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(wait_without_the_lock_is_fatal_and_leaves_no_place_behind) {
  run([] {
    Mutex m;
    Cond cond(m);
    BOOST_TEST(text_of<Fatal>([&] { cond.wait(); }) == "sync: unlock of unlocked mutex");
    WaitGroup wg;
    std::atomic<bool> waiting{false}, woken{false};
    wg.go([&] {
      std::lock_guard lock(m);
      waiting = true;
      cond.wait();
      woken = true;
    });
    until([&] { return waiting.load(); });
    m.lock();
    m.unlock();
    cond.signal();  // meets the goroutine, not a ghost
    wg.wait();
    BOOST_TEST(woken);
  });
}

BOOST_AUTO_TEST_CASE(a_wait_that_ends_early_holds_the_lock_and_takes_no_signal) {
  run([] {
    Mutex m;
    Cond cond(m);
    m.lock();
    BOOST_TEST((cond.wait_until(soon()) == Outcome::TimedOut));
    BOOST_TEST(m.state().locked);
    m.unlock();
    std::atomic<G*> waiter{nullptr};
    std::atomic<int> outcome{0}, waiting{0};
    std::atomic<bool> held{false}, other{false};
    WaitGroup wg;
    wg.go([&] {
      waiter = current();
      m.lock();
      waiting++;
      outcome = int(cond.wait_until());
      held = m.state().locked;
      m.unlock();
    });
    until([&] { return waiting == 1; });
    wg.go([&] {
      std::lock_guard lock(m);
      waiting++;
      cond.wait();
      other = true;
    });
    until([&] { return waiting == 2; });
    m.lock();
    m.unlock();
    interrupt(waiter);
    until([&] { return outcome != 0; });
    BOOST_TEST(!other);
    cond.signal();
    wg.wait();
    BOOST_TEST(outcome == int(Outcome::Interrupted));
    BOOST_TEST(held);
    BOOST_TEST(other);
  });
}

// Producers signal once an item; consumers with random deadlines must still drain everything: no signal may end in a waiter that gave up.
BOOST_AUTO_TEST_CASE(no_signal_is_lost_when_waiters_give_up_at_random) {
  run([] {
    for (uint64_t seed = 1; seed <= 4; seed++) {
      Mutex m;
      Cond cond(m);
      int items = 0, taken = 0;  // guarded by m
      const int total = 500 * kRounds;
      bool over = false;         // guarded by m
      WaitGroup consumers, steady;
      for (uint64_t k = 0; k < 6; k++) {
        consumers.go([&, k] {
          Xorshift random(seed * 10 + k);
          std::unique_lock lock(m);
          while (!over) {
            if (items > 0) {
              items--;
              taken++;
            } else if (k == 0) {
              cond.wait();
            } else {
              (void)cond.wait_until(deadline_after(random.below(20'000)));
            }
          }
        });
      }
      for (int i = 0; i < total; i++) {
        std::lock_guard lock(m);
        items++;
        cond.signal();
      }
      until([&] {
        std::lock_guard lock(m);
        return taken == total;
      });
      {
        std::lock_guard lock(m);
        over = true;
      }
      cond.broadcast();
      consumers.wait();
      BOOST_TEST(items == 0);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
