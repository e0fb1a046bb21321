#include "hogs.h"

#include "gort/base/clock.h"
#include "python_lane.h"

namespace gort::python {
namespace {

constexpr const char* kThreadBound[] = {"threading", "logging", "importlib._bootstrap", "importlib._bootstrap_external"};

// Whether the function is of a module that may hold what belongs to its OS thread.
bool is_thread_bound(PyFrameObject* frame) {
  PyObject* globals = PyFrame_GetGlobals(frame);
  PyObject* name = globals ? PyDict_GetItemString(globals, "__name__") : nullptr;
  bool bound = false;
  if (name && PyUnicode_Check(name)) {
    for (const char* module : kThreadBound) bound = bound || PyUnicode_CompareWithASCIIString(name, module) == 0;
  }
  Py_XDECREF(globals);
  return bound;
}

bool may_move(PyFrameObject* frame) {
  bool may = true;
  Py_INCREF(frame);
  while (frame && may) {
    may = !is_thread_bound(frame);
    PyFrameObject* caller = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = caller;
  }
  Py_XDECREF(frame);
  return may;
}

int yield_once(PyObject*, PyFrameObject* frame, int, PyObject*) {
  PyEval_SetTrace(nullptr, nullptr);
  M* m = machine();
  if (!m || m->lane != &lane() || !m->current || m->current->is_plain_thread()) return 0;
  if (may_move(frame)) {
    m->lane->give_up_slice(m, m->current, false);
  } else if (!m->p) {
    m->hog_since.store(nanotime(), std::memory_order_relaxed);   // asked again when all others were
    m->hog_asked.store(false, std::memory_order_relaxed);
  }
  return 0;
}

}  // namespace

void yield_at_next_line() {
  if (!PyThreadState_Get()->c_tracefunc) PyEval_SetTrace(yield_once, nullptr);
}

}  // namespace gort::python
