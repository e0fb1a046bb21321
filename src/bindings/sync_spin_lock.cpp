// gort.sync.SpinLock: see sync_objects.h.
#include "errors.h"
#include "gort/sync/yielding_spin_lock.h"
#include "lock_check.h"
#include "python_lane.h"
#include "sync_objects.h"

namespace gort::python {
namespace {

using SpinLockObject = Holder<YieldingSpinLock>;

CheckedLock checked(PyObject* self) { return {self, "SpinLock", observe::Hold::Exclusive}; }

// Parks.
bool lock(PyObject* self) {
  if (!machine_to_wait()) [[unlikely]] return false;
  Outcome outcome;
  if (checks_locks()) [[unlikely]] {
    YieldingSpinLock& spin_lock = SpinLockObject::of(self);
    outcome = checked_lock(checked(self), [&] { return spin_lock.try_lock(); }, [&] { return spin_lock.lock_until(); });
    if (outcome == Outcome::Pending) return false;
  } else {
    outcome = SpinLockObject::of(self).lock_until();
  }
  if (outcome != Outcome::Fired) [[unlikely]] {
    raise_outcome(outcome);
    return false;
  }
  after_wait();
  return true;
}

PyObject* spin_lock_lock(PyObject* self, PyObject*) {
  if (!lock(self)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* spin_lock_enter(PyObject* self, PyObject*) { return lock(self) ? Py_NewRef(self) : nullptr; }

PyObject* spin_lock_try_lock(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
  bool taken = SpinLockObject::of(self).try_lock();
  if (taken && checks_locks()) [[unlikely]] lock_taken(checked(self));
  return PyBool_FromLong(taken);
}

PyObject* spin_lock_unlock(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  if (checks_locks()) [[unlikely]] lock_released(checked(self));
  try {
    SpinLockObject::of(self).unlock();
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* spin_lock_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return spin_lock_unlock(self, nullptr); }

void spin_lock_destroy(PyObject* self) {
  if (checks_locks()) [[unlikely]] lock_gone(self);
  SpinLockObject::destroy(self);
}

PyObject* spin_lock_repr(PyObject* self) {
  return PyUnicode_FromString(SpinLockObject::of(self).is_locked() ? "<SpinLock locked>" : "<SpinLock unlocked>");
}

PyMethodDef spin_lock_methods[] = {
    quick<"lock", spin_lock_lock>(
        "lock()\n--\n\nWait until the lock is ours: spin where its holder may be running, let others run, then sleep up to a millisecond between looks."),
    quick<"try_lock", spin_lock_try_lock>("try_lock()\n--\n\nTake the lock if that needs no waiting; tell whether it was taken."),
    quick<"unlock", spin_lock_unlock>(
        "unlock()\n--\n\nGive the lock back; any goroutine or thread may. FatalError if it is not locked. Never parks."),
    {"__enter__", spin_lock_enter, METH_NOARGS, nullptr},
    {"__exit__", raw(spin_lock_exit), METH_FASTCALL, nullptr},
    {"__reduce__", refuse_copy, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot spin_lock_slots[] = {
    {Py_tp_doc, const_cast<char*>(
                    "SpinLock()\n--\n\nA lock for goroutines and threads around a few lines that wait for nothing: who finds it taken looks again and again instead of\n"
                    "queueing. Not reentrant, owned by nobody, in no order. A Mutex is better wherever there is waiting: it is fair, and a lock that\n"
                    "nobody gives back is a Deadlock there and an endless wait here.\n\n"
                    ">>> from gort.sync import SpinLock\n>>> lock = SpinLock()\n>>> with lock:\n...     lock.try_lock()\nFalse")},
    {Py_tp_new, reinterpret_cast<void*>(SpinLockObject::make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(spin_lock_destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(spin_lock_repr)},
    {Py_tp_methods, spin_lock_methods},
    {Py_tp_members, SpinLockObject::members},
    {0, nullptr}};
PyType_Spec spin_lock_spec = {"gort.sync.SpinLock", sizeof(SpinLockObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, spin_lock_slots};

}  // namespace

bool add_spin_lock(PyObject* module) { return add_type(module, &spin_lock_spec) != nullptr; }

}  // namespace gort::python
