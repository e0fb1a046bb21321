#include "hogs.h"

#include <new>

#include "gort/base/clock.h"
#include "python_lane.h"
#include "thread_locks.h"

namespace gort::python {
namespace {

bool may_move(PyFrameObject* frame) {
  bool may = true;
  Py_XINCREF(frame);
  while (frame && may) {
    may = !may_hold_thread_lock(frame);
    PyFrameObject* caller = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = caller;
  }
  Py_XDECREF(frame);
  return may;
}

// REQUIRES: m's goroutine is the caller, and no plain thread.
void yield_if_it_may(M* m, PyFrameObject* frame) {
  if (may_move(frame)) {
    m->lane->give_up_slice(m, m->current, true);
  } else if (!m->p) {
    m->hog_since.store(nanotime(), std::memory_order_relaxed);   // asked again when all others were
    m->hog_asked.store(false, std::memory_order_relaxed);
  }
}

#ifdef GORT_WITHOUT_GIL

struct Bell {
  PyObject object;
  G* g;
  uint64_t id;
};

void heard(PyObject* self) {
  auto* bell = reinterpret_cast<Bell*>(self);
  G* g = bell->g;
  uint64_t id = bell->id;
  PyTypeObject* type = Py_TYPE(self);
  delete bell;
  Py_DECREF(type);
  uint64_t asked = id;
  frame_of(g)->asked.compare_exchange_strong(asked, 0, std::memory_order_relaxed);
  M* m = this_machine();
  if (!m || m->lane != &lane() || m->current != g || g->id.load(std::memory_order_relaxed) != id) return;
  yield_if_it_may(m, PyEval_GetFrame());
}

PyType_Slot bell_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(heard)}, {0, nullptr}};
PyType_Spec bell_spec = {"gort._gort._Bell", sizeof(Bell), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, bell_slots};
PyTypeObject* bell_type;

#else

int yield_once(PyObject*, PyFrameObject* frame, int, PyObject*) {
  PyEval_SetTrace(nullptr, nullptr);
  M* m = machine();
  if (m && m->lane == &lane() && m->current && !m->current->is_plain_thread()) yield_if_it_may(m, frame);
  return 0;
}

#endif

}  // namespace

#ifdef GORT_WITHOUT_GIL

bool load_bells() {
  if (!bell_type) bell_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&bell_spec));
  return bell_type;
}

void ring(G* g) {
  Frame* frame = frame_of(g);
  uint64_t id = g->id.load(std::memory_order_relaxed);
  if (frame->asked.exchange(id, std::memory_order_relaxed) == id) return;
  auto* bell = new (std::nothrow) Bell{};
  if (!bell) {
    frame->asked.store(0, std::memory_order_relaxed);
    return;
  }
  bell->g = g;
  bell->id = id;
  PyObject_Init(&bell->object, bell_type);
  bell->object.ob_tid = frame->thread.load(std::memory_order_relaxed);
  Py_DECREF(&bell->object);
}

#else

void yield_at_next_line() {
  if (!PyThreadState_Get()->c_tracefunc) PyEval_SetTrace(yield_once, nullptr);
}

#endif

}  // namespace gort::python
