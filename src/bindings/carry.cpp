#include "carry.h"

#ifdef GORT_WITHOUT_GIL

namespace gort::python {
namespace {

// Of CPython's own struct behind the public one; it is four times as long.
constexpr size_t kSearched = 4096;

std::ptrdiff_t only_place(PyThreadState* state, PyObject* value) {
  std::ptrdiff_t found = -1;
  auto* words = reinterpret_cast<PyObject**>(state);
  for (size_t i = sizeof(PyThreadState) / sizeof(PyObject*); i < kSearched / sizeof(PyObject*); i++) {
    if (words[i] != value) continue;
    if (found >= 0) return -1;
    found = std::ptrdiff_t(i * sizeof(PyObject*));
  }
  return found;
}

}  // namespace

void RunningLoop::learn() {
  if (offset_.load(std::memory_order_relaxed) != 0) return;
  PyObject* raised = PyErr_GetRaisedException();
  PyObject* module = nullptr;
  if (PyDict_GetItemStringRef(PyImport_GetModuleDict(), "_asyncio", &module) == 1) {
    PyObject* marker = PyDict_New();
    PyObject* running = PyObject_CallMethod(module, "_get_running_loop", nullptr);
    PyObject* set = running && marker ? PyObject_CallMethod(module, "_set_running_loop", "O", marker) : nullptr;
    if (set) {
      offset_.store(only_place(PyThreadState_Get(), marker), std::memory_order_relaxed);
      Py_XDECREF(PyObject_CallMethod(module, "_set_running_loop", "O", running));
    }
    Py_XDECREF(set);
    Py_XDECREF(running);
    Py_XDECREF(marker);
    Py_DECREF(module);
  }
  PyErr_Clear();
  PyErr_SetRaisedException(raised);
}

}  // namespace gort::python

#endif
