#include "await_object.h"

#include "coroutines.h"
#include "errors.h"
#include "python_lane.h"
#include "raw_type.h"

namespace gort::python {
namespace {

PyTypeObject* await_type = nullptr;

// --- as an iterator: what `await` and PyIter_Send make of it

PySendResult await_send(PyObject* self, PyObject*, PyObject** result) {
  AwaitObject* await = as_await(self);
  *result = nullptr;
  if (await->stage == AwaitObject::Stage::Taken) {
    PyErr_Format(PyExc_RuntimeError, "%s: cannot reuse what was awaited already", await->operation().name());
    return PYGEN_ERROR;
  }
  if (await->stage == AwaitObject::Stage::Open) {
    if (!operation()) return PYGEN_ERROR;
    if (!await->operation().attempt()) {
      if (!serves_awaits()) {
        await->stage = AwaitObject::Stage::Taken;
        PyErr_Format(PyExc_RuntimeError, "%s: it was called in a coroutine that a goroutine runs; await it there", await->operation().name());
        return PYGEN_ERROR;
      }
      if (leaves_stack()) {
        *result = Py_NewRef(self);
        return PYGEN_NEXT;
      }
      wait_for(await);
    }
  }
  await->stage = AwaitObject::Stage::Taken;
  *result = await->operation().result();
  return *result ? PYGEN_RETURN : PYGEN_ERROR;
}

// As PyIter_Send for those who know iterators only: a result comes as StopIteration.
PyObject* await_next(PyObject* self) {
  PyObject* result;
  PySendResult sent = await_send(self, Py_None, &result);
  if (sent != PYGEN_RETURN) return result;
  if (result != Py_None) {   // nothing raised: None
    PyObject* stop = PyObject_CallOneArg(PyExc_StopIteration, result);   // PyErr_SetObject would take a tuple apart
    if (stop) PyErr_SetObject(PyExc_StopIteration, stop);
    Py_XDECREF(stop);
  }
  Py_DECREF(result);
  return nullptr;
}

PyObject* await_send_method(PyObject* self, PyObject*) {
  PyObject* got = await_next(self);
  if (!got && !PyErr_Occurred()) PyErr_SetNone(PyExc_StopIteration);
  return got;
}

// throw(type[, value[, traceback]]), as generators have it: the wait is given up.
PyObject* await_throw(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs < 1 || nargs > 3) {
    PyErr_SetString(PyExc_TypeError, "throw: takes an exception");
    return nullptr;
  }
  as_await(self)->stage = AwaitObject::Stage::Taken;
  PyObject* value = nargs > 1 ? args[1] : Py_None;
  if (PyExceptionInstance_Check(args[0])) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(args[0])), args[0]);
  else if (PyExceptionClass_Check(args[0])) PyErr_SetObject(args[0], value == Py_None ? nullptr : value);
  else errors::bad_type("throw", "value", "an exception", args[0]);
  return nullptr;
}

PyObject* await_close(PyObject* self, PyObject*) {
  as_await(self)->stage = AwaitObject::Stage::Taken;
  Py_RETURN_NONE;
}

// --- as an object

int await_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return as_await(self)->operation().traverse(visit, arg);
}

void await_dealloc(PyObject* self) {
  AwaitObject* await = as_await(self);
  if (await->stage == AwaitObject::Stage::Open && !PyErr_Occurred()) {   // else that is why
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "%s was never awaited", await->operation().name()) < 0) PyErr_WriteUnraisable(nullptr);
  }
  await->operation().~Operation();
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_Del(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {{"send", await_send_method, METH_O, nullptr},
                         {"throw", raw(await_throw), METH_FASTCALL, nullptr},
                         {"close", await_close, METH_NOARGS, nullptr},
                         {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("What a coroutine that a goroutine runs awaits.")},
                       {Py_tp_traverse, reinterpret_cast<void*>(await_traverse)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(await_dealloc)},
                       {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
                       {Py_tp_iternext, reinterpret_cast<void*>(await_next)},
                       {Py_am_await, reinterpret_cast<void*>(PyObject_SelfIter)},
                       {Py_am_send, reinterpret_cast<void*>(await_send)},
                       {Py_tp_methods, methods},
                       {0, nullptr}};

PyType_Spec spec = {"gort.Await", sizeof(AwaitObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

bool is_await(PyObject* object) { return Py_TYPE(object) == await_type; }

AwaitObject* new_await_memory() {
  AwaitObject* await = PyObject_GC_New(AwaitObject, await_type);
  if (await) await->stage = AwaitObject::Stage::Open;
  return await;
}

void wait_for(AwaitObject* await) {
  await->operation().wait();
  await->stage = AwaitObject::Stage::Over;
}

void wait_stackless(AwaitObject* await) {
  await->operation().wait_stackless();
  await->stage = AwaitObject::Stage::Over;
}

void wait_ended(AwaitObject* await, Outcome outcome) {
  await->operation().ended(outcome);
  await->stage = AwaitObject::Stage::Over;
}

bool add_await_type() {
  await_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return await_type;
}

}  // namespace gort::python
