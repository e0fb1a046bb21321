// Mutex. Behaviours are those of Go's sync/mutex_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <mutex>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/sched/go.h"
#include "gort/sync/mutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

bool is_free(const Mutex& m) {
  Mutex::State s = m.state();
  return !s.locked && !s.woken && !s.starving && s.waiters == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mutex)

// Go: sync/mutex_test.go TestMutex
BOOST_AUTO_TEST_CASE(try_lock_fails_while_it_is_held) {
  run([] {
    Mutex m;
    BOOST_TEST(m.try_lock());
    BOOST_TEST(!m.try_lock());
    BOOST_TEST((m.lock_until(kPast) == Outcome::TimedOut));
    m.unlock();
    BOOST_TEST(m.try_lock());
    m.unlock();
    BOOST_TEST((m.lock_until(kPast) == Outcome::Fired));
    m.unlock();
    BOOST_TEST(is_free(m));
  });
}

// Go: sync/mutex_test.go TestMutex, HammerMutex
BOOST_AUTO_TEST_CASE(it_excludes_under_load) {
  run([] {
    Mutex m;
    int64_t counter = 0;  // guarded by m
    WaitGroup wg;
    for (int k = 0; k < 10; k++) {
      wg.go([&] {
        for (int i = 0; i < 1000 * kRounds; i++) {
          if (i % 3 == 0 && m.try_lock()) {
            counter++;
            m.unlock();
          } else {
            std::lock_guard lock(m);
            counter++;
            if (i % 50 == 0) yield();
          }
        }
      });
    }
    wg.wait();
    BOOST_TEST(counter == 10 * 1000 * kRounds);
    BOOST_TEST(is_free(m));
  });
}

// Go: sync/mutex_test.go TestMutexMisuse
BOOST_AUTO_TEST_CASE(unlock_of_an_unlocked_one_is_fatal_and_changes_nothing) {
  run([] {
    Mutex m;
    BOOST_TEST(text_of<Fatal>([&] { m.unlock(); }) == "sync: unlock of unlocked mutex");
    m.lock();
    m.unlock();
    BOOST_TEST(text_of<Fatal>([&] { m.unlock(); }) == "sync: unlock of unlocked mutex");
    BOOST_TEST(is_free(m));
    BOOST_TEST(m.try_lock());
    m.unlock();
  });
}

BOOST_AUTO_TEST_CASE(another_goroutine_may_unlock_it) {
  run([] {
    Mutex m;
    m.lock();
    go([&] { m.unlock(); });
    m.lock();
    m.unlock();
    BOOST_TEST(is_free(m));
  });
}

BOOST_AUTO_TEST_CASE(the_state_shows_who_waits) {
  run([] {
    Mutex m;
    m.lock();
    WaitGroup wg;
    for (int i = 0; i < 3; i++) wg.go([&] { std::lock_guard lock(m); });
    until([&] { return m.state().waiters == 3; });
    BOOST_TEST(m.state().locked);
    m.unlock();
    wg.wait();
    BOOST_TEST(is_free(m));
  });
}

BOOST_AUTO_TEST_CASE(plain_threads_and_goroutines_share_one) {
  Mutex m;
  int counter = 0;
  WaitGroup wg;
  for (int k = 0; k < 4; k++) {
    wg.go([&] {
      for (int i = 0; i < 1000; i++) {
        std::lock_guard lock(m);
        counter++;
      }
    });
  }
  for (int i = 0; i < 1000; i++) {
    std::lock_guard lock(m);
    counter++;
  }
  wg.wait();
  BOOST_TEST(counter == 5000);
}

// Go: sync/mutex_test.go TestMutexFairness
BOOST_AUTO_TEST_CASE(a_waiter_gets_it_from_a_goroutine_that_hardly_ever_lets_go) {
  run([] {
    Mutex m;
    std::atomic<bool> stop{false};
    WaitGroup wg;
    wg.go([&] {
      while (!stop) {
        m.lock();
        for (Nanos until = nanotime() + 100 * kMicrosecond; nanotime() < until;) {}
        m.unlock();
      }
    });
    for (int i = 0; i < 10; i++) {
      (void)sleep_until(deadline_after(100 * kMicrosecond));
      m.lock();
      m.unlock();
    }
    stop = true;
    wg.wait();
    BOOST_TEST(is_free(m));
  });
}

BOOST_AUTO_TEST_CASE(a_wait_that_ends_early_is_not_counted_any_more) {
  run([] {
    Mutex m;
    m.lock();
    BOOST_TEST((m.lock_until(soon()) == Outcome::TimedOut));
    BOOST_TEST(m.state().waiters == 0);
    std::atomic<G*> waiter{nullptr};
    std::atomic<int> outcome{0};
    WaitGroup wg;
    wg.go([&] {
      waiter = current();
      outcome = int(m.lock_until());
    });
    until([&] { return m.state().waiters == 1; });
    interrupt(waiter);
    wg.wait();
    BOOST_TEST(outcome == int(Outcome::Interrupted));
    BOOST_TEST(m.state().waiters == 0);
    m.unlock();
    BOOST_TEST(is_free(m));
  });
}

BOOST_AUTO_TEST_CASE(starvation_mode_ends_when_the_last_waiter_has_got_it_or_given_up) {
  run([] {
    Mutex m;
    for (bool gives_up : {false, true}) {
      m.lock();
      std::atomic<G*> first{nullptr}, second{nullptr};
      std::atomic<int> locked{0};
      WaitGroup wg;
      auto wait_for_it = [&](std::atomic<G*>& who) {
        wg.go([&] {
          who = current();
          if (m.lock_until() != Outcome::Fired) return;
          locked++;
          m.unlock();
        });
      };
      wait_for_it(first);
      until([&] { return m.state().waiters == 1; });
      (void)sleep_until(deadline_after(2 * kMillisecond));
      // The first waiter has waited for long; when it wakes and finds the mutex taken again it turns it to starvation mode.
      while (!m.state().starving && locked == 0) {
        m.unlock();
        m.lock();
        yield();
      }
      if (locked == 0) {
        BOOST_TEST(!m.try_lock());
        wait_for_it(second);
        until([&] { return m.state().waiters == 2; });
        if (gives_up) {
          interrupt(first);
          interrupt(second);
          until([&] { return m.state().waiters == 0; });
          BOOST_TEST(!m.state().starving);
        }
      }
      m.unlock();
      wg.wait();
      BOOST_TEST(is_free(m));
    }
  });
}

// All ways of waiting and giving up at once; in the end the mutex must be free and usable, and nobody may hang.
BOOST_AUTO_TEST_CASE(no_wake_up_is_lost_when_waiters_give_up_at_random) {
  run([] {
    for (uint64_t seed = 1; seed <= 6; seed++) {
      Mutex m;
      int64_t counter = 0;  // guarded by m
      std::atomic<int64_t> locked{0};
      std::atomic<int> left{8};
      std::atomic<G*> waiters[8] = {};
      WaitGroup wg;
      for (uint64_t k = 0; k < 8; k++) {
        wg.go([&, k] {
          waiters[k] = current();
          Xorshift random(seed * 100 + k);
          for (int i = 0; i < 200 * kRounds; i++) {
            Nanos deadline = random.below(3) ? deadline_after(random.below(30'000)) : kForever;
            if (m.lock_until(deadline) != Outcome::Fired) continue;
            counter++;
            locked++;
            if (random.below(4) == 0) yield();
            if (random.below(100) == 0) (void)sleep_until(deadline_after(50 * kMicrosecond));
            m.unlock();
          }
          left--;
        });
      }
      wg.go([&] {
        Xorshift random(seed);
        while (left > 0) {
          if (G* g = waiters[random.below(8)]) interrupt(g);
          for (uint32_t i = random.below(20); i > 0; i--) yield();
        }
      });
      wg.wait();
      BOOST_TEST(counter == locked);
      BOOST_TEST(is_free(m));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
