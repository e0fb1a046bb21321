#include "arguments.h"

#include <cmath>

#include "errors.h"

namespace gort::python {
namespace {

// A float, or total_seconds() of a timedelta. NaN result with an exception set on failure.
bool to_seconds(const char* function, const char* argument, PyObject* object, double* seconds) {
  if (PyFloat_Check(object)) {
    *seconds = PyFloat_AS_DOUBLE(object);
  } else if (PyLong_Check(object)) {
    *seconds = PyLong_AsDouble(object);
    if (*seconds == -1.0 && PyErr_Occurred()) {
      PyErr_Clear();
      errors::bad_value(function, argument, "a number of seconds", object);
      return false;
    }
  } else {
    PyObject* total = PyObject_CallMethod(object, "total_seconds", nullptr);
    if (!total) {
      PyErr_Clear();
      double value = PyFloat_AsDouble(object);   // __float__ or __index__, as time.sleep takes
      if (value == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        errors::bad_type(function, argument, "a number of seconds or a timedelta", object);
        return false;
      }
      *seconds = value;
    } else {
      *seconds = PyFloat_AsDouble(total);
      Py_DECREF(total);
      if (*seconds == -1.0 && PyErr_Occurred()) return false;
    }
  }
  if (std::isnan(*seconds)) {
    errors::bad_value(function, argument, "a number of seconds", object);
    return false;
  }
  return true;
}

}  // namespace

bool seconds_to_nanos(const char* function, const char* argument, PyObject* object, Nanos* nanos) {
  double seconds;
  if (!to_seconds(function, argument, object, &seconds)) return false;
  double wide = seconds * 1e9;
  *nanos = wide >= 9.2e18 ? kForever : wide <= -9.2e18 ? -kForever : Nanos(wide);
  return true;
}

bool seconds_to_deadline(const char* function, const char* argument, PyObject* object, Nanos* deadline) {
  Nanos nanos;
  if (!seconds_to_nanos(function, argument, object, &nanos)) return false;
  *deadline = deadline_after(nanos);
  return true;
}

bool timeout_to_deadline(const char* function, PyObject* timeout, Nanos* deadline) {
  if (!timeout || timeout == Py_None) {
    *deadline = kForever;
    return true;
  }
  Nanos nanos;
  if (!seconds_to_nanos(function, "timeout", timeout, &nanos)) return false;
  *deadline = nanos <= 0 ? 1 : deadline_after(nanos);
  return true;
}

bool parse_timeout(const char* function, PyObject* const* args, Py_ssize_t nargs, PyObject* names, Nanos* deadline) {
  Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  if (nargs + named > 1) {
    PyErr_Format(PyExc_TypeError, "%s: takes at most 1 argument (timeout), got %zd", function, nargs + named);
    return false;
  }
  if (named == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout") != 0) {
    PyErr_Format(PyExc_TypeError, "%s: unexpected keyword argument %R", function, PyTuple_GET_ITEM(names, 0));
    return false;
  }
  return timeout_to_deadline(function, nargs + named ? args[0] : nullptr, deadline);
}

}  // namespace gort::python
