#include "gort/sched/run_group.h"

namespace gort {

void RunGroup::remove() {
  if (live_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;   // others may end, and the group with them, from here on
  lock_.lock();
  Waiter* waiter = waiter_;
  bool mine = waiter && live_.load(std::memory_order_relaxed) == 0 && waiter->claim();
  G* g = mine ? waiter->g : nullptr;
  if (mine) waiter_ = nullptr;
  lock_.unlock();
  if (g) ready(g);
  release();
}

void RunGroup::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

Outcome RunGroup::wait_empty(Nanos deadline) {
  G* g = current_to_wait();
  lock_.lock();
  if (live() == 0) {
    lock_.unlock();
    return Outcome::Fired;
  }
  Waiter waiter(g);
  waiter_ = &waiter;
  Outcome outcome = park(&lock_, {.reason = WaitReason::Join, .on = this, .deadline = deadline});
  if (outcome != Outcome::Fired) {
    lock_.lock();
    waiter_ = nullptr;
    lock_.unlock();
  }
  return outcome;
}

}  // namespace gort
