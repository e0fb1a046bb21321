// Coroutines that a goroutine runs: those of go(async def) and run(async def), and any other one that a goroutine's function returns.
//
// The goroutine sends the coroutine on until it returns; it is a goroutine as any other, with its id, its context and its place in dumps. What gort's types
// give to be awaited (gort._awaits) asks runs_coroutine, and parks right there, as the ordinary call does: to park beneath frames of coroutines is nothing
// special, since they stand on the goroutine's own stack. So every await has the semantics, the order and the cost of its ordinary call, and a function without
// `async` that parks, called from a coroutine, needs no care.
// What else comes out of a coroutine is a wish to an event loop, and there is none: None (asyncio.sleep(0)) is gosched, anything else is answered with a
// RuntimeError, raised where it was awaited.
//
// Rejected: a loop of asyncio's for each such goroutine or for all of them: one that blocks would hold up the others again, which goroutines are there to end.
#pragma once

#include <Python.h>

namespace gort::python {

// finish_coroutine returns what a goroutine's function returned, or if that was a coroutine, what the coroutine returns in its turn. Steals result, which may
// be null with an exception set; so may be what it returns. Parks. REQUIRES: machine() succeeded in this call.
PyObject* finish_coroutine(PyObject* result);

// runs_coroutine: the calling goroutine is inside finish_coroutine.
bool runs_coroutine();

}  // namespace gort::python
