// Contention: who waited for what, for how long and where; and who kept them waiting. The data of contention.measure().
//
// Two kinds of entries, Go's two profiles:
//
//   Waiting    (its block profile): a wait that has ended, with the stack of the goroutine that waited. park() records it when contention_on is set.
//   Releasing  (its mutex profile): the wait that an unlock has ended, with the stack of the goroutine that unlocked; semrelease records it. As in
//              Go an unlock is charged for the time since the previous one that woke somebody, or since the first waiter came: so a wait that
//              outlasted five critical sections is spread over these five. For n more waiters it is charged the mean of what the first and the last
//              of them have waited meanwhile, n times: exact sums would need a walk over all of them.
//
// Off, each of the two places pays one load and a predictable branch. On, a wait costs two looks at the clock, a walk over the stack and one short spin
// lock each of the tables, besides the park itself. The stack of a wait is walked after it: the goroutine is where it was, no lock is held, and the time is
// nobody's wait any more.
//
// Waits are summed per (kind, reason, object, stack) in a table of fixed size; when it is full further ones are summed per kind and reason, with a
// null object and an unknown stack. Objects are addresses: they are never looked into, and may be gone or reused by the time of the snapshot. Stacks are
// numbers of call_stacks.h. Thread safety: every function, from anywhere, recording also under core locks.
//
// Rejected: Go's sampling rates. A measurement is short and asked for; a session that records all needs no estimate.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "gort/base/clock.h"
#include "gort/observe/call_stacks.h"
#include "gort/sched/wait_reason.h"

namespace gort {
struct Waiter;
}

namespace gort::observe {

extern std::atomic<bool> contention_on;

enum class Part : uint8_t { Waiting, Releasing, Count };

struct WaitKey {
  WaitReason reason = WaitReason::None;
  Part part = Part::Waiting;
  const void* object = nullptr;
  StackId stack = 0;
  bool operator==(const WaitKey&) const = default;
};

struct WaitEntry {
  WaitKey key;
  uint64_t count = 0;
  Nanos total = 0;
  Nanos max = 0;
  Nanos last = 0;                // when the last one ended
  uint64_t last_goroutine = 0;   // whose that was
};

// record_wait adds what ended at the time `ended`. goroutine: who waited, or who released.
void record_wait(const WaitKey& key, Nanos duration, Nanos ended, uint64_t goroutine);

// Release is what a party that ends the waits of others is charged with:
//
//   waiter.since = lock_wait_begins();   // by the one who waits
//
//   Release charge;
//   charge.add(woken);                   // claimed, not yet readied
//   charge.add_waiting(...);             // under the primitive's lock
//   ready(woken->g);
//   charge.record();
//
// Nothing happens if it was charged with nobody, or with waits that began before the measurement.
inline Nanos lock_wait_begins() { return contention_on.load(std::memory_order_relaxed) ? nanotime() : 0; }

class Release {
 public:
  void add(const Waiter* woken) {
    if (contention_on.load(std::memory_order_relaxed)) [[unlikely]] add_slow(woken);
  }
  // The same for `more` that go on waiting, from `first` to `last`; they may be one.
  void add_waiting(Waiter* first, Waiter* last, uint32_t more);
  explicit operator bool() const { return now_ != 0; }   // charged with somebody
  void record() {   // of the caller's goroutine and stack. No lock held.
    if (now_ != 0) [[unlikely]] record_slow();
  }

 private:
  void add_slow(const Waiter* woken);
  void record_slow();

  WaitKey key_{WaitReason::None, Part::Releasing};
  Nanos delay_ = 0;
  Nanos now_ = 0;   // 0: charged with nobody
};

// contention_start empties the tables and begins to record; a second start while recording nests (the tables are kept). Throws std::bad_alloc.
// contention_stop ends one start. contention_snapshot returns the entries, longest total first.
void contention_start();
void contention_stop();
std::vector<WaitEntry> contention_snapshot();

// After fork, in the child: whoever was recording stayed with the parent. REQUIRES: the only thread.
void contention_after_fork_in_child();

}  // namespace gort::observe
