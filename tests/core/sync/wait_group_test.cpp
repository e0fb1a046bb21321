// WaitGroup. Behaviours are those of Go's sync/waitgroup_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <atomic>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(wait_group)

BOOST_AUTO_TEST_CASE(wait_returns_at_once_when_the_counter_is_zero) {
  WaitGroup wg;
  wg.wait();  // on a plain thread
  run([&] {
    wg.wait();
    wg.add(1);
    BOOST_TEST((wg.wait_until(kPast) == Outcome::TimedOut));
    wg.done();
    BOOST_TEST((wg.wait_until(kPast) == Outcome::Fired));
  });
}

// Go: sync/waitgroup_test.go TestWaitGroup
BOOST_AUTO_TEST_CASE(it_is_a_barrier_that_can_be_used_again) {
  run([] {
    WaitGroup first, second;
    for (int round = 0; round < 8; round++) {
      constexpr int n = 16;
      first.add(n);
      second.add(n);
      Chan<bool> exited(n);
      for (int i = 0; i < n; i++) {
        go([&, exited] {
          first.done();
          second.wait();
          exited.send(true);
        });
      }
      first.wait();
      for (int i = 0; i < n; i++) {
        BOOST_REQUIRE(exited.len() == 0);
        second.done();
      }
      for (int i = 0; i < n; i++) exited.recv();
    }
  });
}

// Go: sync/waitgroup_test.go TestWaitGroupMisuse
BOOST_AUTO_TEST_CASE(a_negative_counter_panics_and_the_counter_stays) {
  run([] {
    WaitGroup wg;
    wg.add(1);
    wg.done();
    BOOST_TEST(text_of<Panic>([&] { wg.done(); }) == "sync: negative WaitGroup counter");
    BOOST_TEST(wg.count() == 0);
    wg.add(3);
    BOOST_TEST(text_of<Panic>([&] { wg.add(-4); }) == "sync: negative WaitGroup counter");
    BOOST_TEST(wg.count() == 3);
    BOOST_TEST(text_of<Panic>([&] { wg.add(INT32_MAX); }) == "sync: negative WaitGroup counter");
    wg.add(-3);
    wg.wait();
  });
}

BOOST_AUTO_TEST_CASE(all_waiters_are_woken) {
  run([] {
    WaitGroup wg, woken;
    wg.add(1);
    std::atomic<int> count{0};
    for (int i = 0; i < kManyGoroutines / 10; i++) {
      woken.go([&] {
        wg.wait();
        count++;
      });
    }
    until([&] { return wg.waiters() == uint32_t(kManyGoroutines / 10); });
    BOOST_TEST(count == 0);
    wg.done();
    woken.wait();
    BOOST_TEST(count == kManyGoroutines / 10);
    BOOST_TEST(wg.waiters() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(waits_that_end_early_are_not_counted_any_more) {
  run([] {
    WaitGroup wg, others;
    wg.add(1);
    BOOST_TEST((wg.wait_until(soon()) == Outcome::TimedOut));
    BOOST_TEST(wg.waiters() == 0u);
    std::atomic<G*> waiter{nullptr};
    std::atomic<int> outcome{0}, second{0};
    others.go([&] {
      waiter = current();
      outcome = int(wg.wait_until());
    });
    until([&] { return wg.waiters() == 1; });
    others.go([&] { second = int(wg.wait_until()); });
    until([&] { return wg.waiters() == 2; });
    interrupt(waiter);
    until([&] { return wg.waiters() == 1; });
    wg.done();
    others.wait();
    BOOST_TEST(outcome == int(Outcome::Interrupted));
    BOOST_TEST(second == int(Outcome::Fired));
  });
}

// Go: sync/waitgroup_test.go TestWaitGroupGo
BOOST_AUTO_TEST_CASE(go_counts_a_goroutine_also_when_it_ends_by_goexit) {
  run([] {
    WaitGroup wg;
    std::atomic<int> ran{0};
    wg.go([&] { ran++; });
    wg.go([&] {
      ran++;
      goexit();
    });
    wg.wait();
    BOOST_TEST(ran == 2);
  });
}

// Go: sync/waitgroup_test.go TestWaitGroupRace
BOOST_AUTO_TEST_CASE(the_last_done_is_seen_by_whoever_waits) {
  run([] {
    int wrong = 0;
    for (int i = 0; i < 1000 * kRounds; i++) {
      WaitGroup wg;
      std::atomic<int> n{0};
      for (int k = 0; k < 2; k++) {
        wg.add(1);
        go([&] {
          n++;
          wg.done();
        });
      }
      wg.wait();
      wrong += n != 2;
    }
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_CASE(timeouts_race_with_the_last_done_and_nobody_hangs) {
  run([] {
    Xorshift random(1);
    for (int i = 0; i < 100 * kRounds; i++) {
      WaitGroup wg, waiters;
      wg.add(1);
      for (int k = 0; k < 4; k++) {
        Nanos deadline = k == 0 ? kForever : deadline_after(random.below(20'000));
        waiters.go([&, deadline] { (void)wg.wait_until(deadline); });
      }
      for (uint32_t k = random.below(10); k > 0; k--) yield();
      wg.done();
      waiters.wait();
      BOOST_REQUIRE(wg.waiters() == 0u);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
