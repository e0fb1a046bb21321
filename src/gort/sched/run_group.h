// RunGroup: the goroutines of one gort run(), so that its end can wait for them.
//
// A goroutine belongs to the group of the goroutine that started it. Goroutines without a group are ambient.
// Thread safety: any thread. Reference counted: the run holds one reference and its members together one while there are any,
// since an abandoned goroutine may outlive the run. So a goroutine that comes or goes beside others costs one locked instruction.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/sched/park.h"

namespace gort {

class RunGroup {
 public:
  static RunGroup* make() { return new RunGroup; }

  // REQUIRES: the caller is a member or holds a reference.
  void add() {
    if (live_.fetch_add(1, std::memory_order_relaxed) == 0) references_.fetch_add(1, std::memory_order_relaxed);
  }
  // remove ends one member; the last one wakes who waits for the group to be empty.
  void remove();
  // Further references, of those that are not members.
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();   // also drops the run's own reference

  int64_t live() const { return live_.load(std::memory_order_acquire); }

  // wait_empty parks the caller until no member is alive. One waiter at a time.
  Outcome wait_empty(Nanos deadline);

 private:
  RunGroup() = default;

  std::atomic<int64_t> references_{1};
  std::atomic<int64_t> live_{0};
  SpinLock lock_{LockRank::Sync};
  Waiter* waiter_ = nullptr;   // guarded by lock_
};

}  // namespace gort
