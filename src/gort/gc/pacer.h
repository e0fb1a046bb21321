// Pacer: when a cycle starts and how much allocators help, so that the heap does not outgrow its goal. Go's, in reduced form.
//
//   goal    = marked + (marked + stacks) * GOGC / 100, at least 4 MiB * GOGC / 100
//   runway  = bytes that mutators allocate while the collector marks, going by the last cycles:
//             cons_mark * 3 * expected scan work
//   trigger = goal - runway, held within 0.7 and 0.95 of the way from marked to goal
//   assist  = scan work still expected / bytes still to be allocated until the goal, per byte allocated
//
// cons_mark is the largest of the last cycles' measurements of (bytes allocated while marking) / (bytes scanned), corrected for
// the share of the CPU that the worker had (25 %, hence the 3 above). Left out of Go's: idle and dedicated workers, the CPU
// limiter, the memory limit.
//
// Thread safety: ratio and the credit are read by allocators at any time; the rest belongs to the worker, but for set_percent, which
// takes the lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/spin_lock.h"

namespace gort::gc {

class Pacer {
 public:
  static constexpr uint64_t kMinimumHeap = 4 << 20;
  static constexpr double kUtilization = 0.25;

  // begin sets the assist ratio for a cycle that starts at a live heap of that size.
  void begin(uint64_t live);

  // end takes in what the cycle found out and sets goal and trigger of the next.
  void end(uint64_t live_at_begin, uint64_t live_at_end, uint64_t marked, uint64_t scanned, uint64_t stack_bytes);

  // revise renews the assist ratio while a cycle runs. `scanned` so far.
  void revise(uint64_t live, uint64_t scanned);

  int set_percent(int percent);  // returns the former one
  int percent() const { return percent_.load(std::memory_order_relaxed); }
  uint64_t goal() const { return goal_.load(std::memory_order_relaxed); }
  uint64_t marked() const { return marked_.load(std::memory_order_relaxed); }

  // Scan work an allocator owes per byte.
  double assist_ratio() const { return assist_ratio_.load(std::memory_order_relaxed); }

  // Work that the worker has done and no assist has used up yet.
  std::atomic<int64_t> background_credit{0};

 private:
  void commit();  // sets goal and trigger from marked_, stack_bytes_ and percent. REQUIRES: lock_ held

  SpinLock lock_{LockRank::Leaf};
  std::atomic<int> percent_{100};
  std::atomic<uint64_t> goal_{kMinimumHeap};
  std::atomic<uint64_t> marked_{0};
  std::atomic<double> assist_ratio_{0};
  uint64_t stack_bytes_ = 0;
  uint64_t scanned_ = 0;          // by the last cycle: what the next is expected to scan
  double cons_mark_[4] = {};
  uint64_t cycles_ = 0;
};

}  // namespace gort::gc
