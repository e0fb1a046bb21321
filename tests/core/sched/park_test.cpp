#include <boost/test/unit_test.hpp>

#include <atomic>
#include <deque>
#include <thread>

#include "gort/base/errors.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/runtime.h"
#include "gort/sync/wait_group.h"

using namespace gort;

namespace {

// The smallest thing one can wait for.
struct Gate {
  SpinLock lock{LockRank::Sync};
  WaitQueue queue;

  Outcome wait(Nanos deadline = kForever) {
    Waiter w(current());
    lock.lock();
    queue.push(&w);
    Outcome outcome = park(&lock, {.reason = WaitReason::Semacquire, .on = this, .deadline = deadline});
    if (outcome != Outcome::Fired) {
      lock.lock();
      queue.remove(&w);
      lock.unlock();
    }
    return outcome;
  }
  bool wake() {
    lock.lock();
    Waiter* w = queue.pop_claimed();
    G* g = w ? w->g : nullptr;
    lock.unlock();
    if (g) ready(g);
    return g != nullptr;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(park_)

// It was, if whoever had ended its wait went idle before goroutine 1's thread had counted itself idle.
BOOST_AUTO_TEST_CASE(goroutine_1_is_not_told_of_a_deadlock_when_its_wait_is_over) {
  int ended = 0;
  std::thread([&] {
    Runtime::get().set_main(current());
    for (int i = 0; i < 1000; i++) {
      Gate gate;
      go([&] {
        while (!gate.wake()) yield();
      });
      ended += gate.wait() == Outcome::Fired;
    }
    Runtime::get().set_main(nullptr);
  }).join();
  BOOST_TEST(ended == 1000);
}

// It was, if whoever had readied another thread went idle before that thread had counted itself idle.
BOOST_AUTO_TEST_CASE(goroutine_1_is_not_told_of_a_deadlock_while_another_thread_is_about_to_go_on) {
  int ended = 0;
  std::thread([&] {
    Runtime::get().set_main(current());
    Gate there, back;
    std::atomic<bool> over{false};
    std::thread other([&] {
      while (there.wait() == Outcome::Fired && !over) {
        while (!back.wake() && !over) std::this_thread::yield();
      }
    });
    for (int i = 0; i < 1000; i++) {
      go([&] {
        while (!there.wake()) yield();
      });
      ended += back.wait() == Outcome::Fired;
    }
    over = true;
    Runtime::get().set_main(nullptr);
    while (!there.wake()) std::this_thread::yield();
    other.join();
  }).join();
  BOOST_TEST(ended == 1000);
}

BOOST_AUTO_TEST_CASE(a_wake_up_right_after_the_unlock_is_not_lost) {
  run([] {
    Gate there, back;
    constexpr int kRounds = 20'000;
    WaitGroup wg;
    wg.add(2);
    go([&] {
      for (int i = 0; i < kRounds; i++) {
        while (!there.wake()) yield();
        back.wait();
      }
      wg.done();
    });
    go([&] {
      for (int i = 0; i < kRounds; i++) {
        there.wait();
        while (!back.wake()) yield();
      }
      wg.done();
    });
    wg.wait();
    BOOST_TEST(true);
  });
}

BOOST_AUTO_TEST_CASE(exactly_one_of_waker_and_deadline_wins) {
  run([] {
    std::atomic<int> fired{0}, timed_out{0}, woken{0};
    constexpr int kRounds = 400;
    WaitGroup wg;
    wg.add(2);
    Gate gate;
    std::atomic<bool> done{false};
    go([&] {
      for (int i = 0; i < kRounds; i++) {
        Outcome outcome = gate.wait(deadline_after((i % 5) * 20 * kMicrosecond));
        (outcome == Outcome::Fired ? fired : timed_out)++;
      }
      done = true;
      wg.done();
    });
    go([&] {
      while (!done.load()) {
        woken += gate.wake();
        yield();
      }
      wg.done();
    });
    wg.wait();
    BOOST_TEST(fired.load() + timed_out.load() == kRounds);
    BOOST_TEST(fired.load() == woken.load());
  });
}

BOOST_AUTO_TEST_CASE(a_stale_claim_fails) {
  run([] {
    G* g = current();
    uint64_t old = begin_wait(g);
    BOOST_TEST(claim(g, old, Outcome::Fired));
    BOOST_TEST(!claim(g, old, Outcome::TimedOut));
    uint64_t now = begin_wait(g);
    BOOST_TEST(!claim(g, old, Outcome::TimedOut));
    BOOST_TEST(claim(g, now, Outcome::Fired));
  });
}

BOOST_AUTO_TEST_CASE(a_request_ends_the_wait_or_the_next_one) {
  run([] {
    Gate gate;
    std::atomic<G*> waiting{nullptr};
    std::atomic<int> exits{0};
    WaitGroup wg;
    wg.add(1);
    go([&] {
      waiting = current();
      exits += gate.wait() == Outcome::Exit;
      exits += gate.wait() == Outcome::Exit;   // kExit stays: every further wait ends at once
      wg.done();
    });
    while (!waiting.load()) yield();
    Runtime::get().request(waiting.load(), G::kExit);
    wg.wait();
    BOOST_TEST(exits.load() == 2);
    BOOST_TEST(gate.queue.empty());
  });
}

BOOST_AUTO_TEST_CASE(an_interrupt_ends_one_wait_only) {
  run([] {
    Gate gate;
    G* g = current();
    Runtime::get().request(g, G::kInterrupt);
    BOOST_CHECK(gate.wait() == Outcome::Interrupted);
    BOOST_CHECK(gate.wait(deadline_after(kMillisecond)) == Outcome::TimedOut);
  });
}

BOOST_AUTO_TEST_CASE(as_many_waits_are_interrupted_as_interrupts_were_sent) {
  // request() once claimed a second wait when the waiter had taken the first request itself
  run([] {
    Gate gate;
    std::atomic<G*> waiting{nullptr};
    std::atomic<int> interrupted{0};
    std::atomic<bool> done{false};
    WaitGroup wg;
    wg.add(1);
    go([&] {
      waiting = current();
      while (!done.load()) interrupted += gate.wait(deadline_after(20 * kMicrosecond)) == Outcome::Interrupted;
      interrupted += gate.wait(deadline_after(1)) == Outcome::Interrupted;
      wg.done();
    });
    while (!waiting.load()) yield();
    constexpr int kSent = 2000;
    for (int sent = 1; sent <= kSent; sent++) {
      Runtime::get().request(waiting.load(), G::kInterrupt);
      while (interrupted.load() < sent) yield();
    }
    done = true;
    wg.wait();
    BOOST_TEST(interrupted.load() == kSent);
  });
}

BOOST_AUTO_TEST_CASE(plain_threads_and_goroutines_wake_each_other) {
  Gate to_thread, to_goroutine;
  constexpr int kRounds = 2000;
  std::thread thread([&] {
    for (int i = 0; i < kRounds; i++) {
      to_thread.wait();
      while (!to_goroutine.wake()) std::this_thread::yield();
    }
  });
  run([&] {
    for (int i = 0; i < kRounds; i++) {
      while (!to_thread.wake()) yield();
      to_goroutine.wait();
    }
  });
  thread.join();
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(a_plain_thread_s_wait_has_deadlines_too) {
  Gate gate;
  BOOST_CHECK(gate.wait(deadline_after(2 * kMillisecond)) == Outcome::TimedOut);
  BOOST_TEST(gate.queue.empty());
}

BOOST_AUTO_TEST_CASE(a_hundred_parked_goroutines_show_their_reason_in_the_dump) {
  run([] {
    Gate gate;
    WaitGroup wg;
    wg.add(100);
    for (int i = 0; i < 100; i++) {
      go([&] {
        gate.wait();
        wg.done();
      });
    }
    for (;;) {
      gate.lock.lock();
      size_t n = gate.queue.size();
      gate.lock.unlock();
      if (n == 100) break;
      yield();
    }
    std::string dump = Runtime::get().dump();
    size_t shown = 0;
    for (size_t at = 0; (at = dump.find("[semacquire]:", at)) != std::string::npos; at++) shown++;
    BOOST_TEST(shown == 100u);
    for (int i = 0; i < 100; i++) gate.wake();
    wg.wait();
  });
}

BOOST_AUTO_TEST_SUITE_END()
