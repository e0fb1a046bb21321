// TimerHeap: one P's timers, a 4-ary min-heap ordered by time (Go's timers, E.1), every entry knowing its slot so that
// stopping is a removal and leaves nothing behind.
//
// Thread safety: every method may be called from any thread.
// Invariant (verify): entry[i].when >= entry[(i-1)/4].when, and entry[i].timer->slot_ == i.
// Rejected: Go's lazy deletion. It saves the sift on stop but needs the zombie and modified states and their adjust passes;
// with a slot index a removal is a few moves in a heap that is mostly shallow.
#pragma once

#include <atomic>
#include <vector>

#include "gort/base/clock.h"
#include "gort/base/spin_lock.h"
#include "gort/time/timer.h"

namespace gort {

class TimerHeap {
 public:
  // next is the time of the earliest timer, 0 if none. No lock.
  Nanos next() const { return next_.load(std::memory_order_acquire); }
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  void insert(Timer* timer, Nanos when, void (*function)(void*, uint64_t), void* argument, uint64_t sequence);

  // remove returns false if the timer is not (or no longer) in this heap.
  bool remove(Timer* timer);

  // take_all moves the timers of another heap here. A stop of one of them meanwhile finds it in one of the two.
  void take_all(TimerHeap& from);

  // run_due calls the functions of all timers with when <= now. Returns how many.
  int run_due(Nanos now);

  bool verify();

  // after_fork_in_child disarms all timers. REQUIRES: the only thread; the lock may be held by one that is gone.
  void after_fork_in_child();

 private:
  friend struct LayoutAccess;   // sched/layout.h

  struct Entry {
    Nanos when;
    Timer* timer;
  };
  void sift_up(size_t i);
  void sift_down(size_t i);
  void place(size_t i, Entry entry);
  void erase(size_t i);
  void publish();

  SpinLock lock_{LockRank::Timers};
  std::vector<Entry> entries_;        // guarded by lock_
  std::atomic<Nanos> next_{0};
  std::atomic<size_t> size_{0};
};

}  // namespace gort
