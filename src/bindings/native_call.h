// go_native: C functions as goroutines.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace gort::python {

// go_native(address, arg=None) -> Goroutine
PyObject* go_native(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names);

}  // namespace gort::python
