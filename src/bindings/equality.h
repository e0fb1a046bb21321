// How compare_and_swap and its like compare values: `==` with Go's panic.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace gort::python {

// equal_values tells whether a == b: 1, 0, or -1 with an exception set: what `==` raises, or PanicError if both are of one type and that has no hash (list, dict:
// Go's uncomparable types). No short cut for the same object: a NaN is not equal to itself, as in Go. Runs code of others: no lock is held.
int equal_values(PyObject* a, PyObject* b);

}  // namespace gort::python
