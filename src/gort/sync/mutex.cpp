#include "gort/sync/mutex.h"

#include <sched.h>

#include "gort/base/cpu.h"
#include "gort/base/errors.h"
#include "gort/sched/choice.h"
#include "gort/sched/go.h"
#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"
#include "gort/sync/for_sure.h"
#include "gort/sync/semaphore.h"

namespace gort {
namespace {

constexpr Nanos kStarvationThreshold = kMillisecond;
constexpr int kSpins = 4;
constexpr int kPausesPerSpin = 30;
const bool several_cpus = num_cpu() > 1;   // not in the function: preempt::available says why

// Spinning pays if the holder runs on another CPU this moment and nobody waits for ours. With the GIL, so with one P, it would only hold up the holder.
bool may_spin(int spins) {
  if (spins >= kSpins || !several_cpus) return false;
  M* m = this_machine();
  RuntimeScope inside(m);
  if (!m || !m->p) return false;
  return m->lane->processors() > m->lane->idle_processors() + m->lane->spinning() + 1 && m->p->queue.empty() && m->pinning.queue.empty();
}

// In an explored run time decides nothing.
bool waited_long(Nanos began) {
  return choice::exploring() ? choice::below(8) == 0 : nanotime() - began > kStarvationThreshold;
}

}  // namespace

void Mutex::lock_or_throw() {
  if (take()) return;
  Outcome outcome = lock_slow(kForever);
  if (outcome != Outcome::Fired) throw_outcome(outcome);
}

Outcome Mutex::lock_slow(Nanos deadline) {
  if (has_passed(deadline)) return take() ? Outcome::Fired : Outcome::TimedOut;
  current_to_wait();
  Nanos wait_began = 0;
  bool starving = false;  // we are, for longer than the threshold
  bool awake = false;     // we hold the woken bit
  int spins = 0;
  int32_t old = state_.load(std::memory_order_relaxed);
  for (;;) {
    if ((old & (kLocked | kStarving)) == kLocked && may_spin(spins)) {
      if (!awake && !(old & kWoken) && old >> kWaiterShift != 0 &&
          state_.compare_exchange_weak(old, old | kWoken, std::memory_order_relaxed)) {
        awake = true;
      }
      for (int i = 0; i < kPausesPerSpin; i++) cpu_relax();
      spins++;
      old = state_.load(std::memory_order_relaxed);
      continue;
    }
    int32_t wanted = old;
    if (!(old & kStarving)) wanted |= kLocked;
    if (old & (kLocked | kStarving)) wanted += kWaiter;
    if (starving && (old & kLocked)) wanted |= kStarving;
    if (awake) wanted &= ~kWoken;
    if (!state_.compare_exchange_weak(old, wanted, std::memory_order_acquire, std::memory_order_relaxed)) continue;
    if (!(old & (kLocked | kStarving))) return Outcome::Fired;

    bool waited_before = wait_began != 0;
    if (!waited_before) wait_began = nanotime();
    Outcome outcome = semacquire(semaphore_, waited_before, WaitReason::MutexLock, deadline, this);
    if (outcome != Outcome::Fired) {
      give_up();
      return outcome;
    }
    starving = starving || waited_long(wait_began);
    old = state_.load(std::memory_order_relaxed);
    if (old & kStarving) {
      // Handed over: unlocked, with us still counted as a waiter. Others only add themselves meanwhile, or take themselves out.
      for (;;) {
        int32_t mine = (old | kLocked) - kWaiter;
        if (!starving || old >> kWaiterShift == 1) mine &= ~kStarving;
        if (state_.compare_exchange_weak(old, mine, std::memory_order_acquire, std::memory_order_relaxed)) return Outcome::Fired;
      }
    }
    awake = true;
    spins = 0;
  }
}

// give_up ends the wait of a party that is counted in waiters, or for whom a permit is out; see the equations in the header.
void Mutex::give_up() {
  for (int tries = 0;; tries++) {
    int32_t old = state_.load(std::memory_order_relaxed);
    int32_t waiters = old >> kWaiterShift;
    bool permit_is_mine = old & kStarving ? !(old & kLocked) && waiters == 1 : waiters == 0;
    if (!permit_is_mine) {
      int32_t without = old - kWaiter;
      if (waiters == 1) without &= ~kStarving;
      if (state_.compare_exchange_weak(old, without, std::memory_order_relaxed)) return;
      continue;
    }
    if (!try_semacquire(semaphore_)) {
      // The unlocking party is just about to release it, or a newcomer took it and is counted as a waiter in our place.
      if (tries < 40) cpu_relax(); else sched_yield();
      continue;
    }
    old = state_.load(std::memory_order_relaxed);
    for (;;) {
      bool handed_over = old & kStarving;
      int32_t passed_on;
      if (handed_over) {
        passed_on = (old | kLocked) - kWaiter;
        if (old >> kWaiterShift == 1) passed_on &= ~kStarving;
      } else if (old & kLocked) {
        passed_on = old & ~kWoken;  // the holder's unlock will wake the next one
      } else {
        passed_on = (old | kLocked) & ~kWoken;
      }
      if (!state_.compare_exchange_weak(old, passed_on, std::memory_order_acquire, std::memory_order_relaxed)) continue;
      if (handed_over || !(old & kLocked)) unlock();
      return;
    }
  }
}

Outcome Mutex::lock_for_sure() { return for_sure([this] { return lock_until(kForever); }); }

// Unlocking and taking the one to be woken off the count are one step, so that nobody locks in between.
void Mutex::unlock_slow() {
  int32_t old = state_.load(std::memory_order_relaxed);
  for (;;) {
    if (!(old & kLocked)) throw Fatal("sync: unlock of unlocked mutex");
    int32_t wanted = old & ~kLocked;
    bool hand_off = old & kStarving;
    bool wake = !hand_off && old >> kWaiterShift != 0 && !(old & kWoken);
    if (wake) wanted = (wanted - kWaiter) | kWoken;
    if (!state_.compare_exchange_weak(old, wanted, std::memory_order_release, std::memory_order_relaxed)) continue;
    if (hand_off || wake) semrelease(semaphore_, hand_off);
    return;
  }
}

}  // namespace gort
