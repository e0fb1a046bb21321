// go_native(address, arg): a C function as a native goroutine. What address and arg may be is decided in Python (gort/_native.py);
// here it is started. The function runs as foreign code (Go's cgo call, sched/go.h: BlockingScope): nobody waits for it, neither the
// collector nor, beyond a time slice, other native goroutines.
#include "arguments.h"
#include "gort/sched/go.h"
#include "goroutine_object.h"
#include "native_call.h"

namespace gort::python {
namespace {

struct Foreign {
  void (*function)(void*);
  void* argument;
};

void call_foreign(void* body) {
  Foreign foreign = *static_cast<Foreign*>(body);
  BlockingScope scope;
  foreign.function(foreign.argument);
}

void free_foreign(void* body) { delete static_cast<Foreign*>(body); }

// The pair of addresses, and what keeps the memory behind arg, as gort._native.resolve gives them. New reference.
PyObject* resolve(PyObject* address, PyObject* argument) {
  PyObject* module = PyImport_ImportModule("gort._native");
  PyObject* result = module ? PyObject_CallMethod(module, "resolve", "OO", address, argument) : nullptr;
  Py_XDECREF(module);
  return result;
}

}  // namespace

PyObject* go_native(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  PyObject* given[2] = {nullptr, nullptr};
  static const char* const known[] = {"address", "arg"};
  if (nargs > 2) return PyErr_Format(PyExc_TypeError, "go_native: takes at most 2 arguments (address, arg), got %zd", nargs);
  for (Py_ssize_t i = 0; i < nargs; i++) given[i] = args[i];
  for (Py_ssize_t i = 0, n = names ? PyTuple_GET_SIZE(names) : 0; i < n; i++) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    int which = PyUnicode_CompareWithASCIIString(name, known[0]) == 0 ? 0 : PyUnicode_CompareWithASCIIString(name, known[1]) == 0 ? 1 : 2;
    if (which == 2) return PyErr_Format(PyExc_TypeError, "go_native: unexpected keyword argument %R", name);
    if (given[which]) return PyErr_Format(PyExc_TypeError, "go_native: argument %R is given twice", name);
    given[which] = args[nargs + i];
  }
  if (!given[0]) return PyErr_Format(PyExc_TypeError, "go_native: an address is needed: go_native(address, arg=None)");

  PyObject* resolved = resolve(given[0], given[1] ? given[1] : Py_None);
  if (!resolved) return nullptr;
  auto* foreign = new Foreign{reinterpret_cast<void (*)(void*)>(PyLong_AsVoidPtr(PyTuple_GET_ITEM(resolved, 0))),
                              PyLong_AsVoidPtr(PyTuple_GET_ITEM(resolved, 1))};
  PyObject* kept[] = {given[0], resolved};
  GoroutineObject* object = start_native("go_native", {call_foreign, free_foreign, foreign}, kept, 2);
  Py_DECREF(resolved);
  if (!object) delete foreign;
  return reinterpret_cast<PyObject*>(object);
}

}  // namespace gort::python
