#include "coroutines.h"

#include <utility>

#include "errors.h"
#include "python_lane.h"
#include "register.h"

namespace gort::python {
namespace {

// throw_into raises the exception that is set inside the coroutine. As PyIter_Send, which CPython has no twin of for this.
PySendResult throw_into(PyObject* coroutine, PyObject** got) {
  PyObject* error = errors::take();
  *got = PyObject_CallMethod(coroutine, "throw", "O", error);
  Py_DECREF(error);
  if (*got) return PYGEN_NEXT;
  if (!PyErr_ExceptionMatches(PyExc_StopIteration)) return PYGEN_ERROR;   // one that leaves a coroutine says that it has returned
  PyObject* stop = errors::take();
  *got = PyObject_GetAttrString(stop, "value");
  Py_DECREF(stop);
  return *got ? PYGEN_RETURN : PYGEN_ERROR;
}

// grant does what the coroutine wants of an event loop; false with the exception set that is the answer. Steals wish.
bool grant(PyObject* wish) {
  if (wish == Py_None) {
    M* m = machine();
    if (m && m->current) m->lane->yield(m, m->current);
    return m;
  }
  PyErr_Format(PyExc_RuntimeError,
               "await: only an event loop can serve %R, and this coroutine is run by a goroutine; call gort.aio.wait(...) for what is asyncio's", wish);
  Py_DECREF(wish);
  return false;
}

PyObject* drive(PyObject* coroutine) {
  PyObject* got = nullptr;
  PySendResult sent = PyIter_Send(coroutine, Py_None, &got);
  while (sent == PYGEN_NEXT) sent = grant(got) ? PyIter_Send(coroutine, Py_None, &got) : throw_into(coroutine, &got);
  return sent == PYGEN_RETURN ? got : nullptr;
}

PyObject* runs_coroutine_object(PyObject*, PyObject*) { return PyBool_FromLong(runs_coroutine()); }

PyObject* finish_coroutine_object(PyObject*, PyObject* result) { return machine() ? finish_coroutine(Py_NewRef(result)) : nullptr; }

PyMethodDef functions[] = {{"_runs_coroutine", runs_coroutine_object, METH_NOARGS, nullptr},
                           {"_finish_coroutine", finish_coroutine_object, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* finish_coroutine(PyObject* result) {
  if (!result || !PyCoro_CheckExact(result)) [[likely]] return result;
  Frame* frame = frame_of(self());
  bool before = std::exchange(frame->runs_coroutine, true);
  PyObject* value = drive(result);
  frame->runs_coroutine = before;
  Py_DECREF(result);
  return value;
}

bool runs_coroutine() {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  return g && g->home == &lane() && frame_of(g) && frame_of(g)->runs_coroutine;
}

bool register_coroutines(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace gort::python
