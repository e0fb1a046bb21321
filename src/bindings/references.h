// Python objects inside core structures (channel buffers, pools): 8-byte elements that own a reference.
//
// The core may destroy such an element on any thread, without the GIL (types/element_type.h). Then the reference is put aside and
// given up by the next thread that is at hand with the GIL: at the next collect_dropped(), or by CPython's pending calls.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gort/types/element_type.h"

namespace gort::python {

// The element type of a Python object. Null pointers are not elements.
const ElementType& object_element();

// drop gives up a reference. Any thread; no core lock held. May run destructors if the caller holds the GIL.
void drop(PyObject* object);

// drop_later gives it up when somebody else comes by; nothing runs here. Any thread, with or without a state, also a scheduler stack.
void drop_later(PyObject* object);

// collect_dropped gives up what was put aside. GIL held, no core lock; may run destructors. Cheap if there is nothing.
void collect_dropped();

}  // namespace gort::python
