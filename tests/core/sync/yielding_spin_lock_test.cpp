#include <boost/test/unit_test.hpp>

#include <mutex>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/sched/choice.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"
#include "gort/sync/yielding_spin_lock.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(yielding_spin_lock)

BOOST_AUTO_TEST_CASE(goroutines_and_threads_exclude_each_other) {
  YieldingSpinLock lock;
  int count = 0;
  auto work = [&] {
    for (int i = 0; i < 1000; i++) {
      std::lock_guard hold(lock);
      int before = count;
      if (i % 100 == 0) yield();   // a holder may let others run
      count = before + 1;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) threads.emplace_back(work);
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 5; i++) wg.go(work);
    wg.wait();
  });
  for (std::thread& thread : threads) thread.join();
  BOOST_TEST(count == 8000);
}

BOOST_AUTO_TEST_CASE(try_lock_takes_a_free_lock_only) {
  YieldingSpinLock lock;
  BOOST_TEST(lock.try_lock());
  BOOST_TEST(!lock.try_lock());
  BOOST_TEST(lock.is_locked());
  lock.unlock();
  BOOST_TEST(!lock.is_locked());
  BOOST_TEST(lock.try_lock());
}

BOOST_AUTO_TEST_CASE(unlock_of_an_unlocked_one_is_fatal_and_changes_nothing) {
  YieldingSpinLock lock;
  BOOST_TEST(text_of<Fatal>([&] { lock.unlock(); }) == "sync: unlock of unlocked SpinLock");
  BOOST_TEST(lock.try_lock());
}

BOOST_AUTO_TEST_CASE(a_holder_may_park) {
  run([] {
    YieldingSpinLock lock;
    int order = 0;
    WaitGroup wg;
    lock.lock();
    wg.go([&] {
      lock.lock();
      order = order * 10 + 2;
      lock.unlock();
    });
    until([] { return someone_waits(WaitReason::Sleep); });   // it has gone over to sleeping
    order = order * 10 + 1;
    lock.unlock();
    wg.wait();
    BOOST_TEST(order == 12);
  });
}

BOOST_AUTO_TEST_CASE(a_wait_that_is_ended_leaves_the_lock_as_it_was) {
  run([] {
    YieldingSpinLock lock;
    Outcome outcome = Outcome::Pending;
    std::atomic<G*> waiter{nullptr};
    WaitGroup wg;
    lock.lock();
    wg.go([&] {
      waiter = current();
      outcome = lock.lock_until();
    });
    until([&] { return waiter.load() != nullptr; });
    interrupt(waiter);
    wg.wait();
    BOOST_TEST((outcome == Outcome::Interrupted));
    BOOST_TEST(lock.is_locked());
    lock.unlock();
    BOOST_TEST(lock.try_lock());
  });
}

BOOST_AUTO_TEST_SUITE_END()
