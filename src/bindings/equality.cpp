#include "equality.h"

#include "errors.h"

namespace gort::python {

int equal_values(PyObject* a, PyObject* b) {
  if (Py_TYPE(a) == Py_TYPE(b) && Py_TYPE(a)->tp_hash == PyObject_HashNotImplemented) {
    PyErr_Format(errors::PanicError, "runtime error: comparing uncomparable type %s", Py_TYPE(a)->tp_name);
    return -1;
  }
  PyObject* answer = PyObject_RichCompare(a, b, Py_EQ);
  int is = answer ? PyObject_IsTrue(answer) : -1;
  Py_XDECREF(answer);
  return is;
}

}  // namespace gort::python
