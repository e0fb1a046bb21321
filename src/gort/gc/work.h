// WorkPool: the grey objects, in buffers that markers exchange. Go's workbufs.
//
// A marker (the worker, an assist, a scan of a stack) fills and empties a buffer of its own like a stack, so marking goes
// depth first and stays where the caches are warm. Full buffers go to the pool, and so does half of a buffer when nobody
// else has anything to do: a depth-first walk of a tree has few grey objects at any time, and sharing them is what lets assists help.
//
// Entries are slot addresses, or, for a large object, the address inside it where a piece of 128 KiB begins (Go's oblets).
//
// Invariant (termination): marking is finished exactly when the pool has no full buffer, no marker is active, no grey buffer of the
// write barrier holds anything and all roots are scanned. The collector checks this in a stopped world, where nobody is between.
//
// Thread safety: any thread; the lock (rank Leaf) guards both lists. Buffers come from the system, never from the managed heap,
// and are kept.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gort/base/spin_lock.h"

namespace gort::gc {

struct WorkBuffer {
  static constexpr uint32_t kCapacity = 254;
  WorkBuffer* next = nullptr;
  uint64_t count = 0;
  uintptr_t entries[kCapacity];

  bool full() const { return count == kCapacity; }
};
static_assert(sizeof(WorkBuffer) == 2048);

class WorkPool {
 public:
  constexpr WorkPool() = default;

  WorkBuffer* get_empty();
  WorkBuffer* get_full();  // any buffer with entries, or null
  void put(WorkBuffer* buffer);

  bool has_work() const { return filled_count_.load(std::memory_order_acquire) != 0; }
  uint64_t bytes();

  // Markers that may hold entries of their own.
  std::atomic<int32_t> active{0};

 private:
  SpinLock lock_{LockRank::Leaf};
  WorkBuffer* empty_ = nullptr;
  WorkBuffer* filled_ = nullptr;
  uint64_t made_ = 0;
  std::atomic<uint32_t> filled_count_{0};
};

}  // namespace gort::gc
