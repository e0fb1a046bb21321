#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "gort/sched/go.h"
#include "gort/sched/machine.h"
#include "gort/sched/park.h"
#include "gort/sched/procs.h"
#include "gort/sync/wait_group.h"
#include "gort/time/timer_heap.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

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

BOOST_AUTO_TEST_CASE(of_a_million_timers_each_goes_off_once_or_is_stopped_and_none_is_early) {
  const int n = 100'000 * kRounds;
  struct Log {
    std::atomic<int> fired{0}, early{0};
  } log;
  run([&] {
    auto timers = std::make_unique<Timer[]>(size_t(n));
    std::mt19937_64 random(1);
    Nanos base = nanotime();
    int stopped = 0;
    for (int i = 0; i < n; i++) {
      Nanos when = base + Nanos(random() % uint64_t(kSecond));
      timers[i].start(when, [](void* log, uint64_t when) {
        if (nanotime() < Nanos(when)) static_cast<Log*>(log)->early++;
        static_cast<Log*>(log)->fired++;
      }, &log, uint64_t(when));
      if (i % 2 == 1 && timers[size_t(random() % uint64_t(i))].stop()) stopped++;
    }
    until([&] { return log.fired + stopped >= n; });
    BOOST_TEST(log.fired + stopped == n);
    BOOST_TEST(stopped > 0);
    int armed = 0;
    for (int i = 0; i < n; i++) armed += timers[i].armed();
    BOOST_TEST(armed == 0);
  });
  BOOST_TEST(log.early.load() == 0);
}

BOOST_AUTO_TEST_CASE(the_timers_of_a_p_whose_goroutine_computes_are_run_by_another) {
  EndlessSlices endless;   // nobody takes the P away
  gomaxprocs(2);
  struct Seen {
    std::atomic<int> fired{0}, by_owner{0};
    std::atomic<M*> owner{nullptr};
  } seen;
  constexpr int n = 100;
  run([&] {
    auto timers = std::make_unique<Timer[]>(n);
    seen.owner = this_machine();
    for (int i = 0; i < n; i++) {
      timers[i].start(deadline_after(i * 10 * kMicrosecond), [](void* self, uint64_t) {
        auto* seen = static_cast<Seen*>(self);
        if (this_machine() == seen->owner) seen->by_owner++;
        seen->fired++;
      }, &seen);
    }
    while (seen.fired < n) {}   // without a call
  });
  BOOST_TEST(seen.fired.load() == n);
  BOOST_TEST(seen.by_owner.load() == 0);
  set_default_gomaxprocs();
}

BOOST_AUTO_TEST_SUITE_END()
