// Handle: the Python object that roots one object of the managed heap.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gort/heap/handle.h"

namespace gort::python {

struct HandleObject {
  PyObject_HEAD
  heap::Handle handle;   // never empty
  PyObject* weak_references;
};

extern PyTypeObject* handle_type;

}  // namespace gort::python
