#include <boost/test/unit_test.hpp>

#include <atomic>
#include <unistd.h>
#include <vector>

#include "gort/chan/typed_channel.h"
#include "gort/gc/collector.h"
#include "gort/heap/object.h"
#include "gort/sched/choice.h"
#include "gort/sched/go.h"
#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sync/mutex.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

namespace {

// Sets the scheduler's intervals, and GOMAXPROCS, for a test.
struct Settings {
  Options before = Runtime::get().options;
  int procs;
  explicit Settings(int n) : procs(gomaxprocs(n)) {}
  ~Settings() {
    Runtime::get().options = before;
    gomaxprocs(procs);
  }
};

// The goroutine's own work, without a call.
void compute(Nanos time) {
  for (Nanos end = nanotime() + time; nanotime() < end;) {}
}

// All Ps' count of one kind of preemption.
uint64_t total(uint64_t SwitchCounts<uint64_t>::* kind) {
  uint64_t n = 0;
  Runtime::get().native().for_each_processor([&](P& p) { n += read_count(p.counters.*kind); });
  return n;
}
constexpr auto kHandedOff = &SwitchCounts<uint64_t>::preempt_handoff;
constexpr auto kAtCall = &SwitchCounts<uint64_t>::preempt_call;

}  // namespace

BOOST_AUTO_TEST_SUITE(preempt_)

// Go: TestAsyncPreempt
BOOST_AUTO_TEST_CASE(a_loop_without_calls_does_not_keep_the_only_p) {
  Settings settings(1);
  BOOST_REQUIRE(preempt::available());
  uint64_t before = total(kHandedOff);
  std::atomic<bool> stop{false};
  run([&] {
    go([&] { stop = true; });
    while (!stop) {}
  });
  BOOST_TEST(total(kHandedOff) > before);
}

// A P that sysmon had not seen yet, and whose count of slices had been set back by a seed, seemed to have computed since the machine was started.
// In a process of its own this case's run is the first one, and starts sysmon.
BOOST_AUTO_TEST_CASE(a_first_slice_begins_when_sysmon_first_sees_it) {
  Settings settings(1);
  Runtime::get().options.time_slice = 1'000'000'000;
  uint64_t before = total(kHandedOff) + total(kAtCall);
  run([&] {
    choice::seed(7);
    go([] {});
    compute(50'000'000);
    yield();
  });
  BOOST_TEST(total(kHandedOff) + total(kAtCall) == before);
}

// The question stayed, and with it every switch of every lane took the long way, for as long as the call blocked.
BOOST_AUTO_TEST_CASE(whoever_blocks_is_not_asked_any_more) {
  Settings settings(1);
  Runtime::get().options.preempt_grace = kForever / 2;   // the P is not taken before it blocks
  int ends[2];
  BOOST_REQUIRE(pipe(ends) == 0);
  std::atomic<bool> asked{false};
  std::atomic<ssize_t> got{0};
  go([&] {
    go([] {});   // somebody waits
    while (world::wanted == 0) {}
    asked = true;
    char byte;
    BlockingScope blocking;
    got = read(ends[0], &byte, 1);
  });
  until([&] { return asked && world::wanted == 0; });
  BOOST_TEST(got == 0);
  BOOST_REQUIRE(write(ends[1], "x", 1) == 1);
  until([&] { return got == 1; });
  close(ends[0]);
  close(ends[1]);
}

BOOST_AUTO_TEST_CASE(a_raw_blocking_call_does_not_keep_the_only_p) {
  Settings settings(1);
  int ends[2];
  BOOST_REQUIRE(pipe(ends) == 0);
  char got = 0;
  std::atomic<ssize_t> written{0};
  run([&] {
    go([&] { written = write(ends[1], "x", 1); });
    while (read(ends[0], &got, 1) != 1) {}
    until([&] { return written != 0; });
  });
  BOOST_TEST(written == 1);
  BOOST_TEST(got == 'x');
  close(ends[0]);
  close(ends[1]);
}

// Go: TestPreemption
BOOST_AUTO_TEST_CASE(a_goroutine_that_only_makes_calls_that_do_not_park_is_preempted_at_one_of_them) {
  Settings settings(1);
  Runtime::get().options.preempt_grace = kForever / 2;   // only by asking
  uint64_t before = total(kAtCall);
  std::atomic<bool> stop{false};
  run([&] {
    go([&] { stop = true; });
    Chan<int> buffered(1);
    while (!stop) {
      buffered.send(1);
      buffered.recv();
    }
  });
  BOOST_TEST(total(kAtCall) > before);
}

BOOST_AUTO_TEST_CASE(an_allocating_goroutine_is_preempted_at_an_allocation) {
  Settings settings(1);
  Runtime::get().options.preempt_grace = kForever / 2;
  uint64_t before = total(kAtCall);
  std::atomic<bool> stop{false};
  run([&] {
    go([&] { stop = true; });
    while (!stop) {   // too seldom to start a collection, where it would wait
      compute(10 * kMicrosecond);
      heap::make<int64_t>();
    }
  });
  BOOST_TEST(total(kAtCall) > before);
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_lost_its_p_queues_at_its_next_call_and_goes_on) {
  Settings settings(1);
  Chan<int> values(0);
  int sum = 0;
  run([&] {
    WaitGroup wg;
    for (int hog = 0; hog < 3; hog++) {
      wg.go([&, hog] {
        std::atomic<bool> stop{false};
        go([&] { stop = true; });
        while (!stop) {}
        values.send(hog + 1);
      });
    }
    for (int i = 0; i < 3; i++) sum += values.recv();
    wg.wait();
  });
  BOOST_TEST(sum == 6);
}

// Go: TestPingPongHog
BOOST_AUTO_TEST_CASE(a_pair_that_plays_ping_pong_and_a_pair_of_hogs_share_the_p) {
  Settings settings(1);
  std::atomic<bool> stop{false};
  std::atomic<int64_t> hog_slices{0};
  int64_t light = 0;
  run([&] {
    WaitGroup wg;
    Chan<bool> ball(0), back(0);
    for (int i = 0; i < 2; i++) {
      wg.go([&] {
        while (!stop) {
          world::safe_point();
          hog_slices.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    wg.go([&] {
      for (bool b : ball) back.send(b);
    });
    Nanos end = nanotime() + 200 * kMillisecond;
    while (nanotime() < end || light < 2 || hog_slices.load() == 0) {
      ball.send(true);
      back.recv();
      light++;
    }
    stop = true;
    ball.close();
    wg.wait();
  });
  BOOST_TEST(light >= 2);
  BOOST_TEST(hog_slices.load() > 0);
}

#ifndef GORT_TSAN   // which delivers a signal only when its thread makes a call
BOOST_AUTO_TEST_CASE(a_stop_of_the_world_does_not_wait_for_a_loop_without_calls) {
  Settings settings(2);
  std::atomic<bool> stop{false};
  run([&] {
    WaitGroup wg;
    wg.go([&] {
      while (!stop) {}
    });
    for (int i = 0; i < 10; i++) gc::collect();
    stop = true;
    wg.wait();
  });
}

struct Node {
  heap::Pointer<Node> next;
  int64_t value;
  static std::vector<uint32_t> heap_pointers() { return heap::pointers(&Node::next); }
};

BOOST_AUTO_TEST_CASE(lists_that_are_turned_round_without_a_safe_point_outlive_collections_in_the_middle) {
  Settings settings(2);
  constexpr int64_t kLength = 20'000;
  std::atomic<bool> stop{false};
  int64_t sum = 0;
  run([&] {
    WaitGroup wg;
    wg.go([&] {
      Node* list = nullptr;
      for (int64_t i = 0; i < kLength; i++) {
        Node* node = heap::make<Node>();
        node->value = i;
        node->next = list;
        list = node;
      }
      while (!stop) {
        Node* turned = nullptr;
        while (list) {
          Node* rest = list->next;
          list->next = turned;
          turned = list;
          list = rest;
        }
        list = turned;
      }
      for (Node* node = list; node; node = node->next) sum += node->value;
    });
    for (int i = 0; i < 10 * kRounds; i++) {
      gc::collect();
      for (int k = 0; k < 1000; k++) heap::make<Node>()->value = -1;   // takes the memory of whatever was lost
    }
    stop = true;
    wg.wait();
  });
  BOOST_TEST(sum == kLength * (kLength - 1) / 2);
}
#endif

BOOST_AUTO_TEST_CASE(a_pair_that_plays_ping_pong_shares_the_p_with_one_that_is_queued) {
  Settings settings(1);
  std::atomic<bool> ran{false};
  run([&] {
    WaitGroup wg;
    Chan<bool> ball(0), back(0);
    wg.go([&] {
      for (bool b : ball) back.send(b);
    });
    ball.send(true);
    back.recv();
    wg.go([&] { ran = true; });
    while (!ran) {
      ball.send(true);
      back.recv();
    }
    ball.close();
    wg.wait();
  });
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(a_p_taken_at_any_moment_leaves_channels_heap_and_locks_whole) {
  Settings settings(2);
  Options& options = Runtime::get().options;
  for (Interval* interval : {&options.time_slice, &options.preempt_grace, &options.sysmon_min, &options.sysmon_max}) *interval = 20 * kMicrosecond;
  uint64_t before = total(kHandedOff);
  constexpr int kHogs = 6;
  const int rounds = 50 * kRounds;
  int64_t received = 0, counted = 0;
  run([&] {
    Chan<int> out(3);
    Mutex mu;
    WaitGroup wg;
    for (int h = 0; h < kHogs; h++) {
      wg.go([&] {
        for (int i = 0; i < rounds; i++) {
          compute(100 * kMicrosecond);
          for (int k = 0; k < 20; k++) heap::make<int64_t>();
          std::lock_guard hold(mu);
          counted++;
          if (i % 10 == 0) out.send(1);
        }
      });
    }
    go([&] {
      wg.wait();
      out.close();
    });
    for (int v : out) received += v;
  });
  BOOST_TEST(counted == int64_t(kHogs) * rounds);
  BOOST_TEST(received == int64_t(kHogs) * ((rounds + 9) / 10));
  BOOST_TEST_MESSAGE(total(kHandedOff) - before << " hand-offs");
}

#ifndef GORT_TSAN   // which delivers signals when it likes
constexpr auto kBySignal = &SwitchCounts<uint64_t>::preempt_signal;

// Many registers of all kinds, and what x87 and the vector unit keep; each turn depends on all before.
double mix(int turns, uint64_t seed) {
  double a = 0.1 + double(seed % 7) / 100, b = 0.2, c = 0.3, d = 0.4;
  long double e = 0.5L;
  uint64_t hash = seed;
  float lanes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int i = 0; i < turns; i++) {
    a = 3.9 * a * (1 - a);
    b = 3.8 * b * (1 - b) + a * 1e-9;
    c = 3.7 * c * (1 - c) + b * 1e-9;
    d = 3.6 * d * (1 - d) + c * 1e-9;
    e = 3.95L * e * (1 - e);
    hash = hash * 6364136223846793005u + 1442695040888963407u;
    for (float& lane : lanes) lane = lane * 0.5f + float(hash >> 60);
  }
  double sum = a + b + c + d + double(e) + double(hash >> 40);
  for (float lane : lanes) sum += lane;
  return sum;
}

BOOST_AUTO_TEST_CASE(preemptible_goroutines_are_interrupted_in_their_own_code_and_go_on_unharmed) {
  constexpr int kTurns = 100'000, kGoroutines = 6;
  for (int procs : {1, 2}) {
    Settings settings(procs);
    Runtime::get().options.time_slice = 200 * kMicrosecond;
    Runtime::get().options.preempt_grace = 50 * kMicrosecond;
    Runtime::get().options.sysmon_max = 100 * kMicrosecond;
    uint64_t before = total(kBySignal);
    std::atomic<int> wrong{0}, rounds{0};
    std::atomic<bool> stop{false};
    run([&] {
      WaitGroup wg;
      wg.add(kGoroutines);
      for (int i = 0; i < kGoroutines; i++) {
        go({.preemptible = true}, [&, i] {
          double expected = mix(kTurns, uint64_t(i));
          while (!stop) {
            wrong += mix(kTurns, uint64_t(i)) != expected;
            rounds++;
            yield();   // on a busy machine it may have lost its P instead
          }
          wg.done();
        });
      }
      until([&] { return rounds > 10 * kGoroutines && total(kBySignal) > before + 100; });
      stop = true;
      wg.wait();
    });
    BOOST_TEST(wrong == 0);
  }
}

BOOST_AUTO_TEST_CASE(one_that_does_not_allow_it_is_never_interrupted) {
  Settings settings(1);
  uint64_t before = total(kBySignal), handed = total(kHandedOff);
  run([&] {
    std::atomic<bool> stop{false};
    go([&] { stop = true; });
    while (!stop) {}
  });
  BOOST_TEST(total(kBySignal) == before);
  BOOST_TEST(total(kHandedOff) > handed);
}

struct Cell {
  heap::Pointer<Cell> next;
  int64_t value = 0;
  static auto heap_pointers() { return heap::pointers(&Cell::next); }
};

// Its pointers may be in registers only, which the kernel has put on its stack.
BOOST_AUTO_TEST_CASE(what_an_interrupted_goroutine_points_to_stays_alive) {
  Settings settings(1);
  Runtime::get().options.time_slice = 200 * kMicrosecond;
  Runtime::get().options.preempt_grace = 50 * kMicrosecond;
  Runtime::get().options.sysmon_max = 100 * kMicrosecond;
  std::atomic<int> wrong{0}, rounds{0};
  std::atomic<bool> stop{false};
  uint64_t before = total(kBySignal);
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 3; i++) {
      wg.add(1);
      go({.preemptible = true}, [&] {
        while (!stop) {
          Cell* list = nullptr;
          for (int n = 0; n < 100; n++) {
            Cell* cell = heap::make<Cell>();
            cell->value = n;
            cell->next = list;
            list = cell;
          }
          for (int turn = 0; turn < 2000; turn++) {
            int64_t sum = 0;
            for (Cell* cell = list; cell; cell = cell->next) sum += cell->value;
            wrong += sum != 99 * 100 / 2;
          }
          rounds++;
          yield();
        }
        wg.done();
      });
    }
    until([&] {
      gc::collect();
      return rounds > 30 && total(kBySignal) > before + 20;
    });
    stop = true;
    wg.wait();
  });
  BOOST_TEST(wrong == 0);
}

// An operation with a deadline reads the clock under its lock, most of that time in the kernel's vdso: interrupted there, the goroutine kept the lock.
BOOST_AUTO_TEST_CASE(nobody_is_interrupted_while_the_core_reads_the_clock) {
  Settings settings(1);
  Options& options = Runtime::get().options;
  for (Interval* interval : {&options.time_slice, &options.sysmon_min, &options.sysmon_max}) *interval = 50 * kMicrosecond;
  options.preempt_grace = 1000 * kSecond;   // else its P would be handed to whoever can release the lock
  uint64_t before = total(kBySignal);
  run([&] {
    Chan<int> empty(0);
    WaitGroup wg;
    for (int i = 0; i < 3; i++) {
      wg.add(1);
      go({.preemptible = true}, [&] {
        std::optional<int> none;
        while (total(kBySignal) < before + 100) {
          for (int n = 0; n < 3000; n++) {
            if (mix(5, n) < 0) return;          // never
            (void)empty.recv_until(&none, 1);   // long past
          }
          yield();   // one whose slice did not end at a signal is not asked again
        }
        wg.done();
      });
    }
    wg.wait();
  });
  BOOST_TEST(total(kBySignal) >= before + 100);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
