#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <set>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include "gort/base/errors.h"
#include "gort/chan/typed_channel.h"
#include "gort/gc/collector.h"
#include "gort/heap/object.h"
#include "gort/sched/go.h"
#include "gort/sched/goroutine.h"
#include "gort/sched/runtime.h"
#include "gort/sync/wait_group.h"
#include "../child.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

namespace {
// Asked anew each time: a compiler may keep what pthread_self said over a switch.
pid_t thread_id() { return pid_t(syscall(SYS_gettid)); }

// Locks the calling goroutine for the life of the object.
struct Locked {
  Locked() { lock_os_thread(); }
  ~Locked() { unlock_os_thread(); }
};
}  // namespace

BOOST_AUTO_TEST_SUITE(os_thread)

BOOST_AUTO_TEST_CASE(a_locked_goroutine_stays_on_its_thread_over_every_kind_of_wait_and_nobody_else_runs_there) {
  std::atomic<bool> moved{false}, intruded{false};
  run([&] {
    WaitGroup wg;
    Chan<int> there(0), back(0);
    std::atomic<pid_t> home{0};
    std::atomic<bool> done{false};
    wg.go([&] {
      Locked locked;
      home = thread_id();
      for (int i = 0; i < 100 * kRounds; i++) {
        back.send(there.recv());
        if (i % 10 == 0) yield();
        if (i % 50 == 0) (void)sleep_until(soon());
        moved = moved || thread_id() != home;
      }
      done = true;
    });
    for (int k = 0; k < 8; k++) {
      wg.go([&] {
        while (!done) {
          yield();
          intruded = intruded || (thread_id() == home && !done);
        }
      });
    }
    for (int i = 0; i < 100 * kRounds; i++) {
      there.send(i);
      back.recv();
    }
    wg.wait();
  });
  BOOST_TEST(!moved);
  BOOST_TEST(!intruded);
}

// Go: TestLockOSThreadNesting
BOOST_AUTO_TEST_CASE(locks_nest_and_unlocking_too_often_does_nothing) {
  uint32_t depths[5] = {};
  std::string overflow;
  bool free = false;
  run([&] {
    G* g = current();
    unlock_os_thread();
    depths[0] = g->thread_locks;
    lock_os_thread();
    lock_os_thread();
    depths[1] = g->thread_locks;
    unlock_os_thread();
    depths[2] = g->thread_locks;
    depths[3] = g->own_machine != nullptr;
    unlock_os_thread();
    depths[4] = g->thread_locks;
    free = g->own_machine == nullptr;
    g->thread_locks = UINT32_MAX;
    overflow = text_of<Panic>([] { lock_os_thread(); });
    g->thread_locks = 0;
  });
  BOOST_TEST(depths == (std::array<uint32_t, 5>{0, 2, 1, 1, 0}), boost::test_tools::per_element());
  BOOST_TEST(free);
  BOOST_TEST(overflow == "LockOSThread nesting overflow");
}

// Go: TestLockOSThreadExit
BOOST_AUTO_TEST_CASE(a_goroutine_that_ends_locked_takes_its_thread_with_it) {
  std::set<pid_t> ended;
  bool seen_again = false;
  run([&] {
    std::atomic<pid_t> last{0};
    for (int i = 0; i < 20; i++) {
      WaitGroup wg;
      wg.go([&] {
        lock_os_thread();
        last = thread_id();
      });
      wg.wait();
      until([&] { return syscall(SYS_tgkill, getpid(), last.load(), 0) != 0; });   // the thread is gone
      ended.insert(last);
      pid_t next = 0;
      wg.go([&] { next = thread_id(); });
      wg.wait();
      seen_again = seen_again || ended.count(next);
    }
  });
  BOOST_TEST(ended.size() >= 1u);   // the system may use a number again
  BOOST_TEST(!seen_again);
}

// Go: TestYieldLocked, TestBlockLocked
BOOST_AUTO_TEST_CASE(two_locked_goroutines_pass_values_on_one_p) {
  int before = gomaxprocs(1);
  int64_t sum = 0;
  run([&] {
    WaitGroup wg;
    Chan<int> values(0);
    wg.go([&] {
      Locked locked;
      for (int i = 1; i <= 100; i++) {
        values.send(i);
        yield();
      }
      values.close();
    });
    wg.go([&] {
      Locked locked;
      for (int v : values) sum += v;
    });
    wg.wait();
  });
  gomaxprocs(before);
  BOOST_TEST(sum == 5050);
}

BOOST_AUTO_TEST_CASE(a_collection_sees_the_stack_of_a_locked_goroutine_that_waits) {
  int64_t seen = 0;
  run([&] {
    WaitGroup wg;
    Chan<bool> go_on(0);
    wg.go([&] {
      Locked locked;
      auto* object = heap::make<int64_t>();
      *object = 4711;
      go_on.recv();
      seen = *object;
    });
    until([] { return someone_waits(WaitReason::ChanReceive); });
    for (int i = 0; i < 3; i++) {
      gc::collect();
      for (int k = 0; k < 10'000; k++) *heap::make<int64_t>() = -1;
    }
    go_on.send(true);
    wg.wait();
  });
  BOOST_TEST(seen == 4711);
}

// Go: TestThreadExhaustion
BOOST_AUTO_TEST_CASE(more_threads_than_the_limit_end_the_process_as_in_go) {
  Ended child = in_child([] {
    Runtime::get().max_machines = 10;
    run([] {
      WaitGroup wg;
      for (int i = 0; i < 20; i++) {
        wg.go([] {
          lock_os_thread();
          yield();
          (void)sleep_until(kForever - 1);
        });
      }
      wg.wait();
    });
  });
  BOOST_TEST(child.status == 2);
  BOOST_TEST(child.error == "runtime: program exceeds 10-thread limit\nfatal error: thread exhaustion\n");
}

BOOST_AUTO_TEST_SUITE_END()
