// Awaitables: what the extension's types give to be awaited: ch.asend(v), ch.arecv(), async for, mutex.alock(), async with, await wg, await g.
//
// Where a goroutine runs the coroutine (serves_awaits), channels and sleep give an Await (await_object.h). All else is a coroutine of gort._awaits, which says how
// an await waits (docs/async.md has the contract). Here are the ways from a type's slot to those, and what that module needs from the scheduler: a
// goroutine whose end is told, the end of its wait, a lock's holder. It is imported at first use because it needs asyncio.
#pragma once

#include <Python.h>

namespace gort::python {

// awaited calls gort._awaits.<function>(self), or with an argument (self, argument). The coroutine, or null with an exception set. Never parks.
PyObject* awaited(const char* function, PyObject* self, PyObject* argument = nullptr);

// Awaits, where serves_awaits(). REQUIRES: the channel allows it. await_recv: iterates: StopAsyncIteration once it is closed and drained.
PyObject* await_send(PyObject* chan, PyObject* value);
PyObject* await_recv(PyObject* chan, bool iterates);
PyObject* await_sleep(PyObject*, PyObject* seconds);   // _await_sleep(s)

// await_finish is Py_am_await of what has one way to wait for its end: the iterator of gort._awaits._finish(self).
PyObject* await_finish(PyObject* self);

// __aexit__ of locks: gort._awaits._unlock(self).
PyObject* aexit_unlocks(PyObject* self, PyObject* const* args, Py_ssize_t nargs);

// _go_told(told, fn, /, *args, **kwargs) -> Goroutine: go, and told() is called in the goroutine when it is over, however it ended and also if fn was
// never called. told must not park.
PyObject* go_told(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names);

// _withdraw(goroutine): its present wait, or else its next one, ends with GoExit, as at the end of a run; if that wait was won already it goes on as if
// nothing was said. It may have ended. Never parks, raises nothing in code that computes.
PyObject* withdraw(PyObject*, PyObject* goroutine);

// _note_holder(lock): the calling goroutine has the Mutex or RWMutex, which another one took for it (dumps show who has it).
PyObject* note_holder(PyObject*, PyObject* lock);

bool register_awaitables(PyObject* module);

}  // namespace gort::python
