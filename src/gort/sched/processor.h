// P: the right to run goroutines of one lane, with what that needs close at hand: a run queue, timers, free goroutines,
// caches of other layers, counters.
//
// A P is owned by at most one machine. Ownership changes: under the lane's lock (idle list, start of a machine, stop of the
// world), by compare-and-swap on `syscall` (a native machine in a BlockingScope), by preempt.h's protocol (one that computes), or with the
// GIL held (takeover on the Python lane). Whoever takes a P from a machine that does not give it does so under the lane's lock as well.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "gort/base/random.h"
#include "gort/observe/latency.h"
#include "gort/sched/processor_local.h"
#include "gort/sched/run_queue.h"
#include "gort/sched/steal_log.h"
#include "gort/sched/switch_counts.h"
#include "gort/time/timer_heap.h"

namespace gort {

struct M;

// Plain counters of one P; written by its owner, read by anybody for statistics (a torn read is impossible on 64-bit).
struct Counters : SwitchCounts<uint64_t> {
  std::atomic<uint64_t> spawns{0}, ends{0}, steals{0}, stolen{0}, steal_failures{0}, global_gets{0}, switches{0};
  std::atomic<uint64_t> steal_searches{0};   // looks at all other Ps for want of work of its own
  std::atomic<uint64_t> steal_nanos{0};      // time that they took, while latency_since is set
};
inline void count(std::atomic<uint64_t>& counter, uint64_t n = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

struct P {
  ProcessorLocal local;
  std::atomic<M*> owner{nullptr};
  std::atomic<uint64_t> tick{0};          // time slices begun (Go's schedtick)
  std::atomic<uint32_t> syscall{0};       // odd: owner is in a BlockingScope and the P may be taken by making it even
  std::atomic<bool> chain_over{false};    // those who run each other as runnext have had their slice (Lane::take_local)
  std::atomic<Nanos> gave_way_at{0};      // when its owner last let other threads have the GIL
  LocalQueue queue;
  TimerHeap timers;
  Xorshift random;
  Counters counters;
  StealLog steal_log;
  observe::LatencyHistogram latencies;

  // owner only
  uint32_t order = 0;                     // of the next entry of a queue (pinning.h)
  G* free = nullptr;
  uint32_t free_count = 0;                // read by schedtrace too
  uint64_t next_id = 0, last_id = 0;      // a batch of goroutine ids

  P* next_idle = nullptr;                 // guarded by the lane's lock
  bool idle = false;                      // guarded by the lane's lock

  // sysmon only
  static constexpr uint64_t kNoSlice = UINT64_MAX;
  uint64_t seen_tick = kNoSlice;          // the slice that sysmon saw last, kNoSlice when nobody had the P
  uint32_t seen_syscall = 0;
  Nanos seen_at = 0;
  uint32_t seen_head = 0;                 // of queue
  Nanos waiting_since = 0;                // seen_head stands there since then; 0: nobody was seen to wait
  uint32_t asked = 0;                     // how often its goroutine was asked to end its slice
  M* asked_machine = nullptr;             // which one was asked; it may be gone
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
  friend struct LayoutAccess;   // layout.h

  std::array<P*, kMaxProcs> table_{};
  std::atomic<size_t> size_{0};
};

}  // namespace gort
