// P: the right to run goroutines of one lane, with what that needs close at hand: a run queue, timers, free goroutines,
// caches of other layers, counters.
//
// A P is owned by at most one machine. Ownership changes: under the lane's lock (idle list, start of a machine, stop of the
// world), by compare-and-swap on `syscall` (a native machine in a BlockingScope), or with the GIL held (takeover on the Python lane).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "gort/base/random.h"
#include "gort/sched/processor_local.h"
#include "gort/sched/run_queue.h"
#include "gort/time/timer_heap.h"

namespace gort {

struct M;

// Plain counters of one P; written by its owner, read by anybody for statistics (a torn read is impossible on 64-bit).
struct Counters {
  std::atomic<uint64_t> spawns{0}, ends{0}, parks{0}, yields{0}, steals{0}, stolen{0}, steal_failures{0}, global_gets{0}, switches{0};
};
inline void count(std::atomic<uint64_t>& counter, uint64_t n = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

struct P {
  ProcessorLocal local;
  std::atomic<M*> owner{nullptr};
  std::atomic<uint64_t> tick{0};          // time slices begun (Go's schedtick)
  std::atomic<uint32_t> syscall{0};       // odd: owner is in a BlockingScope and the P may be taken by making it even
  std::atomic<Nanos> gave_way_at{0};      // when its owner last let other threads have the GIL
  LocalQueue queue;
  TimerHeap timers;
  Xorshift random;
  Counters counters;

  // owner only
  G* free = nullptr;
  uint32_t free_count = 0;
  uint64_t next_id = 0, last_id = 0;      // a batch of goroutine ids

  P* next_idle = nullptr;                 // guarded by the lane's lock
  bool idle = false;                      // guarded by the lane's lock

  // sysmon only
  uint64_t seen_tick = 0;
  uint32_t seen_syscall = 0;
  Nanos seen_at = 0;
  Nanos foreign_since = 0;
};

// The Ps of a lane: only ever added to, under the lane's lock, and never moved, so that anybody may look through them.
class ProcessorTable {
 public:
  size_t size() const { return size_.load(std::memory_order_acquire); }
  P* operator[](size_t i) const { return table_[i]; }
  P* const* begin() const { return table_.data(); }
  P* const* end() const { return table_.data() + size(); }
  void push_back(P* p) {
    table_[size()] = p;
    size_.store(size() + 1, std::memory_order_release);
  }

 private:
  std::array<P*, kMaxProcs> table_{};
  std::atomic<size_t> size_{0};
};

}  // namespace gort
