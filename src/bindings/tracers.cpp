#include "tracers.h"

namespace gort::python {
namespace {

// What threading.gettrace() and getprofile() return; calling them for each goroutine would cost a quarter of a short one.
struct Hook {
  const char* variable;
  const char* setter;
  PyObject* name = nullptr;
  PyObject* setter_name = nullptr;
};
Hook hooks[] = {{"_trace_hook", "settrace"}, {"_profile_hook", "setprofile"}};
PyObject* threading = nullptr;   // the modules' dicts
PyObject* sys = nullptr;

PyObject* dict_of(const char* name) {
  PyObject* module = PyImport_ImportModule(name);
  PyObject* dict = module ? Py_NewRef(PyModule_GetDict(module)) : nullptr;
  Py_XDECREF(module);
  return dict;
}

// A new reference; null with or without an exception set.
PyObject* item(PyObject* dict, PyObject* name) {
#if PY_VERSION_HEX < 0x030d0000
  return Py_XNewRef(PyDict_GetItemWithError(dict, name));
#else
  PyObject* value;
  PyDict_GetItemRef(dict, name, &value);   // a borrowed one could be somebody's last without the GIL
  return value;
#endif
}

bool install(const Hook& hook, PyObject* function) {
  PyObject* set = item(sys, hook.setter_name);
  PyObject* result = set ? PyObject_CallOneArg(set, function) : nullptr;
  Py_XDECREF(set);
  Py_XDECREF(result);
  return result != nullptr;
}

}  // namespace

bool load_tracers() {
  for (Hook& hook : hooks) {
    if (!hook.name && !(hook.name = PyUnicode_InternFromString(hook.variable))) return false;
    if (!hook.setter_name && !(hook.setter_name = PyUnicode_InternFromString(hook.setter))) return false;
  }
  return (threading || (threading = dict_of("threading"))) && (sys || (sys = dict_of("sys")));
}

bool install_tracers() {
  for (const Hook& hook : hooks) {
    PyObject* function = item(threading, hook.name);
    if (!function && PyErr_Occurred()) return false;
    bool installed = !function || function == Py_None || install(hook, function);
    Py_XDECREF(function);
    if (!installed) return false;
  }
  return true;
}

}  // namespace gort::python
