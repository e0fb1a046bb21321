#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/gc/collector.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sync/wait_group.h"

using namespace gort;

BOOST_AUTO_TEST_SUITE(world_)

BOOST_AUTO_TEST_CASE(nobody_moves_while_the_world_is_stopped) {
  run([] {
    std::atomic<long> turns{0};
    std::atomic<bool> done{false};
    WaitGroup wg;
    for (int i = 0; i < 6; i++) {
      wg.add(1);
      go([&, i] {
        for (int turn = 0; !done.load(); turn++) {
          turns++;
          if (i % 2 || turn % 64 == 0) yield(); else world::safe_point();
          if (i == 4) sleep_until(deadline_after(50 * kMicrosecond));
        }
        wg.done();
      });
    }
    for (int round = 0; round < 200; round++) {
      world::stop("test");
      long before = turns.load();
      for (int spin = 0; spin < 2000; spin++) BOOST_REQUIRE(turns.load() == before);
      world::start();
      yield();
    }
    done = true;
    wg.wait();
  });
}

BOOST_AUTO_TEST_CASE(stoppers_take_turns) {
  run([] {
    std::atomic<int> inside{0}, stops{0};
    WaitGroup wg;
    for (int i = 0; i < 4; i++) {
      wg.add(1);
      go([&] {
        for (int k = 0; k < 100; k++) {
          world::stop("test");
          BOOST_CHECK(inside.fetch_add(1) == 0);
          stops++;
          inside--;
          world::start();
          yield();
        }
        wg.done();
      });
    }
    wg.wait();
    BOOST_TEST(stops.load() == 400);
  });
}

BOOST_AUTO_TEST_CASE(a_thread_outside_is_not_waited_for_and_waits_when_it_enters) {
  std::atomic<bool> entered{false}, left{false};
  run([&] {
    world::stop("test");
    std::thread thread([&] {
      world::MutatorScope scope;
      entered = true;
    });
    for (int spin = 0; spin < 1000; spin++) {
      std::this_thread::yield();
      BOOST_REQUIRE(!entered.load());
    }
    world::start();
    thread.join();
    left = true;
  });
  BOOST_TEST(entered.load());
  BOOST_TEST(left.load());
}

// A stop has a list of machines to wait for. One that ended meanwhile was freed: the stop read it, and could wait for it for ever.
BOOST_AUTO_TEST_CASE(a_machine_that_ended_during_a_stop_can_still_be_looked_at) {
  std::vector<M*> machines;
  run([&] {
    WaitGroup wg;
    wg.add(1);
    go([&] { wg.done(); });
    wg.wait();
    Runtime::get().native().for_each_machine([&](M& m) {
      if (!m.own) machines.push_back(&m);
    });
  });
  BOOST_REQUIRE(!machines.empty());
  // run returns when its function does: the machine that called it may not be idle yet, and does not end then.
  testing::until([&] {
    Runtime::get().stop_idle_threads();
    bool there = false;
    Runtime::get().native().for_each_machine([&](M& m) { there = there || std::count(machines.begin(), machines.end(), &m) != 0; });
    return !there;
  });
  for (M* m : machines) BOOST_TEST(m->mutator.load() == 0u);
}

// A machine that was to end was no longer seen by stops, but still ran what it had found. When that was the collector's worker, it waited for its own
// stack to be left.
BOOST_AUTO_TEST_CASE(machines_that_are_to_end_still_belong_to_the_world) {
  std::atomic<bool> over{false};
  std::thread collector([&] {
    for (int round = 0; round < 40 * testing::kRounds; round++) gc::collect();
    over = true;
  });
  while (!over) {
    run([] { go([] {}); });
    Runtime::get().stop_idle_threads();
  }
  collector.join();
}

BOOST_AUTO_TEST_CASE(every_started_goroutine_s_stack_is_visited_once) {
  run([] {
    constexpr int kParked = 50;
    std::atomic<int> parked{0};
    SpinLock lock{LockRank::Sync};
    WaitQueue queue;
    WaitGroup wg;
    wg.add(kParked);
    for (int i = 0; i < kParked; i++) {
      go([&] {
        lock.lock();
        Waiter w(current());
        queue.push(&w);
        parked++;
        park(&lock, {.reason = WaitReason::Semacquire});
        wg.done();
      });
    }
    while (parked.load() != kParked) yield();
    struct Seen {
      std::vector<G*> gs;
      G* self;
      bool own_local = false;
      const void* local;
    } seen;
    seen.self = current();
    int local = 0;
    seen.local = &local;
    world::stop("test");
    world::for_each_stack(
        false,
        [](void* context, const world::StackRange& range) {
          auto* seen = static_cast<Seen*>(context);
          seen->gs.push_back(range.g);
          if (range.low <= seen->local && seen->local < range.high) seen->own_local = true;
        },
        &seen);
    world::start();
    BOOST_TEST(seen.own_local);
    BOOST_TEST(std::count(seen.gs.begin(), seen.gs.end(), seen.self) == 1);
    BOOST_TEST(seen.gs.size() >= size_t(kParked + 1));
    std::sort(seen.gs.begin(), seen.gs.end());
    BOOST_TEST((std::adjacent_find(seen.gs.begin(), seen.gs.end()) == seen.gs.end()));
    for (;;) {
      lock.lock();
      Waiter* w = queue.pop_claimed();
      G* g = w ? w->g : nullptr;
      lock.unlock();
      if (!g) break;
      ready(g);
    }
    wg.wait();
  });
}

BOOST_AUTO_TEST_SUITE_END()
