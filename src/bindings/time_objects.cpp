// Timers in Python: Timer, Ticker, after, after_func, tick.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <atomic>
#include <new>
#include <utility>

#include "arguments.h"
#include "chan_object.h"
#include "deferred.h"
#include "errors.h"
#include "python_lane.h"

namespace gort::python {
namespace {

// A Timer of a channel (c), or of a function (function). The Deferred of a function's timer keeps itself alive while it is armed.
struct TimerObject {
  PyObject_HEAD
  PyObject* weak_references;
  ChanObject* c;         // null: after_func
  PyObject* function;    // null: a channel's
  std::atomic<Deferred*> armed;   // the last one that was armed; may have gone off. Owned by whoever takes it out
};
TimerObject* as_timer(PyObject* self) { return reinterpret_cast<TimerObject*>(self); }
PyTypeObject* timer_type = nullptr;
PyTypeObject* ticker_type = nullptr;

TimerObject* new_timer_object(PyTypeObject* type) { return as_timer(type->tp_alloc(type, 0)); }

// A new timer's channel, going off at when (and every period after).
ChanObject* new_running_chan(Nanos when, Nanos period) {
  Ref<TimerChannel> timer;
  try {
    timer = TimerChannel::make();
  } catch (...) {
    errors::translate();
    return nullptr;
  }
  timer->reset(when, period);
  return new_timer_chan(std::move(timer));
}

// --- timers of functions

// Puts another one, or none, in the place of the one that is armed. Returns whether this kept the function from being started.
bool replace_armed(TimerObject* timer, Deferred* by) {
  Deferred* deferred = timer->armed.exchange(by);
  if (!deferred) return false;
  bool stopped = deferred->timer.stop();
  if (stopped) deferred->drop();
  deferred->release();
  return stopped;
}

bool disarm(TimerObject* timer) { return replace_armed(timer, nullptr); }

// *active becomes true if somebody else's reset had armed it meanwhile, which this one undoes.
bool arm(TimerObject* timer, Nanos when, bool* active) {
  GoroutineObject* call = new_call("after_func", &timer->function, 1, nullptr);
  if (!call) return false;
  Deferred* deferred = Deferred::make(call);
  if (!deferred) return false;
  deferred->retain();   // ours; the first one goes with the armed timer
  deferred->timer.start(when, [](void* d, uint64_t) { static_cast<Deferred*>(d)->start(); }, deferred);
  if (replace_armed(timer, deferred)) *active = true;   // only now: others stop what they find here
  return true;
}

// --- the types

int timer_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_timer(self)->c);
  Py_VISIT(as_timer(self)->function);
  return 0;
}

int timer_clear(PyObject* self) {
  Py_CLEAR(as_timer(self)->function);
  return 0;
}

void timer_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  TimerObject* timer = as_timer(self);
  if (timer->weak_references) PyObject_ClearWeakRefs(self);
  timer_clear(self);
  Py_CLEAR(timer->c);
  if (Deferred* armed = timer->armed.load(std::memory_order_relaxed)) armed->release();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* get_c(PyObject* self, void*) {
  auto* c = reinterpret_cast<PyObject*>(as_timer(self)->c);
  return Py_NewRef(c ? c : Py_None);
}

PyObject* timer_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"s", nullptr};
  PyObject* seconds;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Timer", const_cast<char**>(names), &seconds)) return nullptr;
  Nanos when;
  if (!machine() || !seconds_to_deadline("Timer", "s", seconds, &when)) return nullptr;
  TimerObject* self = new_timer_object(type);
  if (self && !(self->c = new_running_chan(when, 0))) Py_CLEAR(self);
  return reinterpret_cast<PyObject*>(self);
}

PyObject* timer_stop(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
  TimerObject* timer = as_timer(self);
  return PyBool_FromLong(timer->c ? timer->c->timer->stop() : disarm(timer));
}

PyObject* timer_reset(PyObject* self, PyObject* seconds) {
  Nanos when;
  if (!machine() || !seconds_to_deadline("reset", "s", seconds, &when)) return nullptr;
  TimerObject* timer = as_timer(self);
  if (timer->c) return PyBool_FromLong(timer->c->timer->reset(when, 0));
  bool active = disarm(timer);
  if (!arm(timer, when, &active)) return nullptr;
  return PyBool_FromLong(active);
}

PyObject* timer_repr(PyObject* self) {
  TimerObject* timer = as_timer(self);
  if (timer->c) return PyUnicode_FromString("<Timer>");
  return PyUnicode_FromFormat("<Timer of %R>", timer->function);
}

// A period: above zero, at least a nanosecond.
bool read_period(const char* function, PyObject* seconds, const char* panic, Nanos* period) {
  if (!seconds_to_nanos(function, "s", seconds, period)) return false;
  if (*period > 0) return true;
  PyErr_SetString(errors::PanicError, panic);
  return false;
}

PyObject* ticker_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"s", nullptr};
  PyObject* seconds;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O:Ticker", const_cast<char**>(names), &seconds)) return nullptr;
  Nanos period;
  if (!machine() || !read_period("Ticker", seconds, "non-positive interval for NewTicker", &period)) return nullptr;
  TimerObject* self = new_timer_object(type);
  if (self && !(self->c = new_running_chan(deadline_after(period), period))) Py_CLEAR(self);
  return reinterpret_cast<PyObject*>(self);
}

PyObject* ticker_reset(PyObject* self, PyObject* seconds) {
  Nanos period;
  if (!machine() || !read_period("reset", seconds, "non-positive interval for Ticker.Reset", &period)) return nullptr;
  return PyBool_FromLong(as_timer(self)->c->timer->reset(deadline_after(period), period));
}

PyObject* ticker_repr(PyObject*) { return PyUnicode_FromString("<Ticker>"); }

// --- functions

PyObject* after(PyObject*, PyObject* seconds) {
  Nanos when;
  if (!machine() || !seconds_to_deadline("after", "s", seconds, &when)) return nullptr;
  return reinterpret_cast<PyObject*>(new_running_chan(when, 0));
}

PyObject* tick(PyObject* module, PyObject* seconds) {
  Nanos period;
  if (!machine() || !seconds_to_nanos("tick", "s", seconds, &period)) return nullptr;
  if (period <= 0) return PyObject_GetAttrString(module, "nil_chan");
  return reinterpret_cast<PyObject*>(new_running_chan(deadline_after(period), period));
}

PyObject* after_func(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) {
    PyErr_Format(PyExc_TypeError, "after_func: takes 2 arguments (s, fn), got %zd", nargs);
    return nullptr;
  }
  Nanos when;
  if (!machine() || !seconds_to_deadline("after_func", "s", args[0], &when)) return nullptr;
  if (!PyCallable_Check(args[1])) return errors::bad_type("after_func", "fn", "callable", args[1]);
  TimerObject* self = new_timer_object(timer_type);
  if (!self) return nullptr;
  self->function = Py_NewRef(args[1]);
  bool active;
  if (!arm(self, when, &active)) Py_CLEAR(self);
  return reinterpret_cast<PyObject*>(self);
}

PyMethodDef functions[] = {
    {"after", after, METH_O,
     "after(s, /)\n--\n\nA channel that gives the time (time.monotonic()) once, s seconds from now. Never parks."},
    {"tick", tick, METH_O,
     "tick(s, /)\n--\n\nA channel that gives the time every s seconds; ticks that nobody takes are lost. nil_chan if s is not positive."},
    {"after_func", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(after_func)), METH_FASTCALL,
     "after_func(s, fn, /)\n--\n\nCall fn() in a goroutine of its own, s seconds from now. Returns the Timer, whose c is None."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"c", get_c, nullptr, "The channel; None for after_func. Carries time.monotonic() floats; its len and cap are 0.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TimerObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyMethodDef timer_methods[] = {
    {"stop", timer_stop, METH_NOARGS,
     "stop()\n--\n\nKeep the timer from going off; tell whether it was active (its value not received, its function not started).\n\n"
     "Nothing stale is received afterwards. Does not wait for a function that was started."},
    {"reset", timer_reset, METH_O,
     "reset(s, /)\n--\n\nMake it go off s seconds from now, whatever it was to do before; tell whether it was active."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMethodDef ticker_methods[] = {
    {"stop", timer_stop, METH_NOARGS, "stop()\n--\n\nNo more ticks; the channel stays open. Tells whether the ticker was running."},
    {"reset", ticker_reset, METH_O,
     "reset(s, /)\n--\n\nTick every s seconds from now on; a tick that nobody took is dropped. Tells whether the ticker was running."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot timer_slots[] = {
    {Py_tp_doc, const_cast<char*>("Timer(s)\n--\n\nGives the time on its channel c once, s seconds from now (a number or a timedelta; zero and less: now).")},
    {Py_tp_new, reinterpret_cast<void*>(timer_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(timer_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(timer_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(timer_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(timer_repr)},
    {Py_tp_methods, timer_methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {0, nullptr}};
PyType_Spec timer_spec = {"gort.Timer", sizeof(TimerObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                          timer_slots};

PyType_Slot ticker_slots[] = {
    {Py_tp_doc, const_cast<char*>("Ticker(s)\n--\n\nGives the time on its channel c every s seconds (above zero, else PanicError). Ticks that nobody takes are lost.")},
    {Py_tp_new, reinterpret_cast<void*>(ticker_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(timer_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(timer_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(timer_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(ticker_repr)},
    {Py_tp_methods, ticker_methods},
    {Py_tp_getset, properties},
    {Py_tp_members, members},
    {0, nullptr}};
PyType_Spec ticker_spec = {"gort.Ticker", sizeof(TimerObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                           ticker_slots};

}  // namespace

bool add_time_types(PyObject* module) {
  timer_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&timer_spec));
  ticker_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&ticker_spec));
  return timer_type && ticker_type && PyModule_AddType(module, timer_type) == 0 && PyModule_AddType(module, ticker_type) == 0 &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace gort::python
