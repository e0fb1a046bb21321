#include "gort/sync/wait_group.h"

#include "gort/base/errors.h"
#include "gort/sched/world.h"

namespace gort {

void WaitGroup::add(int32_t delta) {
  world::safe_point();
  uint64_t old = state_.load(std::memory_order_relaxed);
  int64_t counter;
  do {
    int32_t before = int32_t(old >> 32);
    counter = int64_t(before) + delta;
    if (counter < 0 || counter > INT32_MAX) throw Panic("sync: negative WaitGroup counter");
    if (before == 0 && delta > 0 && uint32_t(old) != 0)
      throw Panic("sync: WaitGroup misuse: Add called concurrently with Wait");
  } while (!state_.compare_exchange_weak(old, uint64_t(counter) << 32 | uint32_t(old), std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
  if (counter == 0 && uint32_t(old) != 0) wake_all();
}

// Nobody joins the queue while the counter is zero, and nobody raises it while waiters are counted.
void WaitGroup::wake_all() {
  Waiter* first = nullptr;
  Waiter** end = &first;
  lock_.lock();
  state_.fetch_and(~uint64_t(UINT32_MAX), std::memory_order_relaxed);
  while (Waiter* w = queue_.pop_claimed()) {
    *end = w;
    end = &w->next;
  }
  lock_.unlock();
  // The first one that runs may destroy the WaitGroup.
  while (first) {
    Waiter* w = first;
    first = w->next;
    ready(w->g);
  }
}

Outcome WaitGroup::wait_until(Nanos deadline) {
  world::safe_point();
  if (state_.load(std::memory_order_acquire) >> 32 == 0) return Outcome::Fired;
  G* g = current_to_wait();
  lock_.lock();
  uint64_t old = state_.load(std::memory_order_acquire);
  bool late = has_passed(deadline);
  do {
    if (old >> 32 == 0 || late) {
      lock_.unlock();
      return old >> 32 == 0 ? Outcome::Fired : Outcome::TimedOut;
    }
  } while (!state_.compare_exchange_weak(old, old + 1, std::memory_order_acquire, std::memory_order_acquire));
  Waiter w(g);
  queue_.push(&w);
  Outcome outcome = park(&lock_, {.reason = WaitReason::WaitGroupWait, .on = this, .deadline = deadline});
  if (outcome == Outcome::Fired) {
    if (state_.load(std::memory_order_acquire) != 0) throw Panic("sync: WaitGroup is reused before previous Wait has returned");
    return outcome;
  }
  lock_.lock();
  if (w.queued) {  // else wake_all met us and has counted us out
    queue_.remove(&w);
    state_.fetch_sub(1, std::memory_order_relaxed);
  }
  lock_.unlock();
  return outcome;
}

}  // namespace gort
