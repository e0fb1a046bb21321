// Which goroutines can never be woken: everything that they wait on can be reached by nobody who may still run.
//
// It is the collector's question asked about goroutines (Go's goroutine leak profile), answered with CPython's own means, which is the
// arithmetic of its cycle collector:
//
//   1. Candidates are goroutines of the Python lane that wait without a deadline for channels, locks, wait groups, conditions or each other.
//   2. From what a candidate is known to own (its call, what its frames hold, the object whose method it is parked in) all reachable
//      objects are traversed, and the references between them counted.
//   3. An object with more references than were counted is held by somebody else: it is live, with all that it reaches. So is one
//      that has weak references.
//   4. A candidate that waits on something live is no candidate, and what it owns is live; repeated until nothing changes.
//
// Conservative: it never names a goroutine that can be woken; it misses some. References that nobody shows count as somebody else's, and so do core
// channels that native code refers to, timers' and contexts' channels, and primitives that the traversal did not meet.
// gc.get_objects() may reach everything and is not counted.
//
// What a frame holds, up to 3.13 (frame_layout.h): its function, its variables, cells and closure, what locals() has left there, and the lower part of its
// evaluation stack. How high that stack is the interpreter keeps to itself during a call, but an exception's handler must find what it needs: the table of
// exceptions gives a height for each instruction inside of a with or try statement, and the values below it are there for certain. So the __exit__ of a with
// block that a goroutine is inside of is known, and loops around the block. What is above cannot be known: the iterator of a loop, the operands of an
// expression that waits for a call (unless a try or with is inside of it, which no expression has but a comprehension). Frames of generators and coroutines are
// left to those objects, which show what they hold while they wait for a Python function, and nothing while they run: else it would be counted twice.
//
// The reference of the parked call itself, up to 3.13: bytecode that calls ch.recv() keeps ch on its stack, or the view of ch that it was called on. That is
// one reference to one of these, and nobody knows to which; but if as many are missing, in all of them together, as calls are parked there, nobody else has
// any. If recv was reached another way, the stack keeps that other thing (a bound method, a case of a select), which somebody else may have too. So the
// references only count if no object of CPython's collector that was not met leads to the channel or a view of it.
// `with mu:` that waits has two such objects, bound methods that it made itself; that mu was what it entered is seen on the stack, whose height follows from
// the block's handler.
//
// What stays unknown, and why it must:
//   - Evaluation stacks above that height, running frames (live anyway), and what C code holds: no one says what is there. A guess would be a reference too
//     many for somebody, which may be the one that keeps a live goroutine's channel.
//   - Channels reached through methods or cases made in the call itself (`ch.receiver().recv` taken first, `select(gort.recv(ch))`): the object is the call's
//     alone or somebody else's too, and its own count does not say which.
//   - From 3.14 on a value on the stack may be lent by a variable, and lent on to a callee's: only the variables of the frame that C called are sure.
//   - Free-threaded builds split their counts among threads, and some objects have none: nobody is named.
#pragma once

#include <unordered_set>

#include "gort/sched/goroutine.h"

namespace gort::python {

// GIL held. Runs no Python code. Throws std::bad_alloc.
std::unordered_set<G*> leaked_goroutines();

}  // namespace gort::python
