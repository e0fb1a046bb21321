// Which goroutines can never be woken: everything that they wait on can be reached by nobody who may still run.
//
// It is the collector's question asked about goroutines (Go's goroutine leak profile), answered with CPython's own means, which is the
// arithmetic of its cycle collector:
//
//   1. Candidates are goroutines of the Python lane that wait without a deadline for channels, locks, wait groups, conditions or each other.
//   2. From what a candidate is known to own (its call, its frames' local variables, the object whose method it is parked in) all reachable
//      objects are traversed, and the references between them counted.
//   3. An object with more references than were counted is held by somebody else: it is live, with all that it reaches. So is one
//      that has weak references.
//   4. A candidate that waits on something live is no candidate, and what it owns is live; repeated until nothing changes.
//
// Conservative: it never names a goroutine that can be woken; it misses some. References that CPython shows nobody (evaluation stacks
// of frames, locals of running ones, C code) count as somebody else's; so do core channels that native code refers to, timers' and contexts'
// channels, and primitives that the traversal did not meet. Up to 3.13 every value on an evaluation stack and every local variable is a
// reference of its own; from 3.14 on only the variables of the frame that C called are sure to be (a value may be lent by a variable, and
// lent on to a callee's), so fewer are found. Free-threaded builds, whose counts are not exact: none.
// gc.get_objects() may reach everything and is not counted.
//
// Why "the parked call's own reference" is safe to count up to 3.13: bytecode that calls ch.recv() keeps ch on its stack. If recv was reached another
// way, the stack keeps that other thing (a bound method, a C function, a tuple), which then has one more reference than were
// counted and is live, and the channel with it.
#pragma once

#include <unordered_set>

#include "gort/sched/goroutine.h"

namespace gort::python {

// GIL held. Runs no Python code. Throws std::bad_alloc.
std::unordered_set<G*> leaked_goroutines();

}  // namespace gort::python
