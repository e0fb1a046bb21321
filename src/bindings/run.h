// run(): a Python function as goroutine 1, on the calling thread, and the orderly end of everything it started.
#pragma once

#include "goroutine_object.h"

namespace gort::python {

// run(main, /, *args, procs=None, seed=None, grace=1.0, **kwargs). Parks: a raw slot.
PyObject* run(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names);

// on_sigint is the SIGINT handler of a run: raises in goroutine 1, or ends its wait.
PyObject* on_sigint(PyObject*, PyObject* args);

// report_uncaught deals with the Python exception that left a goroutine's function: nothing for GoExit; in a run the first
// one ends the run; else gort.panichook. Clears the exception.
void report_uncaught(G* g, GoroutineObject* object);

// note_deadlock keeps the Deadlock that goroutine 1 was given, so that run() raises it even if main swallows it.
void note_deadlock(PyObject* error);

PyObject* set_default_seed(PyObject*, PyObject* seed);   // of runs that are given none
bool is_closed();
PyObject* close_at_exit(PyObject*, PyObject*);
PyObject* before_fork(PyObject*, PyObject*);
PyObject* forked_child(PyObject*, PyObject*);

}  // namespace gort::python
