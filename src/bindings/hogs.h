// Hogs: how a Python goroutine that computes without end is made to yield.
//
// A goroutine that has had its slice keeps its OS thread, and another thread runs the rest (Lane::watch): it never yields where it did not ask
// to. That is the better way while threads last, for Python code may own something of its thread's: a threading.RLock, whose owner is the
// OS thread, so that the next goroutine on that thread would enter it too. Only beyond Options::max_hogs threads, and Options::hog_patience
// later, one is made to yield, by a trace function that fires at its next line or call, goes away, and yields.
//
// Not moved: who may hold such a lock (thread_locks.h; asked again when all others were), and who is traced already by a debugger or coverage (passed
// over until it leaves its thread itself).
//
// Cost: nothing until it happens. On 3.12 and later the tracing of one state is switched on by looking at the code of all: 0.2 to 1 us a
// goroutine (20,000 of them: 4 to 20 ms), so it is done at most once in hog_patience.
//
// Without the GIL one is asked likewise, and also as soon as others that live on its thread have stood behind it for a slice (sched/pinning.h). No
// trace function: arming it stops all threads and instruments the code of all. Instead the thread is given an object of its own to destroy, a *bell*.
// CPython counts an object's references without atomic instructions on the thread that owns it; when somebody else gives up the last one, the
// owner is told to, between two bytecodes, and then destroys the object itself (PEP 703, "biased reference counting"). So whoever asks makes an
// object, says that it is the hog's thread's, and gives it up; its destructor runs in the hog, whether traced or not, and yields.
// A bell that a collection finds first is destroyed on the collecting thread: then it says nothing, and the hog is asked again a slice later.
//
// Rejected: Py_AddPendingCall (served by the main thread only, and a call that parks keeps all others from being served); signals (main thread only
// from 3.13 on); yielding at every slice in this way, without threads. Rejected without the GIL: sys.monitoring and PyEval_SetTraceAllThreads, which stop the
// world twice and are in a debugger's way; a collection, whose callbacks run on the hog's thread, but inside the collection.
#pragma once

#include "cpython.h"
#include "gort/sched/goroutine.h"
#include "without_gil.h"

namespace gort::python {

#ifdef GORT_WITHOUT_GIL

bool load_bells();   // once, at import; false with an exception set

// ring asks g to yield, unless it was asked and has not heard yet. Any thread with an attached state; g may have moved on or ended. Does nothing without
// memory.
void ring(G* g);

#else

// yield_at_next_line arms the trace function on the current thread state, which may be that of a goroutine on another thread. GIL held.
// Does nothing to a state that is traced.
void yield_at_next_line();

#endif

}  // namespace gort::python
