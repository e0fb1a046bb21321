#include "tracers.h"

namespace gort::python {
namespace {

// What threading.gettrace() and getprofile() return; calling them for each goroutine would cost a quarter of a short one.
struct Hook {
  const char* variable;
  const char* setter;
  PyObject* name = nullptr;
};
Hook hooks[] = {{"_trace_hook", "settrace"}, {"_profile_hook", "setprofile"}};
PyObject* threading = nullptr;   // its dict

bool load() {
  PyObject* module = PyImport_ImportModule("threading");
  if (!module) return false;
  for (Hook& hook : hooks) {
    if (!(hook.name = PyUnicode_InternFromString(hook.variable))) return false;
  }
  threading = Py_NewRef(PyModule_GetDict(module));
  Py_DECREF(module);
  return true;
}

}  // namespace

bool install_tracers() {
  if (!threading && !load()) return false;
  for (const Hook& hook : hooks) {
    PyObject* function = PyDict_GetItemWithError(threading, hook.name);
    if (!function || function == Py_None) {
      if (!function && PyErr_Occurred()) return false;
      continue;
    }
    PyObject* set = PySys_GetObject(hook.setter);
    PyObject* result = set ? PyObject_CallOneArg(set, function) : nullptr;
    if (!result) return false;
    Py_DECREF(result);
  }
  return true;
}

}  // namespace gort::python
