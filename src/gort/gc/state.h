// What the files of gc/ share: the work pool, the phase, what the cycle under way has counted. Internal.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/spin_lock.h"
#include "gort/gc/collector.h"
#include "gort/gc/mark.h"
#include "gort/gc/pacer.h"
#include "gort/gc/work.h"

namespace gort::gc {

// GreyBuffer: where write barriers put what they shade, one per P (ProcessorLocal::barrier_buffer) and one for threads without a P. Has
// a lock of its own, which is free but for the moment when the worker collects it; so the end of marking needs no handshake
// with running mutators. An object is shaded at most once a cycle, which bounds what the lock costs.
// Rejected: Go's unlocked buffer of pointers, emptied by its owner: it needs the owner's cooperation to be empty.
struct GreyBuffer {
  SpinLock lock{LockRank::HeapCentral};
  WorkBuffer* buffer = nullptr;  // may be null
  MarkCounts counts;
  GreyBuffer* next = nullptr;    // in State::grey_buffers
};

struct State {
  WorkPool pool;
  Pacer pacer;

  std::atomic<Phase> phase{Phase::Off};
  std::atomic<bool> sweeping{false};

  // Counts of the markers of this cycle that are done.
  std::atomic<uint64_t> objects{0}, bytes{0}, bytes_scanned{0};
  void add(const MarkCounts& c) {
    objects.fetch_add(c.objects, std::memory_order_relaxed);
    bytes.fetch_add(c.bytes, std::memory_order_relaxed);
    bytes_scanned.fetch_add(c.bytes_scanned, std::memory_order_relaxed);
  }
  std::atomic<int64_t> assist_time{0};
  std::atomic<int64_t> shared_account{0};  // assist credit of all threads without a P
  std::atomic<uint64_t> stacks{0}, stack_bytes{0};

  // A cycle is wanted and has not begun; allocators above the trigger yield to the worker.
  std::atomic<bool> requested{false};

  std::atomic<GreyBuffer*> grey_buffers{nullptr};  // pushed, never removed
};

[[gnu::visibility("hidden")]] extern State state;

// request asks for a cycle and wakes or starts the worker. Any thread, no lock held; does not park.
void request(Reason reason);

// wait_for_mark_end parks the caller, a goroutine on a P, until the cycle that runs or is wanted has ended its marking. Returns at once if
// there is none, and early if something else ends the wait (Ctrl-C, the end of a run).
void wait_for_mark_end();

// collect_grey_buffers moves what barriers have shaded to the pool.
void collect_grey_buffers();

}  // namespace gort::gc
