// Stopping the world, and who has to stop: mutators.
//
// A mutator is an OS thread that runs native goroutine code or is inside a call of the managed heap, with or without a P.
// Python bytecode and foreign C are outside: they reach heap memory only through our calls, each of which enters the
// mutator state for its duration. So a stop never waits for the GIL.
//
// Protocol (Dekker): a thread enters by storing its mutator word and then reading the stop flag, a stopper stores the flag and then reads
// all words; both sequentially consistent, so at least one sees the other. A running mutator looks at the flag at
// every safe point: each runtime call of the scheduler (park, yield, ready does not count) and each heap allocation.
// Stops are serialised; the stopper itself counts as stopped.
//
// Invariants: while stopped() no mutator runs and none starts; every native goroutine is either parked (its registers lie
// on its stack above the saved sp), not started, or stopped at a safe point (its machine recorded sp after spilling
// callee-saved registers). Never take the GIL, a foreign lock or a park while in mutator state.
//
// A goroutine on a lane with hooks is outside. One that hopped there (hop.h) has native frames below what it does now; they are
// scanned from G::outside_from up at any time, since they do not change before it has hopped back and its native machine has
// scanned it first.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/clock.h"

namespace gort {

struct G;

namespace world {

extern std::atomic<uint32_t> stop_flag;   // non-zero: a stop is wanted or in force
extern std::atomic<uint32_t> wanted;      // stops and ends of time slices (preempt.h) that somebody has asked for; safe points read this word only

void safe_point_slow();

// safe_point stops the calling mutator if a stop is wanted, and lets others run if its time slice is over. May park; no core lock is held.
// Every runtime call that may park passes one first. Call it from long native loops that make no runtime calls.
// True: the caller may have been moved to another machine.
inline bool safe_point() {
  if (wanted.load(std::memory_order_relaxed) == 0) [[likely]] return false;
  safe_point_slow();
  return true;
}

// MutatorScope: the calling thread may touch heap memory inside it. Nests; on a native goroutine it costs nothing
// beyond a test, elsewhere (Python goroutines, plain threads) one exchange each way.
class MutatorScope {
 public:
  MutatorScope();
  ~MutatorScope();
  MutatorScope(const MutatorScope&) = delete;
  MutatorScope& operator=(const MutatorScope&) = delete;

 private:
  bool entered_;
};

// stop waits until no other mutator runs; start lets them go on. reason is Go's stwReason text, kept for the statistics.
// REQUIRES: the caller is not holding any core lock; calls pair up on one thread. The caller may be a mutator.
// stop returns the time it took until everybody stood, in ns.
Nanos stop(const char* reason);
void start();

// A stack that may hold heap pointers: [low, high), low being the saved stack pointer (registers already spilled).
struct StackRange {
  G* g;
  const void* low;
  const void* high;
};

// for_each_stack calls visit for the stack of every native goroutine that is started, of every stopped mutator thread, and of the
// calling goroutine. REQUIRES: the world is stopped by the caller. visit must not park or allocate from the managed heap.
// `running_only`: just those that were running (or are plain threads inside a MutatorScope); parked goroutines are left to scan_parked.
void for_each_stack(bool running_only, void (*visit)(void* context, const StackRange&), void* context);

// scan_parked visits, without a stop, every goroutine with native frames that is parked or outside and whose scan epoch is not yet
// `epoch`, each of them held off from running natively during its visit. A goroutine that resumes before it was visited is visited by its machine first, through the callback
// set with set_resume_scan. Together: every goroutine's stack is visited exactly once per epoch.
void scan_parked(uint32_t epoch, void (*visit)(void* context, const StackRange&), void* context);
void set_resume_scan(uint32_t epoch, void (*visit)(void* context, const StackRange&), void* context);  // epoch 0: off

}  // namespace world
}  // namespace gort
