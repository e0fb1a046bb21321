// What the raw Python types have in common: those whose methods may park, which pybind11 must not dispatch (HACKING.md).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <cstring>
#include <new>

namespace gort::python {

// raw makes a table entry of a function with any of CPython's calling conventions.
template <class F>
PyCFunction raw(F* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

// add_type makes the type of the spec and adds it to the module. Null with an exception set on failure.
inline PyTypeObject* add_type(PyObject* module, PyType_Spec* spec) {
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(spec));
  if (!type || PyModule_AddType(module, type) < 0) return nullptr;
  return type;
}

// The object of a primitive that holds no Python objects.
template <class T>
struct Holder {
  PyObject_HEAD
  PyObject* weak_references;
  T value;

  static T& of(PyObject* self) { return reinterpret_cast<Holder*>(self)->value; }

  static PyObject* make(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    if (PyTuple_GET_SIZE(args) != 0 || (keywords && PyDict_GET_SIZE(keywords) != 0)) {
      PyErr_Format(PyExc_TypeError, "%s: takes no arguments", strrchr(type->tp_name, '.') + 1);
      return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self) new (&of(self)) T;
    return self;
  }

  static void destroy(PyObject* self) {
    auto* object = reinterpret_cast<Holder*>(self);
    if (object->weak_references) PyObject_ClearWeakRefs(self);
    object->value.~T();
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
  }

  static inline PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, offsetof(Holder, weak_references), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr}};
};

}  // namespace gort::python
