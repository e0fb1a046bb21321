// One function a topic; each adds its names to the module. False, or a C++ exception, with a Python exception set on failure.
#pragma once

#include <Python.h>   // not pybind11, whose headers take seconds to read: only the files that use it do

namespace gort::python {

bool register_channels(PyObject* module);
bool register_sync(PyObject* module);
bool register_awaitables(PyObject* module);
bool register_coroutines(PyObject* module);
bool register_context(PyObject* module);
bool register_heap(PyObject* module);
bool register_gc(PyObject* module);
bool register_sched(PyObject* module);
bool register_observe(PyObject* module);
bool register_lock_check(PyObject* module);
bool register_extension(PyObject* module);
bool register_layout(PyObject* module);

bool register_all(PyObject* module);

}  // namespace gort::python
