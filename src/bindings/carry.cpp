#include "carry.h"

#ifdef GORT_WITHOUT_GIL

namespace gort::python {
namespace {

// Of CPython's own struct behind the public one; it is four times as long.
constexpr size_t kSearched = 4096;

// The only word behind the public struct of which `wanted` is true.
template <class F>
std::ptrdiff_t only_place(PyThreadState* state, F wanted) {
  std::ptrdiff_t found = -1;
  auto* words = reinterpret_cast<uintptr_t*>(state);
  for (size_t i = sizeof(PyThreadState) / sizeof(uintptr_t); i < kSearched / sizeof(uintptr_t); i++) {
    if (!wanted(words[i])) continue;
    if (found >= 0) return -1;
    found = std::ptrdiff_t(i * sizeof(uintptr_t));
  }
  return found;
}

std::ptrdiff_t only_place(PyThreadState* state, PyObject* value) {
  return only_place(state, [&](uintptr_t word) { return word == reinterpret_cast<uintptr_t>(value); });
}

PyObject* new_marker() { return PyObject_CallNoArgs(reinterpret_cast<PyObject*>(&PyBaseObject_Type)); }

}  // namespace

void HiddenWords::learn_asyncio() {
  if (loop_.load(std::memory_order_relaxed) != 0) return;
  PyObject* raised = PyErr_GetRaisedException();
  PyObject* module = nullptr;
  if (PyDict_GetItemStringRef(PyImport_GetModuleDict(), "_asyncio", &module) == 1) {
    PyThreadState* state = PyThreadState_Get();
    PyObject *loop = new_marker(), *task = new_marker();
    PyObject* running = PyObject_CallMethod(module, "_get_running_loop", nullptr);
    PyObject* set = running && loop && task ? PyObject_CallMethod(module, "_set_running_loop", "O", loop) : nullptr;
    if (set) {
      if (PyObject* current = PyObject_CallMethod(module, "_swap_current_task", "OO", loop, task)) {
        task_.store(only_place(state, task), std::memory_order_relaxed);
        Py_XDECREF(PyObject_CallMethod(module, "_swap_current_task", "OO", loop, current));
        Py_DECREF(current);
      }
      loop_.store(only_place(state, loop), std::memory_order_relaxed);
      Py_XDECREF(PyObject_CallMethod(module, "_set_running_loop", "O", running));
    }
    Py_XDECREF(set);
    Py_XDECREF(running);
    Py_XDECREF(task);
    Py_XDECREF(loop);
    Py_DECREF(module);
  }
  PyErr_Clear();
  PyErr_SetRaisedException(raised);
}

#if PY_VERSION_HEX < 0x030e0000

bool HiddenWords::learn_references() { return true; }

#else

namespace {

struct Search {
  PyObject* method = nullptr;
  char* outside = nullptr;   // beyond the frames of the call
  std::ptrdiff_t found = -1;
};

// Called as a special method, whose callers keep it in a reference on their stack, newest first.
PyObject* look(PyObject* search, PyObject*) {
  auto* s = static_cast<Search*>(PyCapsule_GetPointer(search, nullptr));
  char inside;
  auto begin = reinterpret_cast<uintptr_t>(&inside), end = reinterpret_cast<uintptr_t>(s->outside);
  s->found = only_place(PyThreadState_Get(), [&](uintptr_t word) {
    if (word <= begin || word >= end || word % sizeof(uintptr_t) != 0) return false;
    auto* reference = reinterpret_cast<StackReference*>(word);
    return (reference->bits & ~uintptr_t(3)) == reinterpret_cast<uintptr_t>(s->method);
  });
  return PyLong_FromLong(0);
}

}  // namespace

[[gnu::noinline]] bool HiddenWords::learn_references() {
  static PyMethodDef definition = {"look", look, METH_NOARGS, nullptr};
  Search search;
  search.outside = static_cast<char*>(__builtin_frame_address(0));
  PyObject* capsule = PyCapsule_New(&search, nullptr, nullptr);
  search.method = capsule ? PyCFunction_New(&definition, capsule) : nullptr;
  PyObject* type = search.method ? PyObject_CallFunction(reinterpret_cast<PyObject*>(&PyType_Type), "s(){sO}", "Probe", "__len__", search.method) : nullptr;
  PyObject* probe = type ? PyObject_CallNoArgs(type) : nullptr;
  if (probe && PyObject_Size(probe) == 0) references_.store(search.found, std::memory_order_relaxed);
  PyErr_Clear();
  Py_XDECREF(probe);
  Py_XDECREF(type);
  Py_XDECREF(search.method);
  Py_XDECREF(capsule);
  return references_.load(std::memory_order_relaxed) > 0;
}

#endif

}  // namespace gort::python

#endif
