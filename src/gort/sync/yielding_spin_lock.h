// YieldingSpinLock is mutual exclusion for sections of a few instructions: who finds it taken spins, then lets others run, and never queues.
//
//   gort::YieldingSpinLock lock;
//   { std::lock_guard hold(lock); total += n; }
//
// Thread safety: any goroutine or thread; not recursive; not owned: anybody may unlock it. No order among those who wait: one may starve. Mutex is the
// right lock nearly always: as fast while it is free, fair, and its waiters cost nothing.
//
// Unlike the core's own SpinLock (base/spin_lock.h) a holder may do what it likes, also park: waiters go over to sleeping (backoff.h).
// A holder that never gives it back is therefore no deadlock that is reported.
#pragma once

#include <atomic>

#include "gort/sched/park.h"
#include "gort/sched/world.h"

namespace gort {

class YieldingSpinLock {
 public:
  YieldingSpinLock() = default;
  YieldingSpinLock(const YieldingSpinLock&) = delete;
  YieldingSpinLock& operator=(const YieldingSpinLock&) = delete;

  // lock waits until the caller has it; may park. A wait that the runtime ends throws what throw_outcome says; it is not held then.
  void lock() {
    Outcome outcome = lock_until();
    if (outcome != Outcome::Fired) [[unlikely]] throw_outcome(outcome);
  }
  // lock_until is lock with an outcome: held iff Fired.
  [[nodiscard]] Outcome lock_until() {
    if (try_lock()) [[likely]] return Outcome::Fired;
    return lock_slow();
  }

  [[nodiscard]] bool try_lock() {
    world::safe_point();   // before it is taken: nobody gives its slice away holding it
    return !held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_acquire);
  }

  // unlock throws Fatal("sync: unlock of unlocked SpinLock") with nothing changed.
  void unlock() {
    if (!held_.exchange(false, std::memory_order_release)) [[unlikely]] unlock_failed();
  }

  bool is_locked() const { return held_.load(std::memory_order_relaxed); }

 private:
  Outcome lock_slow();
  [[noreturn]] static void unlock_failed();

  std::atomic<bool> held_{false};
};

}  // namespace gort
