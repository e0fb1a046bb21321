// gort.sync: WaitGroup, Mutex, Once, Cond, Pool. Each is a thin object around the core's primitive of the same name.
//
// Every method that may park is a raw one. What a method holds over a wait (self, arguments) is kept by its caller's frame.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <new>

#include "errors.h"
#include "gort/sync/cond.h"
#include "gort/sync/mutex.h"
#include "gort/sync/once.h"
#include "gort/sync/pool.h"
#include "gort/sync/wait_group.h"
#include "arguments.h"
#include "goroutine_object.h"
#include "python_lane.h"
#include "references.h"
#include "register.h"

namespace gort::python {
namespace {

template <class F>
PyCFunction raw(F* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(function));
}

// The object of a primitive that holds no Python objects.
template <class T>
struct Holder {
  PyObject_HEAD
  PyObject* weak_references;
  T value;

  static T& of(PyObject* self) { return reinterpret_cast<Holder*>(self)->value; }

  static PyObject* make(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    if (PyTuple_GET_SIZE(args) != 0 || (keywords && PyDict_GET_SIZE(keywords) != 0)) {
      PyErr_Format(PyExc_TypeError, "%s: takes no arguments", strrchr(type->tp_name, '.') + 1);
      return nullptr;
    }
    PyObject* self = type->tp_alloc(type, 0);
    if (self) new (&of(self)) T;
    return self;
  }

  static void destroy(PyObject* self) {
    auto* object = reinterpret_cast<Holder*>(self);
    if (object->weak_references) PyObject_ClearWeakRefs(self);
    object->value.~T();
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
  }

  static inline PyMemberDef members[] = {
      {"__weaklistoffset__", T_PYSSIZET, offsetof(Holder, weak_references), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr}};
};

PyTypeObject* add_type(PyObject* module, PyType_Spec* spec) {
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(spec));
  if (!type || PyModule_AddType(module, type) < 0) return nullptr;
  return type;
}

// An exception is put away while code runs that may park or serve signals.
class KeptError {
 public:
  KeptError() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~KeptError() { PyErr_Restore(type_, value_, traceback_); }
  KeptError(const KeptError&) = delete;
  KeptError& operator=(const KeptError&) = delete;

 private:
  PyObject *type_, *value_, *traceback_;
};

// ---------------------------------------------------------------- WaitGroup

using WaitGroupObject = Holder<WaitGroup>;

PyObject* wait_group_change(PyObject* self, int32_t delta) {
  if (!machine()) return nullptr;
  try {
    WaitGroupObject::of(self).add(delta);
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* wait_group_add(PyObject* self, PyObject* n) {
  if (!PyIndex_Check(n)) return errors::bad_type("add", "n", "an int", n);
  PyObject* index = PyNumber_Index(n);
  if (!index) return nullptr;
  int overflow;
  long long delta = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  if (overflow || delta < INT32_MIN || delta > INT32_MAX)
    return errors::bad_value("add", "n", "from -2147483648 to 2147483647", n);
  return wait_group_change(self, int32_t(delta));
}

PyObject* wait_group_done(PyObject* self, PyObject*) { return wait_group_change(self, -1); }

// Parks.
PyObject* wait_group_wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  Nanos deadline = kForever;
  if ((nargs != 0 || names) && !parse_timeout("wait", args, nargs, names, &deadline)) return nullptr;
  if (!machine()) return nullptr;
  Outcome outcome;
  try {
    outcome = WaitGroupObject::of(self).wait_until(deadline);
  } catch (...) {
    return errors::translate();
  }
  if (outcome != Outcome::Fired) return raise_outcome(outcome);
  after_wait();
  Py_RETURN_NONE;
}

// The goroutine is over: counts it out.
void wait_group_ended(PyObject* self) {
  PyObject* result = wait_group_done(self, nullptr);
  if (!result) PyErr_WriteUnraisable(self);
  Py_XDECREF(result);
}

PyObject* wait_group_go(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  GoroutineObject* object = new_call("WaitGroup.go", args, nargs, names);
  if (!object) return nullptr;
  PyObject* counted = wait_group_change(self, 1);
  if (counted) {
    Py_DECREF(counted);
    object->ended = wait_group_ended;
    object->whom = Py_NewRef(self);
    if (!start_call(object)) {
      KeptError kept;
      Py_XDECREF(wait_group_change(self, -1));
      counted = nullptr;
    }
  }
  Py_DECREF(object);
  if (!counted) return nullptr;
  Py_RETURN_NONE;
}

PyObject* wait_group_repr(PyObject* self) {
  WaitGroup& wg = WaitGroupObject::of(self);
  return PyUnicode_FromFormat("<WaitGroup %d>", int(wg.count()));
}

PyMethodDef wait_group_methods[] = {
    {"add", wait_group_add, METH_O,
     "add(n, /)\n--\n\nChange the counter by n. Never parks. PanicError if it would become negative; it stays as it was then."},
    {"done", wait_group_done, METH_NOARGS, "done()\n--\n\nadd(-1)"},
    {"wait", raw(wait_group_wait), METH_FASTCALL | METH_KEYWORDS,
     "wait(timeout=None)\n--\n\nPark until the counter is zero. TimeoutError when timeout (seconds) passes first."},
    {"go", raw(wait_group_go), METH_FASTCALL | METH_KEYWORDS,
     "go(fn, /, *args, **kwargs)\n--\n\nStart fn(*args, **kwargs) as a goroutine that the group counts until it has ended, however it ends."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot wait_group_slots[] = {
    {Py_tp_doc, const_cast<char*>("WaitGroup()\n--\n\nWaits for a set of goroutines to finish.\n\n"
                                  ">>> wg = WaitGroup()\n>>> for n in range(3):\n...     wg.go(print)\n>>> wg.wait()\n<BLANKLINE>\n<BLANKLINE>\n<BLANKLINE>")},
    {Py_tp_new, reinterpret_cast<void*>(WaitGroupObject::make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(WaitGroupObject::destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(wait_group_repr)},
    {Py_tp_methods, wait_group_methods},
    {Py_tp_members, WaitGroupObject::members},
    {0, nullptr}};
PyType_Spec wait_group_spec = {"gort.WaitGroup", sizeof(WaitGroupObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                               wait_group_slots};

// ---------------------------------------------------------------- Mutex

using MutexObject = Holder<Mutex>;
PyTypeObject* mutex_type = nullptr;
PyTypeObject* mutex_state_type = nullptr;

// Parks.
bool lock(PyObject* self) {
  if (!machine()) [[unlikely]] return false;
  Outcome outcome = MutexObject::of(self).lock_until();
  if (outcome != Outcome::Fired) [[unlikely]] {
    raise_outcome(outcome);
    return false;
  }
  after_wait();
  return true;
}

PyObject* mutex_lock(PyObject* self, PyObject*) {
  if (!lock(self)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* mutex_enter(PyObject* self, PyObject*) { return lock(self) ? Py_NewRef(self) : nullptr; }

PyObject* mutex_try_lock(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
  return PyBool_FromLong(MutexObject::of(self).try_lock());
}

// Parks in starvation mode (yields).
PyObject* mutex_unlock(PyObject* self, PyObject*) {
  if (!machine()) [[unlikely]] return nullptr;
  try {
    MutexObject::of(self).unlock();
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* mutex_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return mutex_unlock(self, nullptr); }

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
    {"lock", mutex_lock, METH_NOARGS, "lock()\n--\n\nPark until the mutex is ours."},
    {"try_lock", mutex_try_lock, METH_NOARGS, "try_lock()\n--\n\nTake the mutex if that needs no waiting; tell whether it was taken."},
    {"unlock", mutex_unlock, METH_NOARGS,
     "unlock()\n--\n\nGive the mutex back; any goroutine or thread may. FatalError if it is not locked."},
    {"__enter__", mutex_enter, METH_NOARGS, nullptr},
    {"__exit__", raw(mutex_exit), METH_FASTCALL, nullptr},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef mutex_properties[] = {
    {"state", mutex_state, nullptr, "(locked, woken, starving, waiters), as they are at this moment.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot mutex_slots[] = {
    {Py_tp_doc, const_cast<char*>("Mutex()\n--\n\nGo's mutual exclusion lock for goroutines and threads. Not reentrant, owned by nobody.\n\n"
                                  ">>> mu = Mutex()\n>>> with mu:\n...     mu.state.locked\nTrue")},
    {Py_tp_new, reinterpret_cast<void*>(MutexObject::make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(MutexObject::destroy)},
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

// ---------------------------------------------------------------- Once

using OnceObject = Holder<Once>;

// Parks while somebody else's call is going on.
PyObject* once_do(PyObject* self, PyObject* function) {
  if (!PyCallable_Check(function)) return errors::bad_type("do", "fn", "callable", function);
  if (!machine()) return nullptr;
  Once& once = OnceObject::of(self);
  if (once.is_done()) Py_RETURN_NONE;
  Once::Begun begun = once.begin();
  if (begun.outcome != Outcome::Fired) return raise_outcome(begun.outcome);
  after_wait();
  if (!begun.first) Py_RETURN_NONE;
  PyObject* result = PyObject_CallNoArgs(function);
  {
    KeptError kept;
    once.finish();
  }
  if (!result) return nullptr;
  Py_DECREF(result);
  Py_RETURN_NONE;
}

PyObject* once_repr(PyObject* self) {
  return PyUnicode_FromString(OnceObject::of(self).is_done() ? "<Once done>" : "<Once>");
}

PyMethodDef once_methods[] = {
    {"do", once_do, METH_O,
     "do(fn, /)\n--\n\nCall fn() if this is the first do; else park until that first call is over.\n\n"
     "A call that raises counts as done: only its own caller sees the exception."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot once_slots[] = {{Py_tp_doc, const_cast<char*>("Once()\n--\n\nCalls a function once, whoever comes first.")},
                            {Py_tp_new, reinterpret_cast<void*>(OnceObject::make)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(OnceObject::destroy)},
                            {Py_tp_repr, reinterpret_cast<void*>(once_repr)},
                            {Py_tp_methods, once_methods},
                            {Py_tp_members, OnceObject::members},
                            {0, nullptr}};
PyType_Spec once_spec = {"gort.Once", sizeof(OnceObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, once_slots};

// ---------------------------------------------------------------- Cond

struct CondObject {
  PyObject_HEAD
  PyObject* weak_references;
  PyObject* lock;      // a Mutex, or anything with lock() and unlock()
  NotifyList list;
};
CondObject* as_cond(PyObject* self) { return reinterpret_cast<CondObject*>(self); }

PyObject* cond_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"lock", nullptr};
  PyObject* lock;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Cond", const_cast<char**>(names), &lock)) return nullptr;
  if (Py_TYPE(lock) != mutex_type) {
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

bool unlock_of(CondObject* cond) {
  if (Py_TYPE(cond->lock) == mutex_type) {
    try {
      MutexObject::of(cond->lock).unlock();
      return true;
    } catch (...) {
      errors::translate();
      return false;
    }
  }
  PyObject* result = PyObject_CallMethod(cond->lock, "unlock", nullptr);
  Py_XDECREF(result);
  return result != nullptr;
}

// Fired, or the first outcome that was not obeyed. Pending: a foreign lock failed, exception set.
Outcome lock_of(CondObject* cond) {
  if (Py_TYPE(cond->lock) == mutex_type) return MutexObject::of(cond->lock).lock_for_sure();
  PyObject* result = PyObject_CallMethod(cond->lock, "lock", nullptr);
  if (!result) return Outcome::Pending;
  Py_DECREF(result);
  return Outcome::Fired;
}

// Parks. The lock is held on return, also with an exception.
bool wait_once(CondObject* cond) {
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
  if (!machine() || !wait_once(as_cond(self))) return nullptr;
  Py_RETURN_NONE;
}

PyObject* cond_wait_for(PyObject* self, PyObject* predicate) {
  if (!PyCallable_Check(predicate)) return errors::bad_type("wait_for", "pred", "callable", predicate);
  if (!machine()) return nullptr;
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
  if (!machine()) return nullptr;
  as_cond(self)->list.notify_one();
  Py_RETURN_NONE;
}

PyObject* cond_broadcast(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
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
    {Py_tp_doc, const_cast<char*>("Cond(lock)\n--\n\nWaiting for a condition that a lock guards. lock: a Mutex, or anything with lock() and unlock().")},
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

// ---------------------------------------------------------------- Pool

struct PoolObject {
  PyObject_HEAD
  PyObject* weak_references;
  PyObject* make;      // callable or null
  Pool pool;
};
PoolObject* as_pool(PyObject* self) { return reinterpret_cast<PoolObject*>(self); }

PyObject* pool_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"new", nullptr};
  PyObject* make = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:Pool", const_cast<char**>(names), &make)) return nullptr;
  if (make == Py_None) make = nullptr;
  if (make && !PyCallable_Check(make)) return errors::bad_type("Pool", "new", "callable", make);
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&as_pool(self)->pool) Pool(object_element());
  as_pool(self)->make = Py_XNewRef(make);
  return self;
}

int pool_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_pool(self)->make);
  struct Visit {
    visitproc visit;
    void* arg;
    int stop;
  } state{visit, arg, 0};
  as_pool(self)->pool.for_each(
      [](void* context, uint64_t bits) {
        auto* s = static_cast<Visit*>(context);
        if (s->stop == 0) s->stop = s->visit(reinterpret_cast<PyObject*>(bits), s->arg);
      },
      &state);
  return state.stop;
}

int pool_clear(PyObject* self) {
  Py_CLEAR(as_pool(self)->make);
  PyObject* value;
  while (as_pool(self)->pool.get(&value)) Py_DECREF(value);
  return 0;
}

void pool_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_pool(self)->weak_references) PyObject_ClearWeakRefs(self);
  pool_clear(self);
  as_pool(self)->pool.~Pool();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* pool_get(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
  collect_dropped();
  PyObject* value;
  try {
    if (as_pool(self)->pool.get(&value)) return value;
  } catch (...) {
    return errors::translate();
  }
  if (!as_pool(self)->make) Py_RETURN_NONE;
  PyObject* make = Py_NewRef(as_pool(self)->make);
  value = PyObject_CallNoArgs(make);
  Py_DECREF(make);
  return value;
}

PyObject* pool_put(PyObject* self, PyObject* value) {
  if (!machine()) return nullptr;
  if (value == Py_None) Py_RETURN_NONE;
  Py_INCREF(value);
  try {
    as_pool(self)->pool.put(&value);
  } catch (...) {
    Py_DECREF(value);
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* pool_subscript(PyObject* type, PyObject* item) { return Py_GenericAlias(type, item); }

PyObject* pool_repr(PyObject*) { return PyUnicode_FromString("<Pool>"); }

PyMethodDef pool_methods[] = {
    {"get", pool_get, METH_NOARGS, "get()\n--\n\nTake some value out; if there is none, new(), or None without new."},
    {"put", pool_put, METH_O, "put(x, /)\n--\n\nPut a value in for reuse. None is ignored. It may vanish at any time."},
    {"__class_getitem__", pool_subscript, METH_O | METH_CLASS, "Pool[T] is Pool, with the type of the values told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef pool_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PoolObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot pool_slots[] = {
    {Py_tp_doc, const_cast<char*>("Pool(new=None)\n--\n\nKeeps values that are expensive to make for reuse; a value that nobody takes is dropped at the second\n"
                                  "collection of gort.gc.")},
    {Py_tp_new, reinterpret_cast<void*>(pool_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(pool_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(pool_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(pool_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(pool_repr)},
    {Py_tp_methods, pool_methods},
    {Py_tp_members, pool_members},
    {0, nullptr}};
PyType_Spec pool_spec = {"gort.Pool", sizeof(PoolObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                         pool_slots};

}  // namespace

bool register_sync(pybind11::module_& m) {
  mutex_state_type = PyStructSequence_NewType(&mutex_state_description);
  if (!mutex_state_type || PyModule_AddObjectRef(m.ptr(), "MutexState", reinterpret_cast<PyObject*>(mutex_state_type)) < 0) return false;
  mutex_type = add_type(m.ptr(), &mutex_spec);
  return mutex_type && add_type(m.ptr(), &wait_group_spec) && add_type(m.ptr(), &once_spec) && add_type(m.ptr(), &cond_spec) &&
         add_type(m.ptr(), &pool_spec);
}

}  // namespace gort::python
