#include "references.h"

#include <atomic>
#include <new>

#include "python_lane.h"

namespace gort::python {
namespace {

struct Dropped {
  PyObject* object;
  Dropped* next;
};
std::atomic<Dropped*> dropped{nullptr};

// May destructors run here and now? Not on a scheduler stack: they may park.
bool may_run_python() {
  M* m = this_machine();
  if (m && (!m->current || m->lane != &lane())) return false;
#if PY_VERSION_HEX < 0x030c0000
  return PyGILState_Check();
#elif PY_VERSION_HEX < 0x030d0000
  return _PyThreadState_UncheckedGet() != nullptr;
#else
  return PyThreadState_GetUnchecked() != nullptr;
#endif
}

int collect(void*) {
  collect_dropped();
  return 0;
}

}  // namespace

const ElementType& object_element() {
  static const ElementType type{"object", sizeof(PyObject*), alignof(PyObject*), true,
                                [](void* element) { drop(*static_cast<PyObject**>(element)); }};
  return type;
}

void drop(PyObject* object) {
  if (may_run_python()) {
    Py_DECREF(object);
    return;
  }
  drop_later(object);
}

void drop_later(PyObject* object) {
  auto* entry = new (std::nothrow) Dropped{object, nullptr};
  if (!entry) return;   // leaks one object, out of memory
  Dropped* head = dropped.load(std::memory_order_relaxed);
  do {
    entry->next = head;
  } while (!dropped.compare_exchange_weak(head, entry, std::memory_order_release, std::memory_order_relaxed));
  if (!head) Py_AddPendingCall(collect, nullptr);
}

void collect_dropped() {
  if (!dropped.load(std::memory_order_relaxed)) [[likely]] return;
  Dropped* entry = dropped.exchange(nullptr, std::memory_order_acquire);
  while (entry) {
    Dropped* next = entry->next;
    Py_DECREF(entry->object);
    delete entry;
    entry = next;
  }
}

}  // namespace gort::python
