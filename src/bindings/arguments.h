// Arguments of the raw (non-pybind11) methods, with errors in one voice.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gort/base/clock.h"

namespace gort::python {

// seconds_to_deadline turns a duration in seconds (float, int or datetime.timedelta) into a deadline. NaN: ValueError.
// Huge ones mean kForever. False with an exception set.
bool seconds_to_deadline(const char* function, const char* argument, PyObject* seconds, Nanos* deadline);
bool seconds_to_nanos(const char* function, const char* argument, PyObject* seconds, Nanos* nanos);

// timeout_to_deadline is the same for a timeout=None parameter: None means kForever; negative means now.
bool timeout_to_deadline(const char* function, PyObject* timeout, Nanos* deadline);

// parse_timeout reads (timeout=None) of a METH_FASTCALL | METH_KEYWORDS method that has no other parameter.
bool parse_timeout(const char* function, PyObject* const* args, Py_ssize_t nargs, PyObject* names, Nanos* deadline);

}  // namespace gort::python
