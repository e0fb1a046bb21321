// gort.Mutex: see sync_objects.h.
#include "arguments.h"
#include "awaitables.h"
#include "errors.h"
#include "gort/sync/mutex.h"
#include "lock_check.h"
#include "python_lane.h"
#include "sync_objects.h"

namespace gort::python {

PyTypeObject* mutex_type = nullptr;

namespace {

PyTypeObject* mutex_state_type = nullptr;

CheckedLock checked(PyObject* self) { return {self, "Mutex", observe::Hold::Exclusive}; }

// Parks.
bool lock(PyObject* self) {
  M* m = machine_to_wait();
  if (!m) [[unlikely]] return false;
  const G* g = m->current;   // the caller, whichever machine it goes on on
  Mutex& mutex = MutexObject::of(self);
  Outcome outcome;
  if (checks_locks()) [[unlikely]] {
    outcome = checked_lock(checked(self), [&] { return mutex.try_lock(); }, [&] { return mutex.lock_until(); });
    if (outcome == Outcome::Pending) return false;
  } else {
    outcome = mutex.lock_until();
  }
  if (outcome != Outcome::Fired) [[unlikely]] {
    raise_outcome(outcome);
    return false;
  }
  mutex.note_holder(g->id.load(std::memory_order_relaxed));
  after_wait();
  return true;
}

PyObject* mutex_lock(PyObject* self, PyObject*) {
  if (!lock(self)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* mutex_enter(PyObject* self, PyObject*) { return lock(self) ? Py_NewRef(self) : nullptr; }

PyObject* mutex_try_lock(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  bool taken = MutexObject::of(self).try_lock();
  if (taken) note_holder(MutexObject::of(self));
  if (taken && checks_locks()) [[unlikely]] lock_taken(checked(self));
  return PyBool_FromLong(taken);
}

// Parks in starvation mode (yields).
PyObject* mutex_unlock(PyObject* self, PyObject*) {
  if (!operation()) [[unlikely]] return nullptr;
  MutexObject::of(self).note_holder(0);
  if (checks_locks()) [[unlikely]] lock_released(checked(self));
  try {
    MutexObject::of(self).unlock();
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* mutex_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return mutex_unlock(self, nullptr); }

PyObject* mutex_alock(PyObject* self, PyObject*) { return awaited("_lock", self); }
PyObject* mutex_aenter(PyObject* self, PyObject*) { return awaited("_enter", self); }

void mutex_destroy(PyObject* self) {
  if (checks_locks()) [[unlikely]] lock_gone(self);
  MutexObject::destroy(self);
}

PyObject* mutex_state(PyObject* self, void*) {
  Mutex::State state = MutexObject::of(self).state();
  PyObject* result = PyStructSequence_New(mutex_state_type);
  if (!result) return nullptr;
  PyStructSequence_SET_ITEM(result, 0, PyBool_FromLong(state.locked));
  PyStructSequence_SET_ITEM(result, 1, PyBool_FromLong(state.woken));
  PyStructSequence_SET_ITEM(result, 2, PyBool_FromLong(state.starving));
  PyObject* waiters = PyLong_FromLong(state.waiters);
  if (!waiters) {
    Py_DECREF(result);
    return nullptr;
  }
  PyStructSequence_SET_ITEM(result, 3, waiters);
  return result;
}

PyObject* mutex_repr(PyObject* self) {
  Mutex::State state = MutexObject::of(self).state();
  const char* text = state.locked ? "locked" : "unlocked";
  if (state.waiters) return PyUnicode_FromFormat("<Mutex %s, %d waiting>", text, int(state.waiters));
  return PyUnicode_FromFormat("<Mutex %s>", text);
}

PyMethodDef mutex_methods[] = {
    quick<"lock", mutex_lock>("lock()\n--\n\nPark until the mutex is ours."),
    quick<"try_lock", mutex_try_lock>("try_lock()\n--\n\nTake the mutex if that needs no waiting; tell whether it was taken."),
    quick<"unlock", mutex_unlock>(
        "unlock()\n--\n\nGive the mutex back; any goroutine or thread may. FatalError if it is not locked."),
    {"alock", mutex_alock, METH_NOARGS,
     "alock()\n--\n\nlock for asyncio tasks: await mu.alock(), or async with mu. The loop goes on meanwhile.\n\n"
     "A task that is cancelled has not got the mutex, or has it when the await returns, and its next await is cancelled."},
    {"__aenter__", mutex_aenter, METH_NOARGS, nullptr},
    {"__aexit__", raw(aexit_unlocks), METH_FASTCALL, nullptr},
    {"__enter__", mutex_enter, METH_NOARGS, nullptr},
    {"__exit__", raw(mutex_exit), METH_FASTCALL, nullptr},
    {"__reduce__", refuse_copy, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef mutex_properties[] = {
    {"state", mutex_state, nullptr, "(locked, woken, starving, waiters), as they are at this moment.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot mutex_slots[] = {
    {Py_tp_doc, const_cast<char*>("Mutex()\n--\n\nGo's mutual exclusion lock for goroutines and threads. Not reentrant, owned by nobody.\n\n"
                                  ">>> mu = Mutex()\n>>> with mu:\n...     mu.state.locked\nTrue")},
    {Py_tp_new, reinterpret_cast<void*>(MutexObject::make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(mutex_destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(mutex_repr)},
    {Py_tp_methods, mutex_methods},
    {Py_tp_getset, mutex_properties},
    {Py_tp_members, MutexObject::members},
    {0, nullptr}};
PyType_Spec mutex_spec = {"gort.Mutex", sizeof(MutexObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, mutex_slots};

PyStructSequence_Field mutex_state_fields[] = {{"locked", "somebody has it"},
                                               {"woken", "a waiter is awake and trying"},
                                               {"starving", "in starvation mode: it goes to the first waiter"},
                                               {"waiters", "how many wait"},
                                               {nullptr, nullptr}};
PyStructSequence_Desc mutex_state_description = {"gort.sync.MutexState", "What a Mutex looks like.", mutex_state_fields, 4};

}  // namespace

bool add_mutex(PyObject* module) {
  mutex_state_type = PyStructSequence_NewType(&mutex_state_description);
  if (!mutex_state_type || PyModule_AddObjectRef(module, "MutexState", reinterpret_cast<PyObject*>(mutex_state_type)) < 0) return false;
  mutex_type = add_type(module, &mutex_spec);
  return mutex_type != nullptr;
}

}  // namespace gort::python
