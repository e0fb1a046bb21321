// Stopping a mutator that makes no runtime calls: by a signal, on its own thread, in the middle of its own code; for a stop of the world, or, if its
// goroutine is preemptible, to let others run.
//
// A stop of the world waits for every mutator to reach a safe point. One that only computes never does, so after a moment it is sent
// SIGURG (Go's choice, for Go's reasons: it is ignored by default, rarely used, and harmless when it comes out of nowhere). The handler
// stands still in the place of the safe point, on the goroutine's own stack: the kernel has put the registers there, above the handler and beyond the
// red zone, where the scan of the stack finds them.
//
// It may stand still only where nobody who is stopped, or does the stopping, can need what the thread holds. That is when
//  1. the thread is not inside code that uses its P (preempt.h), and
//  2. the interrupted instruction belongs to none of: libgort (it holds the core's locks, and the write barrier may not straddle a
//     change of phase), libc and the dynamic loader (malloc's lock), libstdc++ and libgcc (guards, unwinding), the kernel's vdso (the core reads the clock
//     under its locks; so a loop that does little but read the clock is stopped late).
// By the rules of HACKING.md no code of the user's runs under a lock of the core's, so with 2 none is held further down the stack either.
// Elsewhere the handler does nothing, and the stopper asks again after kAgain.
//
// A preemptible goroutine is switched away from inside the handler and comes back there, perhaps on another thread. What the kernel then restores
// from the stack is a matter of the goroutine (all registers, the vector units') but for two, the mask of signals and the
// alternate stack: the handler puts those of the thread it returns on in their place.
//
// A goroutine that sleeps in a C library's call without a BlockingScope holds up a stop until that returns; the signal ends a raw sleep or
// poll early, with EINTR, as it would in a Go program's C code.
//
// Rejected: stopping inside libc too, in blocking calls by number: the same calls are made by malloc. Rejected: scanning the stack for
// addresses of libgort instead of rule 1 of HACKING.md: what dead frames left behind would look alive for as long as the goroutine runs.
//
// The program's own handler of SIGURG is called for signals that are not ours. One that is installed later is chained at the next stop.
#pragma once

#include "gort/base/clock.h"

namespace gort {

struct G;
struct M;

namespace world {

inline constexpr Nanos kSignalAfter = 20 * kMicrosecond;
inline constexpr Nanos kAgain = 100 * kMicrosecond;   // Go's

// signal_mutator asks m to stand still if the world is to stop, and to end its time slice if it was asked to (ask_preemption) and may. REQUIRES: m's
// thread lives (its lane's lock is held).
void signal_mutator(M* m);

// may_be_preempted tells whether the signal can end g's slice. Not under TSan, which delivers signals when it likes.
bool may_be_preempted(const G* g);

// Every machine's thread lets the signal in; pool threads block all others.
void unblock_stop_signal();

}  // namespace world
}  // namespace gort
