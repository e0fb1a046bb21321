// Tracers: a goroutine starts with the tracer and profiler of threading.settrace and threading.setprofile, as a thread does.
#pragma once

#include "cpython.h"

namespace gort::python {

bool load_tracers();   // once, at import; false with an exception set

// install_tracers is called first on a new goroutine's own thread state. False with an exception set if a hook is no tracer.
bool install_tracers();

}  // namespace gort::python
