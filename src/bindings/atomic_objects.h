// gort.atomic: integers of each width, Bool, Pointer and Value: Go's sync/atomic types.
//
// Every operation is sequentially consistent and passes a safe point, as those of all primitives do (HACKING.md, Seeds): a loop of
// compare_and_swap can be stopped and explored. None parks otherwise. Arguments are read, and what they run is run, before the operation begins.
//
// Integers are std::atomic of the C++ type, which wraps around as Go's do; that is their C++ face too. Pointer and Value are a reference under the
// object's lock (nothing with a GIL): a load must read it and count itself as an owner in one step. Rejected: hazard pointers for loads without a lock on
// builds without the GIL; the count of the object that everybody loads is as contended as the lock.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace gort::python {

// Each adds its types to the module. False with an exception set on failure.
bool add_atomic_integers(PyObject* module);   // Int32 Int64 Uint32 Uint64 Uintptr Bool
bool add_atomic_references(PyObject* module); // Pointer Value

// The (old, new) of a compare_and_swap: TypeError unless there are two.
bool two_arguments(Py_ssize_t nargs);

}  // namespace gort::python
