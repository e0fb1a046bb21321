// Locks of OS threads: whether a Python function may hold one just now, so that its goroutine must not be made to leave the CPU (hogs.h).
//
// What may be held: a threading.RLock, whose owner is the OS thread, so that a goroutine that comes back on another thread cannot release it, and the next
// one on this thread walks in. Without the GIL any lock of CPython's (threading.Lock, that of a queue.Queue): all goroutines of a thread stay there, and the
// next one that wants it would block their thread for ever.
//
// Nothing tells who holds a lock, so this looks at the code. A function may hold one that
//   is of threading, logging or the import system;
//   stands inside a `with` block, as the exception table of its code says: the handler of a `with` begins with WITH_EXCEPT_START;
//   is an __enter__ or __exit__, or its asynchronous counterpart;
//   uses a name with "acquire" or "release" in it.
// A goroutine that holds a lock otherwise (taken by a function that has returned, by a generator that is suspended, by an extension that calls back)
// is not recognised.
//
// Rejected: counting acquisitions (the lock types are CPython's, their methods cannot be replaced); asking for the object of the `with`, which may well be no
// lock (it lies on the frame's stack, which nothing public shows).
#pragma once

#include "cpython.h"

namespace gort::python {

// may_hold_thread_lock looks at one frame that is being executed, not at its callers. Leaves no exception. GIL held. O(length of its code).
bool may_hold_thread_lock(PyFrameObject* frame);

}  // namespace gort::python
