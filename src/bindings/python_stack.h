// Python stacks for measurements (gort/observe/call_stacks.h): a place is a code object, which is owned, and an offset of an instruction in it.
//
// Taken by a goroutine of itself, from the interpreter's frames as frame_layout.h knows them: nothing is made, so no collection of CPython's can begin and
// no code of anybody runs in the middle of a wait. Where the layout is unknown there are no stacks.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gort/observe/call_stacks.h"

namespace gort::python {

extern const observe::StackKind python_stack;

// python_stack_here keeps the caller's stack in the present session's table and gives its number; 0 if there is none: a thread whose state is not attached, a
// scheduler stack. keep_python_stack does so in the given table, of the innermost `most` frames.
observe::StackId python_stack_here();
observe::StackId keep_python_stack(observe::CallStacks& stacks, size_t most = observe::CallStacks::kMostPlaces);

// python_frame is a place as (function, file, line). Null with an exception set.
PyObject* python_frame(const observe::Place& place);

}  // namespace gort::python
