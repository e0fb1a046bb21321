// gort.Cond: see sync_objects.h.
#include "arguments.h"
#include "errors.h"
#include "gort/sync/cond.h"
#include "lock_check.h"
#include "python_lane.h"
#include "sync_objects.h"

namespace gort::python {

namespace {

struct CondObject {
  PyObject_HEAD
  PyObject* weak_references;
  PyObject* lock;      // ours, or anything with lock() and unlock()
  NotifyList list;
};
CondObject* as_cond(PyObject* self) { return reinterpret_cast<CondObject*>(self); }

// Ours are used without their methods: a wait that a stop or a signal ends must have them back on return (lock_for_sure).
bool is_ours(PyObject* lock) { return Py_TYPE(lock) == mutex_type || Py_TYPE(lock) == rwmutex_type || Py_TYPE(lock) == rlocker_type; }
RWMutex& read_side(PyObject* lock) { return RWMutexObject::of(as_rlocker(lock)->rwmutex); }

PyObject* cond_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"lock", nullptr};
  PyObject* lock;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Cond", const_cast<char**>(names), &lock)) return nullptr;
  if (!is_ours(lock)) {
    for (const char* name : {"lock", "unlock"}) {
      PyObject* method = PyObject_GetAttrString(lock, name);
      bool callable = method && PyCallable_Check(method);
      Py_XDECREF(method);
      if (callable) continue;
      PyErr_Clear();
      return errors::bad_type("Cond", "lock", "a lock with lock() and unlock()", lock);
    }
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&as_cond(self)->list) NotifyList;
  as_cond(self)->lock = Py_NewRef(lock);
  return self;
}

int cond_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_cond(self)->lock);
  return 0;
}

int cond_clear(PyObject* self) {
  Py_CLEAR(as_cond(self)->lock);
  return 0;
}

void cond_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_cond(self)->weak_references) PyObject_ClearWeakRefs(self);
  cond_clear(self);
  as_cond(self)->list.~NotifyList();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

CheckedLock checked(PyObject* lock) {
  if (Py_TYPE(lock) == mutex_type) return {lock, "Mutex", observe::Hold::Exclusive};
  if (Py_TYPE(lock) == rwmutex_type) return {lock, "RWMutex", observe::Hold::Exclusive};
  return {as_rlocker(lock)->rwmutex, "RWMutex", observe::Hold::Shared};
}

bool unlock_of(CondObject* cond) {
  PyObject* lock = cond->lock;
  if (is_ours(lock)) {
    if (checks_locks()) [[unlikely]] lock_released(checked(lock));
    try {
      if (Py_TYPE(lock) == mutex_type) {
        MutexObject::of(lock).note_holder(0);
        MutexObject::of(lock).unlock();
      } else if (Py_TYPE(lock) == rwmutex_type) {
        RWMutexObject::of(lock).note_holder(0);
        RWMutexObject::of(lock).unlock();
      } else {
        read_side(lock).unlock_shared();
      }
      return true;
    } catch (...) {
      errors::translate();
      return false;
    }
  }
  PyObject* result = PyObject_CallMethod(lock, "unlock", nullptr);
  Py_XDECREF(result);
  return result != nullptr;
}

// Of all outcomes but Deadlock it returns holding the lock.
template <class Try, class Lock>
Outcome for_sure(PyObject* lock, Try try_lock, Lock lock_for_sure) {
  if (!checks_locks()) [[likely]] return lock_for_sure();
  Outcome outcome = wait_checked(checked(lock), try_lock, lock_for_sure);
  if (outcome != Outcome::Deadlock) lock_taken(checked(lock));
  return outcome;
}

template <class Lock>
Outcome lock_for_sure(PyObject* object, Lock& lock) {
  Outcome outcome = for_sure(object, [&] { return lock.try_lock(); }, [&] { return lock.lock_for_sure(); });
  if (outcome != Outcome::Deadlock) note_holder(lock);
  return outcome;
}

// Fired, or the first outcome that was not obeyed. Pending: a foreign lock failed, exception set.
Outcome lock_of(CondObject* cond) {
  PyObject* lock = cond->lock;
  if (Py_TYPE(lock) == mutex_type) return lock_for_sure(lock, MutexObject::of(lock));
  if (Py_TYPE(lock) == rwmutex_type) return lock_for_sure(lock, RWMutexObject::of(lock));
  if (Py_TYPE(lock) == rlocker_type) {
    RWMutex& rwmutex = read_side(lock);
    return for_sure(lock, [&] { return rwmutex.try_lock_shared(); }, [&] { return rwmutex.lock_shared_for_sure(); });
  }
  PyObject* result = PyObject_CallMethod(lock, "lock", nullptr);
  if (!result) return Outcome::Pending;
  Py_DECREF(result);
  return Outcome::Fired;
}

// Parks. The lock is held on return, also with an exception.
bool wait_once(CondObject* cond) {
  if (!machine_to_wait()) return false;
  if (checks_locks() && is_ours(cond->lock) && !may_lock(checked(cond->lock), true)) [[unlikely]] return false;
  NotifyList::Place place;
  cond->list.add(place);
  if (!unlock_of(cond)) return false;
  Outcome outcome = cond->list.wait(place);
  PyObject *type, *value, *traceback;   // of a signal that came meanwhile
  PyErr_Fetch(&type, &value, &traceback);
  Outcome locked = lock_of(cond);
  if (locked == Outcome::Pending) {
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    if (outcome == Outcome::Fired) cond->list.notify_one();
    return false;
  }
  if (type) {
    if (PyErr_Occurred()) PyErr_Clear();
    PyErr_Restore(type, value, traceback);
  }
  if (outcome == Outcome::Fired && locked == Outcome::Fired) {
    after_wait();
    return true;
  }
  if (outcome == Outcome::Fired) {
    cond->list.notify_one();   // the caller will not act on the notification
    outcome = locked;
  }
  raise_outcome(outcome);
  return false;
}

PyObject* cond_wait(PyObject* self, PyObject*) {
  if (!operation() || !wait_once(as_cond(self))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* cond_wait_for(PyObject* self, PyObject* predicate) {
  if (!PyCallable_Check(predicate)) return errors::bad_type("wait_for", "pred", "callable", predicate);
  if (!operation()) return nullptr;
  for (;;) {
    PyObject* value = PyObject_CallNoArgs(predicate);
    if (!value) return nullptr;
    int truth = PyObject_IsTrue(value);
    if (truth > 0) return value;
    Py_DECREF(value);
    if (truth < 0 || !wait_once(as_cond(self))) return nullptr;
  }
}

PyObject* cond_signal(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  as_cond(self)->list.notify_one();
  Py_RETURN_NONE;
}

PyObject* cond_broadcast(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  as_cond(self)->list.notify_all();
  Py_RETURN_NONE;
}

PyObject* cond_repr(PyObject* self) { return PyUnicode_FromFormat("<Cond %zd waiting>", Py_ssize_t(as_cond(self)->list.size())); }

PyMethodDef cond_methods[] = {
    {"wait", cond_wait, METH_NOARGS,
     "wait()\n--\n\nUnlock, park until notified, lock again. The lock must be held; it is held on return, also by exception."},
    {"wait_for", cond_wait_for, METH_O,
     "wait_for(pred, /)\n--\n\nwait() until pred() is true; return its value. The lock must be held."},
    {"signal", cond_signal, METH_NOARGS, "signal()\n--\n\nWake the one that has waited longest, if any. The lock may be held, but need not."},
    {"broadcast", cond_broadcast, METH_NOARGS, "broadcast()\n--\n\nWake all that wait. The lock may be held, but need not."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef cond_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CondObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot cond_slots[] = {
    {Py_tp_doc, const_cast<char*>("Cond(lock)\n--\n\nWaiting for a condition that a lock guards. lock: a Mutex, an RWMutex (for writing),\nits rlocker(), or anything with lock() and unlock().")},
    {Py_tp_new, reinterpret_cast<void*>(cond_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(cond_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(cond_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(cond_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(cond_repr)},
    {Py_tp_methods, cond_methods},
    {Py_tp_members, cond_members},
    {0, nullptr}};
PyType_Spec cond_spec = {"gort.Cond", sizeof(CondObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                         cond_slots};

}  // namespace

bool add_cond(PyObject* module) { return add_type(module, &cond_spec) != nullptr; }

}  // namespace gort::python
