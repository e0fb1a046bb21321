// gort.RWMutex and its rlocker: see sync_objects.h.
#include <string>

#include "arguments.h"
#include "awaitables.h"
#include "errors.h"
#include "gort/sync/rwmutex.h"
#include "lock_check.h"
#include "python_lane.h"
#include "sync_objects.h"

namespace gort::python {

PyTypeObject* rwmutex_type = nullptr;
PyTypeObject* rlocker_type = nullptr;

namespace {

PyTypeObject* rwmutex_state_type = nullptr;

// One of the two sides.
struct Side {
  Outcome (RWMutex::*lock_until)(Nanos);
  bool (RWMutex::*try_lock)();
  void (RWMutex::*unlock)();
  observe::Hold how;

  CheckedLock checked(PyObject* rwmutex) const { return {rwmutex, "RWMutex", how}; }
};
constexpr Side kWriting{&RWMutex::lock_until, &RWMutex::try_lock, &RWMutex::unlock, observe::Hold::Exclusive};
constexpr Side kReading{&RWMutex::lock_shared_until, &RWMutex::try_lock_shared, &RWMutex::unlock_shared, observe::Hold::Shared};

// Parks. The wait is looked after before it begins (machine_to_wait): a reader is counted before the core can find out that it may not wait.
bool taken(PyObject* self, const Side& side) {
  if (!machine_to_wait()) [[unlikely]] return false;
  RWMutex& rwmutex = RWMutexObject::of(self);
  Outcome outcome;
  if (checks_locks()) [[unlikely]] {
    outcome = checked_lock(side.checked(self), [&] { return (rwmutex.*side.try_lock)(); }, [&] { return (rwmutex.*side.lock_until)(kForever); });
    if (outcome == Outcome::Pending) return false;
  } else {
    outcome = (rwmutex.*side.lock_until)(kForever);
  }
  if (outcome != Outcome::Fired) [[unlikely]] {
    raise_outcome(outcome);
    return false;
  }
  after_wait();
  return true;
}

bool lock(PyObject* self) {
  if (!taken(self, kWriting)) return false;
  note_holder(RWMutexObject::of(self));
  return true;
}
bool rlock(PyObject* self) { return taken(self, kReading); }

PyObject* tried(PyObject* self, const Side& side) {
  if (!operation()) return nullptr;
  bool got_it = (RWMutexObject::of(self).*side.try_lock)();
  if (got_it && side.how == observe::Hold::Exclusive) note_holder(RWMutexObject::of(self));
  if (got_it && checks_locks()) [[unlikely]] lock_taken(side.checked(self));
  return PyBool_FromLong(got_it);
}

PyObject* unlocked(PyObject* self, const Side& side) {
  if (!operation()) [[unlikely]] return nullptr;
  if (checks_locks()) [[unlikely]] lock_released(side.checked(self));
  try {
    (RWMutexObject::of(self).*side.unlock)();
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

// --- RWMutex

PyObject* rwmutex_lock(PyObject* self, PyObject*) {
  if (!lock(self)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* rwmutex_enter(PyObject* self, PyObject*) { return lock(self) ? Py_NewRef(self) : nullptr; }

PyObject* rwmutex_try_lock(PyObject* self, PyObject*) { return tried(self, kWriting); }

PyObject* rwmutex_unlock(PyObject* self, PyObject*) {
  RWMutexObject::of(self).note_holder(0);
  return unlocked(self, kWriting);
}

PyObject* rwmutex_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return rwmutex_unlock(self, nullptr); }

PyObject* rwmutex_rlock(PyObject* self, PyObject*) {
  if (!rlock(self)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* rwmutex_try_rlock(PyObject* self, PyObject*) { return tried(self, kReading); }

PyObject* rwmutex_runlock(PyObject* self, PyObject*) { return unlocked(self, kReading); }

void rwmutex_destroy(PyObject* self) {
  if (checks_locks()) [[unlikely]] lock_gone(self);
  RWMutexObject::destroy(self);
}

PyObject* rwmutex_rlocker(PyObject* self, PyObject*) {
  PyObject* rlocker = rlocker_type->tp_alloc(rlocker_type, 0);
  if (rlocker) as_rlocker(rlocker)->rwmutex = Py_NewRef(self);
  return rlocker;
}

PyObject* rwmutex_alock(PyObject* self, PyObject*) { return awaited("_lock", self); }
PyObject* rwmutex_arlock(PyObject* self, PyObject*) { return awaited("_rlock", self); }
PyObject* rwmutex_aenter(PyObject* self, PyObject*) { return awaited("_enter", self); }

PyObject* rwmutex_state(PyObject* self, void*) {
  RWMutex::State state = RWMutexObject::of(self).state();
  PyObject* result = PyStructSequence_New(rwmutex_state_type);
  PyObject* readers = result ? PyLong_FromUnsignedLong(state.readers) : nullptr;
  if (!readers) {
    Py_XDECREF(result);
    return nullptr;
  }
  PyStructSequence_SET_ITEM(result, 0, PyBool_FromLong(state.writer));
  PyStructSequence_SET_ITEM(result, 1, readers);
  return result;
}

std::string text_of(PyObject* rwmutex) {
  RWMutex::State state = RWMutexObject::of(rwmutex).state();
  std::string text = state.writer ? " writer" : "";
  if (state.readers) text += (state.writer ? ", " : " ") + std::to_string(state.readers) + (state.readers == 1 ? " reader" : " readers");
  return "<RWMutex" + (text.empty() ? " unlocked" : text) + ">";
}

PyObject* rwmutex_repr(PyObject* self) { return PyUnicode_FromString(text_of(self).c_str()); }

PyMethodDef rwmutex_methods[] = {
    quick<"lock", rwmutex_lock>(
        "lock()\n--\n\nLock for writing (Go's Lock): park until earlier writers and all readers are gone. Readers that come meanwhile wait for us."),
    quick<"try_lock", rwmutex_try_lock>("try_lock()\n--\n\nLock for writing if that needs no waiting; tell whether it was done."),
    quick<"unlock", rwmutex_unlock>(
        "unlock()\n--\n\nUnlock for writing; any goroutine or thread may. All readers that wait go before the next writer.\n\n"
        "FatalError, with nothing changed, if it is not locked for writing."),
    quick<"rlock", rwmutex_rlock>(
        "rlock()\n--\n\nLock for reading (Go's RLock): park while a writer has it or waits for it.\n\n"
        "Do not rlock() again before runlock(): a writer that comes in between blocks both."),
    quick<"try_rlock", rwmutex_try_rlock>("try_rlock()\n--\n\nLock for reading if that needs no waiting; tell whether it was done."),
    quick<"runlock", rwmutex_runlock>(
        "runlock()\n--\n\nUndo one rlock(); any goroutine or thread may. FatalError, with nothing changed, if it is not locked for reading."),
    {"rlocker", rwmutex_rlocker, METH_NOARGS,
     "rlocker()\n--\n\nAn object whose lock() and unlock() are our rlock() and runlock() (Go's RLocker): for with, and for Cond."},
    {"alock", rwmutex_alock, METH_NOARGS,
     "alock()\n--\n\nlock for asyncio tasks: await rw.alock(), or async with rw. The loop goes on meanwhile.\n\n"
     "A task that is cancelled has not got the lock, or has it when the await returns, and its next await is cancelled."},
    {"arlock", rwmutex_arlock, METH_NOARGS, "arlock()\n--\n\nrlock for asyncio tasks: await rw.arlock(), as alock."},
    {"__aenter__", rwmutex_aenter, METH_NOARGS, nullptr},
    {"__aexit__", raw(aexit_unlocks), METH_FASTCALL, nullptr},
    {"__enter__", rwmutex_enter, METH_NOARGS, nullptr},
    {"__exit__", raw(rwmutex_exit), METH_FASTCALL, nullptr},
    {"__reduce__", refuse_copy, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef rwmutex_properties[] = {
    {"state", rwmutex_state, nullptr, "(writer, readers), as they are at this moment.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot rwmutex_slots[] = {
    {Py_tp_doc, const_cast<char*>("RWMutex()\n--\n\nGo's reader/writer lock for goroutines and threads: any number of readers, or one\n"
                                  "writer. Owned by nobody.\n\n"
                                  "A waiting writer stops new readers; when it unlocks, those that have come meanwhile go before the next writer.\n"
                                  "`with mu` locks for writing, `with mu.rlocker()` for reading.\n\n"
                                  ">>> mu = RWMutex()\n>>> with mu.rlocker():\n...     mu.state\n"
                                  "gort.sync.RWMutexState(writer=False, readers=1)")},
    {Py_tp_new, reinterpret_cast<void*>(RWMutexObject::make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(rwmutex_destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(rwmutex_repr)},
    {Py_tp_methods, rwmutex_methods},
    {Py_tp_getset, rwmutex_properties},
    {Py_tp_members, RWMutexObject::members},
    {0, nullptr}};
PyType_Spec rwmutex_spec = {"gort.RWMutex", sizeof(RWMutexObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, rwmutex_slots};

PyStructSequence_Field rwmutex_state_fields[] = {{"writer", "one has it, or waits for the readers to go"},
                                                 {"readers", "how many have it, or wait for the writer"},
                                                 {nullptr, nullptr}};
PyStructSequence_Desc rwmutex_state_description = {"gort.sync.RWMutexState", "What an RWMutex looks like.", rwmutex_state_fields, 2};

// --- RLocker

PyObject* rlocker_lock(PyObject* self, PyObject*) {
  if (!rlock(as_rlocker(self)->rwmutex)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* rlocker_enter(PyObject* self, PyObject*) { return rlock(as_rlocker(self)->rwmutex) ? Py_NewRef(self) : nullptr; }

PyObject* rlocker_unlock(PyObject* self, PyObject*) { return unlocked(as_rlocker(self)->rwmutex, kReading); }

PyObject* rlocker_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return rlocker_unlock(self, nullptr); }

PyObject* rlocker_repr(PyObject* self) {
  return PyUnicode_FromFormat("<RLocker of %s>", text_of(as_rlocker(self)->rwmutex).c_str());
}

int rlocker_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_rlocker(self)->rwmutex);
  return 0;
}

// Without tp_clear: an RWMutex refers to nothing, so no cycle goes through here.
void rlocker_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_rlocker(self)->weak_references) PyObject_ClearWeakRefs(self);
  Py_DECREF(as_rlocker(self)->rwmutex);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef rlocker_methods[] = {
    quick<"lock", rlocker_lock>("lock()\n--\n\nrlock() of its RWMutex. Parks while a writer has it or waits for it."),
    quick<"unlock", rlocker_unlock>("unlock()\n--\n\nrunlock() of its RWMutex. FatalError if that is not locked for reading."),
    {"__enter__", rlocker_enter, METH_NOARGS, nullptr},
    {"__exit__", raw(rlocker_exit), METH_FASTCALL, nullptr},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef rlocker_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(RLockerObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot rlocker_slots[] = {
    {Py_tp_doc, const_cast<char*>("The reading side of an RWMutex, as a lock of its own: RWMutex.rlocker() makes one. Keeps its RWMutex alive.")},
    {Py_tp_traverse, reinterpret_cast<void*>(rlocker_traverse)},
    {Py_tp_dealloc, reinterpret_cast<void*>(rlocker_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(rlocker_repr)},
    {Py_tp_methods, rlocker_methods},
    {Py_tp_members, rlocker_members},
    {0, nullptr}};
PyType_Spec rlocker_spec = {"gort.RLocker", sizeof(RLockerObject), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, rlocker_slots};

}  // namespace

bool add_rwmutex(PyObject* module) {
  rwmutex_state_type = PyStructSequence_NewType(&rwmutex_state_description);
  if (!rwmutex_state_type || PyModule_AddObjectRef(module, "RWMutexState", reinterpret_cast<PyObject*>(rwmutex_state_type)) < 0) return false;
  rwmutex_type = add_type(module, &rwmutex_spec);
  rlocker_type = rwmutex_type ? add_type(module, &rlocker_spec) : nullptr;
  return rlocker_type != nullptr;
}

}  // namespace gort::python
