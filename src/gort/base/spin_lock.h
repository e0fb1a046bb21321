// SpinLock guards the few words of a core structure for a few dozen instructions.
//
// Thread safety: any thread. Not recursive.
// What is forbidden while one is held (checked by review, and by rank in debug tiers): parking, switching, calling Python,
// running destructors of user values, waiting for the GIL, allocating from the managed heap. Under these rules a holder
// is never blocked, so waiting is bounded by the holder's time slice; after a short spin the waiter yields its CPU, which
// matters on a machine with fewer cores than threads.
//
// Rejected: a futex mutex. Its unlock needs a second locked instruction to learn about sleepers; this one is a plain store.
// Ranks: a thread may only take locks of rising rank (LockRank, lowest first). Two locks of one rank are taken only by
// select, in address order.
#pragma once

#include <atomic>
#include <cstdint>

namespace gort {

// The order in which core locks nest, outermost first.
enum class LockRank : uint8_t {
  Runtime,    // lists of all goroutines, machines; start and stop
  World,      // stop-the-world state
  Context,    // one node of a context tree (parents before children)
  Channel,    // one channel
  Sync,       // a semaphore bucket, a notify list, a wait group
  Timers,     // one timer heap; of two the one with the lower address first
  Lane,       // global queue, idle lists of one lane
  HeapCache,  // the allocation cache of threads without a P
  HeapCentral,
  HeapPages,
  Leaf,       // nothing is taken under it
};

namespace lock_rank {
void acquire(const void* lock, LockRank rank);  // debug tier: aborts with both ranks named when the order is broken
void release(const void* lock);
}  // namespace lock_rank

class SpinLock {
 public:
  explicit constexpr SpinLock(LockRank rank = LockRank::Leaf) : rank_(rank) {}
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock() {
#ifdef GORT_DEBUG_TIER
    lock_rank::acquire(this, rank_);
#endif
    if (held_.exchange(true, std::memory_order_acquire)) [[unlikely]] lock_slow();
  }
  bool try_lock() {
    if (held_.exchange(true, std::memory_order_acquire)) return false;
#ifdef GORT_DEBUG_TIER
    lock_rank::acquire(this, rank_);
#endif
    return true;
  }
  void unlock() {
#ifdef GORT_DEBUG_TIER
    lock_rank::release(this);
#endif
    held_.store(false, std::memory_order_release);
  }

 private:
  void lock_slow();

  std::atomic<bool> held_{false};
  [[maybe_unused]] LockRank rank_;
};

}  // namespace gort
