// Preemption of native goroutines: what happens to one that computes for longer than its time slice (Options::time_slice).
//
// C++ cannot be interrupted anywhere and resumed elsewhere: it may hold malloc's lock. So the thread is left alone and the P is what is
// taken away, in two steps that sysmon makes when goroutines wait for that P:
//  1. It asks (M::preempt). Every runtime call that may park passes a safe point first, and there the goroutine goes to
//     the end of the global queue, as in Go.
//  2. If the goroutine makes no such call within Options::preempt_grace, sysmon takes the P from under it, as from one in a BlockingScope. The
//     goroutine goes on without a P, beside the GOMAXPROCS others, and queues at its next safe point or park.
// A goroutine that allows it (Attributes::preemptible) is interrupted between the two by a signal, and yields in the handler (stop_signal.h).
//
// Step 2 needs to know that the thread is not inside code that uses its P right now, and costs that code no atomic instruction:
//
//   the thread, entering such code:   inside = true; [compiler barrier]; read retake
//   sysmon:                           retake = true; membarrier(); read inside
//
// membarrier makes every running thread of the process pass a full barrier, so the thread's store and load cannot both fall on
// the wrong side of it: either sysmon sees inside (and gives up until the next round), or the thread sees retake and waits until sysmon has
// finished. That is Dekker's protocol with all of the cost on the rare side.
//
// Invariants
//  1. M::p and the owner's part of a P are used inside only; by others never, unless the P has no owner or they hold retake and saw inside false.
//  2. On a scheduler stack a machine is inside for good. A goroutine is switched away from, and to, inside: code that
//     parks ends on another machine than it began on (Lane::leave returns it), so it enters and leaves by hand.
//  3. enter_runtime and leave_runtime are the outermost and write a constant each; what may stand inside them is a RuntimeScope. (A depth that
//     is counted up and down, saved and restored over switches cost 2 to 3 ns a yield more: a chain of stores and loads of one word.)
//
// Rejected: a signal whose handler gives the P away, for all goroutines. It ends a raw sleep or poll of a C library with EINTR, and has to find out from
// the program counter whether the runtime is at work. Rejected: an atomic exchange at both ends of every runtime call (20 ns each).
// Without membarrier (Linux before 4.14, some sandboxes) there is no step 2.
#pragma once

#include <atomic>

#include "gort/base/tier.h"
#include "gort/sched/machine.h"

namespace gort {

namespace preempt {

// Makes membarrier known to the kernel. False: not to be had.
bool available();

// barrier makes every thread of the process that runs at this moment pass a full memory barrier; the others pass one before they go on. False: not to be had.
bool barrier();

// try_lock is sysmon's half of the protocol: true if m is in its goroutine's own code, and it stays out of the runtime until unlock.
bool try_lock(M* m);
void unlock(M* m);

void wait_while_locked(M* m);

[[noreturn]] void out_of_order(const char* what);   // debug tier: invariant 3 is broken

}  // namespace preempt

// enter_runtime begins code that uses m's P; leave_runtime ends it. REQUIRES: m is the caller's, and not inside (enter), inside (leave).
inline void enter_runtime(M* m) {
  if constexpr (kDebugTier) {
    if (m->inside.load(std::memory_order_relaxed)) preempt::out_of_order("enter_runtime inside the runtime");
  }
  m->inside.store(true, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (m->retake.load(std::memory_order_acquire)) [[unlikely]] preempt::wait_while_locked(m);
}
inline void leave_runtime(M* m) {
  if constexpr (kDebugTier) {
    if (!m->inside.load(std::memory_order_relaxed)) preempt::out_of_order("leave_runtime outside the runtime");
  }
  m->inside.store(false, std::memory_order_release);
}

// The same for code that does not park. Scopes nest; m is the caller's, or null if it has none.
class RuntimeScope {
 public:
  explicit RuntimeScope(M* m) : m_(m && !m->inside.load(std::memory_order_relaxed) ? m : nullptr) {
    if (m_) enter_runtime(m_);
  }
  ~RuntimeScope() {
    if (m_) leave_runtime(m_);
  }
  RuntimeScope(const RuntimeScope&) = delete;
  RuntimeScope& operator=(const RuntimeScope&) = delete;

 private:
  M* const m_;   // null: there is nothing to leave
};

}  // namespace gort
