#include "coroutines.h"

#include <atomic>
#include <utility>

#include "await_object.h"
#include "errors.h"
#include "goroutine_object.h"
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

// The wait of the goroutine's own coroutine, which has yielded the Await. If it returns the stack was kept; false with an exception set.
bool wait_whole(G* g, GoroutineObject* whole, PyObject* coroutine, PyObject* await) {
  PyThreadState* state = frame_of(g)->state.load(std::memory_order_relaxed);
  bool leaves = leaves_stack() && holds_nothing(state) && leave_context(state, &whole->context);
  whole->coroutine = coroutine;
  whole->awaits = await;
  if (leaves) wait_stackless(as_await(await));
  else wait_for(as_await(await));
  whole->coroutine = whole->awaits = nullptr;
  return !leaves || !whole->context || PyContext_Enter(whole->context) == 0;
}

// Sends the coroutine on until it returns.
PyObject* drive(PyObject* coroutine, GoroutineObject* whole) {
  PyObject* got = nullptr;
  PySendResult sent = PyIter_Send(coroutine, Py_None, &got);
  while (sent == PYGEN_NEXT) {
    bool goes_on = true;
    if (!is_await(got)) {
      goes_on = grant(got);
    } else {
      if (whole) goes_on = wait_whole(self(), whole, coroutine, got);
      else wait_for(as_await(got));
      Py_DECREF(got);
    }
    sent = goes_on ? PyIter_Send(coroutine, Py_None, &got) : throw_into(coroutine, &got);
  }
  return sent == PYGEN_RETURN ? got : nullptr;
}

// The loop that runs in this thread is asyncio's secret; while nobody has imported it there is none.
bool loop_runs() {
  static std::atomic<PyObject*> running{nullptr};   // asyncio._get_running_loop, for ever
  PyObject* function = running.load(std::memory_order_acquire);
  if (!function) {
    static PyObject* name = PyUnicode_InternFromString("asyncio.events");
    PyObject* module = name ? PyImport_GetModule(name) : nullptr;
    function = module ? PyObject_GetAttrString(module, "_get_running_loop") : nullptr;   // it may be half imported
    Py_XDECREF(module);
    if (!function) {
      PyErr_Clear();
      return false;
    }
    running.store(function, std::memory_order_release);
  }
  PyObject* loop = PyObject_CallNoArgs(function);
  if (!loop) PyErr_Clear();
  Py_XDECREF(loop);
  return loop && loop != Py_None;
}

PyObject* runs_coroutine_object(PyObject*, PyObject*) { return PyBool_FromLong(runs_coroutine()); }

PyObject* finish_coroutine_object(PyObject*, PyObject* result) { return machine() ? finish_coroutine(Py_NewRef(result)) : nullptr; }

PyMethodDef functions[] = {{"_runs_coroutine", runs_coroutine_object, METH_NOARGS, nullptr},
                           {"_finish_coroutine", finish_coroutine_object, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* finish_coroutine(PyObject* result, GoroutineObject* whole) {
  if (!result || !PyCoro_CheckExact(result)) [[likely]] return result;
  Frame* frame = frame_of(self());
  Driver before = std::exchange(frame->driver, whole ? Driver::Entry : Driver::Nested);
  PyObject* value = drive(result, whole);
  frame->driver = before;
  Py_DECREF(result);
  return value;
}

PyObject* go_on_coroutine(GoroutineObject* whole) {
  G* g = self();
  wait_ended(as_await(whole->awaits), end_stackless(g));
  PyObject* coroutine = std::exchange(whole->coroutine, nullptr);
  Py_CLEAR(whole->awaits);
  PyObject* value = drive(coroutine, whole);
  frame_of(g)->driver = Driver::None;
  Py_DECREF(coroutine);
  return value;
}

bool runs_coroutine() {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  return g && g->home == &lane() && frame_of(g) && frame_of(g)->driver != Driver::None;
}

bool leaves_stack() {
  G* g = this_machine()->current;
  Frame* frame = frame_of(g);
  return !kWithoutGil && frame->driver == Driver::Entry && may_leave_stack(g) && holds_nothing_of_thread(frame->state.load(std::memory_order_relaxed));
}

bool serves_awaits() { return runs_coroutine() && !loop_runs(); }

bool register_coroutines(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace gort::python
