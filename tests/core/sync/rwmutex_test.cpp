// RWMutex. Behaviours are those of Go's sync/rwmutex_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sync/rwmutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {
bool is_free(const RWMutex& m) { return !m.state().writer && m.state().readers == 0; }
}  // namespace

BOOST_AUTO_TEST_SUITE(rwmutex)

// Go: sync/rwmutex_test.go TestParallelReaders
BOOST_AUTO_TEST_CASE(readers_hold_it_at_the_same_time) {
  run([] {
    RWMutex m;
    Chan<bool> in(10), go_on(0), out(10);
    for (int i = 0; i < 10; i++) {
      go([&, in, go_on, out] {
        std::shared_lock lock(m);
        in.send(true);
        go_on.recv();
        out.send(true);
      });
    }
    for (int i = 0; i < 10; i++) in.recv();
    BOOST_TEST(m.state().readers == 10u);
    BOOST_TEST(!m.try_lock());
    BOOST_TEST(m.try_lock_shared());
    m.unlock_shared();
    go_on.close();
    for (int i = 0; i < 10; i++) out.recv();
    m.lock();
    BOOST_TEST(!m.try_lock());
    BOOST_TEST(!m.try_lock_shared());
    m.unlock();
    BOOST_TEST(is_free(m));
  });
}

// Go: sync/rwmutex_test.go TestRWMutex
BOOST_AUTO_TEST_CASE(writers_exclude_everybody_under_load) {
  run([] {
    for (int readers : {1, 3, 10}) {
      RWMutex m;
      std::atomic<int> activity{0}, broken{0};
      WaitGroup wg;
      for (int k = 0; k < readers; k++) {
        wg.go([&] {
          for (int i = 0; i < 200 * kRounds; i++) {
            m.lock_shared();
            int n = activity.fetch_add(1) + 1;
            if (n < 1 || n >= 10'000) broken++;
            if (i % 10 == 0) yield();
            activity.fetch_sub(1);
            m.unlock_shared();
          }
        });
      }
      for (int k = 0; k < 2; k++) {
        wg.go([&] {
          for (int i = 0; i < 200 * kRounds; i++) {
            m.lock();
            if (activity.fetch_add(10'000) != 0) broken++;
            if (i % 10 == 0) yield();
            activity.fetch_sub(10'000);
            m.unlock();
          }
        });
      }
      wg.wait();
      BOOST_TEST(broken == 0);
      BOOST_TEST(is_free(m));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_waiting_writer_stops_new_readers_and_they_go_before_the_next_writer) {
  run([] {
    RWMutex m;
    std::atomic<int> order{0}, first_writer{-1}, reader{-1}, second_writer{-1};
    WaitGroup wg;
    m.lock_shared();
    wg.go([&] {
      std::lock_guard lock(m);
      first_writer = order++;
    });
    until([&] { return m.state().writer; });
    BOOST_TEST(!m.try_lock_shared());
    BOOST_TEST((m.lock_shared_until(kPast) == Outcome::TimedOut));
    wg.go([&] {
      std::shared_lock lock(m);
      reader = order++;
    });
    until([&] { return m.state().readers == 2; });
    std::atomic<G*> g{nullptr};
    wg.go([&] {
      g = current();
      std::lock_guard lock(m);
      second_writer = order++;
    });
    until([&] { return g && g.load()->wait_reason.load() == WaitReason::MutexLock; });
    m.unlock_shared();
    wg.wait();
    BOOST_TEST(first_writer == 0);
    BOOST_TEST(reader == 1);
    BOOST_TEST(second_writer == 2);
    BOOST_TEST(is_free(m));
  });
}

BOOST_AUTO_TEST_CASE(misuse_is_fatal_and_changes_nothing) {
  run([] {
    RWMutex m;
    auto unlock = [&] { m.unlock(); };
    auto unlock_shared = [&] { m.unlock_shared(); };
    BOOST_TEST(text_of<Fatal>(unlock) == "sync: Unlock of unlocked RWMutex");
    BOOST_TEST(text_of<Fatal>(unlock_shared) == "sync: RUnlock of unlocked RWMutex");
    m.lock_shared();
    BOOST_TEST(text_of<Fatal>(unlock) == "sync: Unlock of unlocked RWMutex");
    m.unlock_shared();
    m.lock();
    BOOST_TEST(text_of<Fatal>(unlock_shared) == "sync: RUnlock of unlocked RWMutex");
    m.unlock();
    BOOST_TEST(is_free(m));
    BOOST_TEST(m.try_lock());
    m.unlock();
  });
}

BOOST_AUTO_TEST_CASE(a_reader_that_gives_up_does_not_hold_up_the_writer_after_next) {
  run([] {
    RWMutex m;
    m.lock();
    BOOST_TEST((m.lock_shared_until(soon()) == Outcome::TimedOut));
    std::atomic<G*> reader{nullptr};
    std::atomic<int> outcome{0};
    WaitGroup wg;
    wg.go([&] {
      reader = current();
      outcome = int(m.lock_shared_until());
    });
    until([&] { return m.state().readers == 1; });
    interrupt(reader);
    wg.wait();
    BOOST_TEST(outcome == int(Outcome::Interrupted));
    BOOST_TEST(m.state().readers == 0u);
    m.unlock();
    m.lock();
    m.unlock();
    BOOST_TEST(is_free(m));
  });
}

BOOST_AUTO_TEST_CASE(a_writer_that_gives_up_lets_the_readers_in_that_it_kept_out) {
  run([] {
    RWMutex m;
    m.lock_shared();
    std::atomic<G*> writer{nullptr};
    std::atomic<int> outcome{0}, readers{0};
    WaitGroup wg;
    wg.go([&] {
      writer = current();
      outcome = int(m.lock_until());
    });
    until([&] { return m.state().writer; });
    for (int i = 0; i < 3; i++) {
      wg.go([&] {
        std::shared_lock lock(m);
        readers++;
      });
    }
    until([&] { return m.state().readers == 4; });
    interrupt(writer);
    wg.wait();
    BOOST_TEST(outcome == int(Outcome::Interrupted));
    BOOST_TEST(readers == 3);
    BOOST_TEST((m.lock_until(soon()) == Outcome::TimedOut));
    m.unlock_shared();
    BOOST_TEST(is_free(m));
    BOOST_TEST(m.try_lock());
    m.unlock();
  });
}

BOOST_AUTO_TEST_CASE(it_stays_whole_when_both_kinds_give_up_at_random) {
  run([] {
    for (uint64_t seed = 1; seed <= 6; seed++) {
      RWMutex m;
      std::atomic<int> activity{0}, broken{0}, left{8};
      std::atomic<G*> parties[8] = {};
      WaitGroup wg;
      for (uint64_t k = 0; k < 8; k++) {
        wg.go([&, k] {
          parties[k] = current();
          Xorshift random(seed * 100 + k);
          for (int i = 0; i < 200 * kRounds; i++) {
            Nanos deadline = random.below(3) ? deadline_after(random.below(30'000)) : kForever;
            if (random.below(3) == 0) {
              if (m.lock_until(deadline) != Outcome::Fired) continue;
              if (activity.fetch_add(10'000) != 0) broken++;
              if (random.below(4) == 0) yield();
              activity.fetch_sub(10'000);
              m.unlock();
            } else {
              if (m.lock_shared_until(deadline) != Outcome::Fired) continue;
              if (activity.fetch_add(1) >= 10'000) broken++;
              if (random.below(4) == 0) yield();
              activity.fetch_sub(1);
              m.unlock_shared();
            }
          }
          left--;
        });
      }
      wg.go([&] {
        Xorshift random(seed);
        while (left > 0) {
          if (G* g = parties[random.below(8)]) interrupt(g);
          for (uint32_t i = random.below(20); i > 0; i--) yield();
        }
      });
      wg.wait();
      BOOST_TEST(broken == 0);
      BOOST_TEST(is_free(m));
      BOOST_TEST(m.try_lock());
      m.unlock();
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
