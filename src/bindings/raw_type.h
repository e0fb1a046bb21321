// What the raw Python types have in common: those whose methods may park, which pybind11 must not dispatch (HACKING.md).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace gort::python {

// raw makes a table entry of a function with any of CPython's calling conventions.
template <class F>
PyCFunction raw(F* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

// A name in a template's arguments.
template <size_t N>
struct Name {
  constexpr Name(const char (&literal)[N]) { std::copy_n(literal, N, text); }
  char text[N];
};

// quick is the table entry of a method or function without arguments that is called millions of times. The interpreter (3.11 to 3.13) calls a METH_NOARGS one
// that was looked up before (lock = mutex.lock) the general way, a METH_FASTCALL one at once: 5 ns less. Says what METH_NOARGS would to arguments.
template <Name name, PyObject* (*function)(PyObject*, PyObject*)>
PyMethodDef quick(const char* doc) {
  return {name.text, raw(+[](PyObject* self, PyObject* const*, Py_ssize_t given) -> PyObject* {
            if (given == 0) [[likely]] return function(self, nullptr);
            const char* owner = PyModule_Check(self) ? PyModule_GetName(self) : strrchr(Py_TYPE(self)->tp_name, '.') + 1;
            return PyErr_Format(PyExc_TypeError, "%s.%s() takes no arguments (%zd given)", owner, name.text, given);
          }),
          METH_FASTCALL, doc};
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
