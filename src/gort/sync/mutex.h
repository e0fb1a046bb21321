// Mutex is Go's mutual exclusion lock, for goroutines and threads.
//
//   gort::Mutex mu;
//   { std::lock_guard lock(mu); total += n; }
//
// Thread safety: any goroutine or thread; not recursive; not owned: anybody may unlock it.
//
// Go's two modes. Normal: waiters queue in FIFO order, but a woken one competes with newcomers, who are running already and
// mostly win; that is fast. A waiter that could not get it for 1 ms turns the mutex to starvation mode: unlock hands it to the
// first waiter directly, newcomers queue at the end without trying. The mutex goes back to normal mode when a waiter gets it
// that is the last one or has waited less than 1 ms.
//
// State word: locked | woken | starving | waiters << 3.
//   woken: somebody is awake and trying; unlock need not wake another.
//   Normal mode:     parties that wait == waiters + permits released and not yet taken (0 or 1, with woken set)
//   Starvation mode: parties that wait == waiters; unlocked in this mode means that one permit is out for one of them
// These two equations are what a waiter that gives up (deadline, Ctrl-C, end of the run) keeps: it takes itself out of
// waiters, or, when what is left can only be its own permit, takes the permit and passes the mutex on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gort/base/clock.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"

namespace gort {

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // lock parks the caller until it has the mutex. Wait reason: sync.Mutex.Lock.
  // A wait that the runtime ends throws what throw_outcome says; the mutex is not held then.
  void lock() {
    world::safe_point();   // not behind the exchange, as in channel.cpp: nobody gives its slice away holding the mutex; explored schedules need it
    int32_t free = 0;
    if (!state_.compare_exchange_strong(free, kLocked, std::memory_order_acquire, std::memory_order_relaxed)) [[unlikely]] lock_or_throw();
  }
  // lock_until is lock with an outcome: the mutex is held iff Fired. A deadline that has passed: tries once.
  [[nodiscard]] Outcome lock_until(Nanos deadline = kForever) {
    world::safe_point();
    if (take()) [[likely]] return Outcome::Fired;
    return lock_slow(deadline);
  }
  // lock_for_sure is lock that nothing but the mutex ends: for taking a lock back that the caller must hold on return (Cond::wait).
  // Returns Fired, or the first other outcome that it did not obey.
  Outcome lock_for_sure();

  // try_lock may take the mutex before those who wait; fails in starvation mode.
  [[nodiscard]] bool try_lock() {
    world::safe_point();
    return take();
  }

  // take and unlock look before they exchange: an exchange that fails costs as much as one that does not, and with somebody waiting the first always did
  // (contended on 2 CPUs: 12.6 -> 7.1 ns). lock looks after its first one, and unlock's does not wait for what was looked at (free: 4.75 -> 4.4).

  // unlock throws Fatal("sync: unlock of unlocked mutex") with nothing changed. In starvation mode the caller yields its time slice.
  void unlock() {
    int32_t held = state_.load(std::memory_order_relaxed), only = kLocked;
    asm("" : "+r"(only));   // else the optimiser sees that it is the same as held
    if (held == kLocked && state_.compare_exchange_strong(only, 0, std::memory_order_release, std::memory_order_relaxed)) [[likely]] return;
    unlock_slow();
  }

  // For dumps: the goroutine that has it, 0 if that is not known. Known to those who say so, after locking and (0) before unlocking: the
  // Python face does. The C++ face does not: finding out who one is costs as much as the lock itself.
  uint64_t holder() const { return holder_.load(std::memory_order_relaxed); }
  void note_holder(uint64_t goroutine) { holder_.store(goroutine, std::memory_order_relaxed); }
  static size_t holder_offset() { return offsetof(Mutex, holder_); }   // for readers outside the process (layout.h)

  struct State {
    bool locked, woken, starving;
    int32_t waiters;
  };
  State state() const {
    int32_t s = state_.load(std::memory_order_relaxed);
    return {(s & kLocked) != 0, (s & kWoken) != 0, (s & kStarving) != 0, s >> kWaiterShift};
  }

 private:
  static constexpr int32_t kLocked = 1;
  static constexpr int32_t kWoken = 2;
  static constexpr int32_t kStarving = 4;
  static constexpr int kWaiterShift = 3;
  static constexpr int32_t kWaiter = 1 << kWaiterShift;

  bool take() {
    int32_t old = state_.load(std::memory_order_relaxed);
    if (old & (kLocked | kStarving)) return false;
    return state_.compare_exchange_strong(old, old | kLocked, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void lock_or_throw();
  Outcome lock_slow(Nanos deadline);
  void give_up();
  void unlock_slow();

  std::atomic<int32_t> state_{0};
  std::atomic<uint32_t> semaphore_{0};
  std::atomic<uint64_t> holder_{0};
};

}  // namespace gort
