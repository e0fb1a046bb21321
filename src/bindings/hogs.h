// Hogs: how a Python goroutine that computes without end is made to yield.
//
// A goroutine that has had its slice keeps its OS thread, and another thread runs the rest (Lane::watch): it never yields where it did not ask
// to. That is the better way while threads last, for Python code may own something of its thread's: a threading.RLock, whose owner is the
// OS thread, so that the next goroutine on that thread would enter it too. Only beyond Options::max_hogs threads, and Options::hog_patience
// later, one is made to yield, by a trace function that fires at its next line or call, goes away, and yields.
//
// Not moved: who is in an import, in threading or in logging, which hold such locks (asked again when all others were), and who is traced
// already by a debugger or coverage (passed over until it leaves its thread itself).
//
// Cost: nothing until it happens. On 3.12 and later the tracing of one state is switched on by looking at the code of all: 0.2 to 1 us a
// goroutine (20,000 of them: 4 to 20 ms), so it is done at most once in hog_patience.
//
// Rejected: Py_AddPendingCall (served by the main thread only, and a call that parks keeps all others from being served); signals (main thread only
// from 3.13 on); yielding at every slice in this way, without threads.
#pragma once

#include "cpython.h"

namespace gort::python {

// yield_at_next_line arms the trace function on the current thread state, which may be that of a goroutine on another thread. GIL held.
// Does nothing to a state that is traced.
void yield_at_next_line();

}  // namespace gort::python
