#include "awaitables.h"

#include <atomic>

#include "await_object.h"
#include "errors.h"
#include "goroutine_object.h"
#include "raw_type.h"
#include "register.h"
#include "sync_objects.h"
#include "without_gil.h"

namespace gort::python {

PyObject* awaited(const char* function, PyObject* self, PyObject* argument) {
  static std::atomic<PyObject*> loaded{nullptr};   // for ever; import's own way to it is half of an await that need not wait
  PyObject* module = loaded.load(std::memory_order_acquire);
  if (!module) {
    if (!(module = PyImport_ImportModule("gort._awaits"))) return nullptr;
    loaded.store(module, std::memory_order_release);
  }
  return argument ? PyObject_CallMethod(module, function, "OO", self, argument) : PyObject_CallMethod(module, function, "O", self);
}

PyObject* await_finish(PyObject* self) {
  PyObject* coroutine = awaited("_finish", self);
  if (!coroutine) return nullptr;
  PyObject* iterator = PyObject_CallMethod(coroutine, "__await__", nullptr);
  Py_DECREF(coroutine);
  return iterator;
}

PyObject* aexit_unlocks(PyObject* self, PyObject* const*, Py_ssize_t) { return awaited("_unlock", self); }

namespace {

// GoExit of the run's end may come in the middle of told, but only once.
void tell(PyObject* told) {
  PyObject* result = PyObject_CallNoArgs(told);
  if (!result && PyErr_ExceptionMatches(errors::GoExit)) {
    PyErr_Clear();
    result = PyObject_CallNoArgs(told);
  }
  if (!result) PyErr_WriteUnraisable(told);
  Py_XDECREF(result);
}

}  // namespace

PyObject* go_told(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  if (nargs < 1 || !PyCallable_Check(args[0])) {
    PyErr_SetString(PyExc_TypeError, "_go_told: told must be callable");
    return nullptr;
  }
  GoroutineObject* object = new_call("_go_told", args + 1, nargs - 1, names);
  if (!object) return nullptr;
  object->ended = tell;
  object->whom = Py_NewRef(args[0]);
  if (!start_call(object)) Py_CLEAR(object);
  return reinterpret_cast<PyObject*>(object);
}

PyObject* withdraw(PyObject*, PyObject* goroutine) {
  if (Py_TYPE(goroutine) != goroutine_type) return errors::bad_type("_withdraw", "goroutine", "a Goroutine", goroutine);
  auto* object = reinterpret_cast<GoroutineObject*>(goroutine);
  ObjectLock hold(goroutine);   // else it could end, and another goroutine begin in its G
  G* g = object->g.load(std::memory_order_acquire);
  if (g && !object->over) Runtime::get().request(g, G::kExit);
  Py_RETURN_NONE;
}

PyObject* note_holder(PyObject*, PyObject* lock) {
  if (!machine()) return nullptr;
  if (Py_TYPE(lock) == mutex_type) note_holder(MutexObject::of(lock));
  else if (Py_TYPE(lock) == rwmutex_type) note_holder(RWMutexObject::of(lock));
  else return errors::bad_type("_note_holder", "lock", "a Mutex or RWMutex", lock);
  Py_RETURN_NONE;
}

namespace {

PyMethodDef functions[] = {{"_go_told", raw(go_told), METH_FASTCALL | METH_KEYWORDS, nullptr},
                           {"_withdraw", withdraw, METH_O, nullptr},
                           {"_note_holder", note_holder, METH_O, nullptr},
                           {"_await_sleep", await_sleep, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool register_awaitables(PyObject* module) { return add_await_type() && PyModule_AddFunctions(module, functions) == 0; }

}  // namespace gort::python
