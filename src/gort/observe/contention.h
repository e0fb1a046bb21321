// Contention: who waited for what, for how long; the data of contention.measure().
//
// park() calls record_wait when contention_on is set; off, that is one predictable branch. On, a wait costs one short spin lock
// of its shard besides the park itself.
//
// Waits are summed per (reason, object) in a table of fixed size; when it is full further objects are summed per reason, with a
// null object. Objects are addresses: they are never looked into, and may be gone or reused by the time of the snapshot. Thread
// safety: every function, from anywhere, also under core locks.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "gort/base/clock.h"
#include "gort/sched/wait_reason.h"

namespace gort::observe {

extern std::atomic<bool> contention_on;

// record_wait adds one wait that has ended. goroutine: who waited.
void record_wait(WaitReason reason, const void* object, Nanos duration, uint64_t goroutine);

struct WaitEntry {
  WaitReason reason = WaitReason::None;
  const void* object = nullptr;
  uint64_t count = 0;
  Nanos total = 0;
  Nanos max = 0;
  uint64_t last_goroutine = 0;
};

// contention_start empties the table and begins to record; a second start while recording nests (the table is kept).
// contention_stop ends one start. contention_snapshot returns the entries, longest total first.
void contention_start();
void contention_stop();
std::vector<WaitEntry> contention_snapshot();

}  // namespace gort::observe
