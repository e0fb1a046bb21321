// Coroutines that a goroutine runs: those of go(async def) and run(async def), and any other one that a goroutine's function returns.
//
// The goroutine sends the coroutine on until it returns; it is a goroutine as any other, with its id, its context and its place in dumps. What a channel or a
// sleep gives to be awaited is an Await (await_object.h), which the coroutine yields if it must wait. What the other types give (gort._awaits) asks
// runs_coroutine, and parks right there, as the ordinary call does; and so may any function without `async`, since all stand on the goroutine's own stack. Every
// await has the semantics and the order of its ordinary call.
//
// A goroutine whose function's coroutine has yielded an Await has nothing else on its stack. So it waits without: its stack and its thread state go to others
// (park_stackless), and it has the coroutine, the Await and its G. When the wait is over its entry function calls go_on_coroutine, on any stack. It keeps its stack where
// something of its own is in the thread state: values of threading.local, a tracer, a profiler; where its wait is measured; on builds without the GIL, where the
// state is the machine's; and goroutine 1 and those that locked their thread do.
// What else comes out of a coroutine is a wish to an event loop, and there is none: None (asyncio.sleep(0)) is gosched, anything else is answered with a
// RuntimeError, raised where it was awaited.
//
// Rejected: a loop of asyncio's for each such goroutine or for all of them: one that blocks would hold up the others again, which goroutines are there to end.
#pragma once

#include <Python.h>

namespace gort::python {

struct GoroutineObject;

// finish_coroutine returns what a goroutine's function returned, or if that was a coroutine, what the coroutine returns in its turn. Steals result, which may
// be null with an exception set; so may be what it returns. Parks. REQUIRES: machine() succeeded in this call.
// whole: the goroutine's object, if the caller is its entry function with nothing else on the stack; then this may not return, and the goroutine begins again.
PyObject* finish_coroutine(PyObject* result, GoroutineObject* whole = nullptr);

// go_on_coroutine goes on with the coroutine of a goroutine that begins again. Returns, or does not, as finish_coroutine.
// REQUIRES: whole->coroutine; called from the entry function, in the goroutine's context.
PyObject* go_on_coroutine(GoroutineObject* whole);

// runs_coroutine: the calling goroutine is inside finish_coroutine.
bool runs_coroutine();

// leaves_stack: it would wait without a stack if its coroutine yielded an Await; else an Await waits where it is, under the frames of the coroutine.
bool leaves_stack();

// serves_awaits: it runs a coroutine, and no event loop of its own runs inside of it. Then what is awaited here may be an Await.
bool serves_awaits();

}  // namespace gort::python
