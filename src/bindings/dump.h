// Texts about goroutines in Go's traceback format, with Python frames. GIL held.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string>

namespace gort {
struct G;
}

namespace gort::python {

// dump_goroutines: a str with every goroutine: header line, what it waits for and who holds that, Python frames innermost first,
// "created by". asleep: nobody runs (a deadlock), so what native goroutines wait for can be looked into too.
PyObject* dump_goroutines(bool asleep = false);

// frames_of appends the Python frames of g, innermost first, as Go prints frames.
std::string frames_of(G* g);

// created_by is Go's last line of a goroutine's traceback; "" for plain threads.
std::string created_by(G* g);

}  // namespace gort::python
