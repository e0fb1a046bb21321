// RWMutex is Go's reader/writer lock: any number of readers, or one writer.
//
//   gort::RWMutex mu;
//   { std::shared_lock lock(mu); look(table); }
//   { std::unique_lock lock(mu); change(table); }
//
// Thread safety: any goroutine or thread; not owned; a reader must not lock again for reading (a writer in between blocks both).
//
// Writers come first but do not starve readers: a waiting writer stops new readers; when a writer unlocks, all readers that
// queued meanwhile go before the next writer. Writers among themselves take turns through a Mutex, as in Go.
//
// State word: writer epoch << 32 | writer present << 31 | readers. A reader adds itself with one instruction and learns from
// the old word whether it is in (no writer) or must wait. Writers come (epoch + 1, writer bit set) and go (bit cleared) only
// under lock_. A reader that saw writer epoch e and then under lock_ finds another epoch, or no writer, has been let in by that
// change; otherwise it queues. On leaving likewise: only if the epoch it saw is the present one does the writer wait for it.
//
// Rejected: Go's two semaphores and a reader count biased by 1<<30. It cannot tell a permit for a reader that gives up from one
// for a reader that came later, so a wait with a deadline would need the epoch anyway.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gort/base/clock.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"
#include "gort/sync/mutex.h"

namespace gort {

class RWMutex {
 public:
  RWMutex() = default;
  RWMutex(const RWMutex&) = delete;
  RWMutex& operator=(const RWMutex&) = delete;

  // lock_shared (Go's RLock) parks while a writer holds the lock or waits for it. Wait reason: sync.RWMutex.RLock.
  void lock_shared() {
    Outcome o = lock_shared_until(kForever);
    if (o != Outcome::Fired) [[unlikely]] throw_outcome(o);
  }
  [[nodiscard]] Outcome lock_shared_until(Nanos deadline = kForever) {
    world::safe_point();
    uint64_t before = state_.fetch_add(kReader, std::memory_order_acquire);
    if (!(before & kWriter)) [[likely]] return Outcome::Fired;
    return lock_shared_slow(before, deadline);
  }
  [[nodiscard]] bool try_lock_shared();

  // unlock_shared throws Fatal("sync: RUnlock of unlocked RWMutex") with nothing changed.
  void unlock_shared();

  // lock parks until all readers and earlier writers are gone. Wait reasons: sync.Mutex.Lock (behind a writer), sync.RWMutex.Lock.
  void lock() {
    Outcome o = lock_until(kForever);
    if (o != Outcome::Fired) [[unlikely]] throw_outcome(o);
  }
  [[nodiscard]] Outcome lock_until(Nanos deadline = kForever);
  [[nodiscard]] bool try_lock();

  // lock_for_sure and lock_shared_for_sure: for_sure.h.
  Outcome lock_for_sure();
  Outcome lock_shared_for_sure();

  // For dumps: the goroutine that has it for writing; 0: none, or not known. As Mutex::holder.
  uint64_t holder() const { return writers_.holder(); }
  void note_holder(uint64_t goroutine) { writers_.note_holder(goroutine); }
  static size_t holder_offset() { return offsetof(RWMutex, writers_) + Mutex::holder_offset(); }

  // unlock throws Fatal("sync: Unlock of unlocked RWMutex") with nothing changed.
  void unlock();

  struct State {
    bool writer;       // one holds the lock or waits for readers
    uint32_t readers;  // that hold it or wait for the writer
  };
  State state() const {
    uint64_t s = state_.load(std::memory_order_relaxed);
    return {(s & kWriter) != 0, uint32_t(s & kReaders)};
  }

 private:
  static constexpr uint64_t kReader = 1;
  static constexpr uint64_t kWriter = uint64_t(1) << 31;
  static constexpr uint64_t kReaders = kWriter - 1;
  static constexpr uint64_t kEpoch = uint64_t(1) << 32;

  Outcome lock_shared_slow(uint64_t seen, Nanos deadline);
  void unlock_shared_slow(uint64_t seen);
  Waiter* writer_leaves();

  Mutex writers_;
  SpinLock lock_{LockRank::Sync};
  std::atomic<uint64_t> state_{0};
  bool held_ = false;          // guarded by lock_: the writer has it (and does not merely wait for readers)
  uint32_t still_reading_ = 0; // guarded by lock_: readers that the present writer waits for
  Waiter* writer_ = nullptr;   // guarded by lock_: the writer, while it waits
  WaitQueue readers_;          // guarded by lock_
};

}  // namespace gort
