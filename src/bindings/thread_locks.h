// Locks of OS threads: whether a Python function may hold one just now, so that its goroutine must not be made to leave the CPU (hogs.h).
//
// Nothing tells who holds a lock, so this looks at the code. On every build a function of threading, logging or the import system may: they
// hold RLocks, whose owner is the OS thread.
//
// Without the GIL all goroutines of a thread stay there. If one of them left the CPU with any lock of CPython's (threading.Lock, that of a queue.Queue),
// the next that wants it would block their thread for ever. Locks that last from one bytecode to another are taken by `with`, or by a method called
// acquire. So there also a function may hold one that
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
