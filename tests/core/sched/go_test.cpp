#include <boost/test/unit_test.hpp>

#include <atomic>
#include <set>
#include <thread>
#include <unistd.h>
#include <vector>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/runtime.h"
#include "gort/sync/wait_group.h"

using namespace gort;

BOOST_AUTO_TEST_SUITE(go_)

BOOST_AUTO_TEST_CASE(run_waits_for_its_function_and_rethrows) {
  int x = 0;
  run([&] { x = 42; });
  BOOST_TEST(x == 42);
  BOOST_CHECK_THROW(run([] { throw Panic("boom"); }), Panic);
}

BOOST_AUTO_TEST_CASE(every_goroutine_runs_once) {
  std::atomic<int> count{0};
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 3000; i++) {
      wg.add(1);
      go([&] {
        count++;
        wg.done();
      });
    }
    wg.wait();
  });
  BOOST_TEST(count.load() == 3000);
}

#ifndef GORT_DEBUG_TIER   // which forces migration and so another order
BOOST_AUTO_TEST_CASE(the_last_started_runs_first_and_the_others_in_order) {
  // Go: with GOMAXPROCS(1), for i { go f(i) } runs the last first
  testing::EndlessSlices endless;
  std::vector<int> order;
  int before = gomaxprocs(1);
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 10; i++) {
      wg.add(1);
      go([&, i] {
        order.push_back(i);
        wg.done();
      });
    }
    wg.wait();
  });
  gomaxprocs(before);
  BOOST_TEST(order == (std::vector<int>{9, 0, 1, 2, 3, 4, 5, 6, 7, 8}), boost::test_tools::per_element());
}

// sysmon's first look at a queue was taken for the end of a slice, since it had not looked for long: the last started then ran last
BOOST_AUTO_TEST_CASE(the_last_started_runs_first_also_after_a_long_rest) {
  int before = gomaxprocs(1);
  Options options = Runtime::get().options;
  Runtime::get().options.time_slice = 30 * kMillisecond;
  int in_order = 0;
  for (int round = 0; round < 20; round++) {
    std::vector<int> order;
    usleep(40'000);
    run([&] {
      WaitGroup wg;
      for (int i = 0; i < 3; i++) {
        wg.add(1);
        go([&, i] {
          order.push_back(i);
          wg.done();
        });
      }
      for (Nanos end = nanotime() + 5 * kMillisecond; nanotime() < end;) {}   // sysmon looks
      wg.wait();
    });
    in_order += order == std::vector<int>{2, 0, 1};
  }
  BOOST_TEST(in_order >= 15);   // not 20: when the machine halts for 30 ms, a slice does end
  Runtime::get().options = options;
  gomaxprocs(before);
}
#endif

BOOST_AUTO_TEST_CASE(ids_are_never_reused) {
  std::set<uint64_t> ids;
  SpinLock lock;
  run([&] {
    for (int round = 0; round < 5; round++) {
      WaitGroup wg;
      for (int i = 0; i < 300; i++) {
        wg.add(1);
        go([&] {
          uint64_t id = goroutine_id();
          lock.lock();
          ids.insert(id);
          lock.unlock();
          wg.done();
        });
      }
      wg.wait();
    }
  });
  BOOST_TEST(ids.size() == 1500u);
}

BOOST_AUTO_TEST_CASE(goexit_runs_destructors_and_ends_the_goroutine_only) {
  bool destroyed = false, after = false;
  run([&] {
    WaitGroup wg;
    wg.add(1);
    go([&] {
      struct Guard {
        bool& flag;
        WaitGroup& wg;
        ~Guard() {
          flag = true;
          wg.done();
        }
      } guard{destroyed, wg};
      goexit();
      after = true;
    });
    wg.wait();
  });
  BOOST_TEST(destroyed);
  BOOST_TEST(!after);
}

BOOST_AUTO_TEST_CASE(function_objects_of_any_size_are_destroyed_once) {
  static std::atomic<int> alive{0};
  struct Counted {
    Counted() { alive++; }
    Counted(const Counted&) { alive++; }
    ~Counted() { alive--; }
  };
  struct Big {
    char bytes[500] = {};
    Counted counted;
  };
  run([&] {
    WaitGroup wg;
    wg.add(2);
    go([&wg, c = Counted()] { wg.done(); });
    go([&wg, b = Big()] { wg.done(); });
    wg.wait();
    while (alive.load() != 0) yield();
  });
  BOOST_TEST(alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(more_than_256_runnable_goroutines_overflow_and_all_run) {
  int before = gomaxprocs(1);
  std::atomic<int> count{0};
  run([&] {
    for (int i = 0; i < 1000; i++) go([&] { count++; });
    while (count.load() != 1000) yield();
  });
  gomaxprocs(before);
  BOOST_TEST(count.load() == 1000);
}

// It stood at the end of its P's queue, in front of whoever had not found room there, and had 60 of 61 turns.
BOOST_AUTO_TEST_CASE(a_goroutine_that_yields_stands_behind_all_that_were_runnable) {
  int before = gomaxprocs(1);
  int count = 0, yields = 0;
  run([&] {
    for (int i = 0; i < 1000; i++) go([&] { count++; });
    for (; count != 1000; yields++) yield();
  });
  gomaxprocs(before);
  BOOST_TEST(yields <= 2);
}

BOOST_AUTO_TEST_CASE(gomaxprocs_can_change_while_goroutines_run) {
  int before = gomaxprocs();
  std::atomic<long> turns{0};
  std::atomic<bool> stop{false};
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 8; i++) {
      wg.add(1);
      go([&] {
        while (!stop.load()) {
          turns++;
          yield();
        }
        wg.done();
      });
    }
    for (int n : {1, 4, 2, 8, 3, 1, 2}) {
      gomaxprocs(n);
      BOOST_TEST(gomaxprocs() == n);
      long seen = turns.load();
      while (turns.load() < seen + 200) yield();
    }
    stop = true;
    wg.wait();
  });
  gomaxprocs(before);
}

BOOST_AUTO_TEST_CASE(a_blocking_call_does_not_keep_the_processor) {
  int before = gomaxprocs(1);
  int pipe_ends[2];
  BOOST_REQUIRE(pipe(pipe_ends) == 0);
  char got = 0;
  ssize_t bytes_read = 0, bytes_written = 0;
  run([&] {
    WaitGroup wg;
    wg.add(2);
    go([&] {
      {
        BlockingScope blocking;
        bytes_read = read(pipe_ends[0], &got, 1);
      }
      wg.done();
    });
    // Only runs if the reader gave its P away: there is just one.
    go([&] {
      bytes_written = write(pipe_ends[1], "x", 1);
      wg.done();
    });
    wg.wait();
  });
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  gomaxprocs(before);
  BOOST_TEST(bytes_read == 1);
  BOOST_TEST(bytes_written == 1);
  BOOST_TEST(got == 'x');
}

BOOST_AUTO_TEST_CASE(short_blocking_calls_keep_or_regain_a_processor) {
  std::atomic<int> done{0};
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 4; i++) {
      wg.add(1);
      go([&] {
        for (int k = 0; k < 2000; k++) {
          { BlockingScope blocking; }
          if (k % 7 == 0) yield();
        }
        done++;
        wg.done();
      });
    }
    wg.wait();
  });
  BOOST_TEST(done.load() == 4);
}

BOOST_AUTO_TEST_CASE(plain_threads_wait_and_wake_like_goroutines) {
  WaitGroup wg;
  wg.add(50);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) threads.emplace_back([&] { wg.wait(); });
  for (int i = 0; i < 50; i++) go([&] { wg.done(); });
  wg.wait();
  for (auto& thread : threads) thread.join();
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(goroutine_counts_return_to_where_they_were) {
  run([&] {
    int64_t before = num_goroutine();
    WaitGroup wg;
    wg.add(100);
    for (int i = 0; i < 100; i++) {
      go([&] {
        yield();
        wg.done();
      });
    }
    wg.wait();
    while (num_goroutine() != before) yield();
    BOOST_TEST(num_goroutine() == before);
  });
}

BOOST_AUTO_TEST_CASE(idle_threads_can_be_ended_and_started_again) {
  run([] {});
  int timekeepers = Runtime::get().native().next_timer() != 0;   // of another case's timer
  // run returns when its function does: the thread that called it may not be idle yet.
  testing::until([&] {
    Runtime::get().stop_idle_threads();
    return Runtime::get().native().machine_count() <= 1 + timekeepers;
  });
  int x = 0;
  run([&] { x = 1; });
  BOOST_TEST(x == 1);
}

BOOST_AUTO_TEST_SUITE_END()
