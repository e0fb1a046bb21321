// The extension module gort._gort: collects what the other files define. Parking functions are raw methods (a switch inside a pybind11-dispatched call
// would tear pybind11's per-thread records); the rest is bound with pybind11 in the files that define it.

#include <pybind11/pybind11.h>

#include "arguments.h"
#include "errors.h"
#include "goroutine_object.h"
#include "gort/sched/go.h"
#include "python_lane.h"
#include "register.h"
#include "run.h"

namespace gort::python {
namespace {

PyObject* gosched(PyObject*, PyObject*) {
  M* m = machine();
  if (!m) return nullptr;
  m->lane->yield(m, m->current);
  Py_RETURN_NONE;
}

PyObject* sleep(PyObject*, PyObject* seconds) {
  Nanos nanos;
  if (!seconds_to_nanos("sleep", "s", seconds, &nanos)) return nullptr;
  M* m = machine();
  if (!m) return nullptr;
  if (nanos <= 0) {
    m->lane->yield(m, m->current);
    Py_RETURN_NONE;
  }
  Outcome outcome = sleep_until(deadline_after(nanos));
  if (outcome == Outcome::TimedOut) {
    after_wait();
    Py_RETURN_NONE;
  }
  return raise_outcome(outcome);
}

PyObject* goexit(PyObject*, PyObject*) {
  PyErr_SetNone(errors::GoExit);
  return nullptr;
}

PyObject* current(PyObject*, PyObject*) { return current_object(); }

PyObject* num_goroutine(PyObject*, PyObject*) {
  if (!machine()) return nullptr;
  return PyLong_FromLongLong(gort::num_goroutine());
}

PyObject* num_cpu(PyObject*, PyObject*) { return PyLong_FromLong(gort::num_cpu()); }

PyObject* gomaxprocs(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs > 1) {
    PyErr_SetString(PyExc_TypeError, "gomaxprocs: takes at most 1 argument (n)");
    return nullptr;
  }
  if (!machine()) return nullptr;
  long n = 0;
  if (nargs == 1 && args[0] != Py_None) {
    if (!PyLong_Check(args[0])) return errors::bad_type("gomaxprocs", "n", "an int", args[0]);
    int overflow;
    n = PyLong_AsLongAndOverflow(args[0], &overflow);
    if (overflow > 0 || n > long(kMaxProcs)) return errors::bad_value("gomaxprocs", "n", "at most 1024", args[0]);
    if (overflow < 0) n = 0;
  }
  return PyLong_FromLong(gort::gomaxprocs(int(n < 0 ? 0 : n)));
}

PyMethodDef methods[] = {
    {"go", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(go)), METH_FASTCALL | METH_KEYWORDS,
     "go(fn, /, *args, **kwargs)\n--\n\nStart fn(*args, **kwargs) as a goroutine and return its Goroutine.\n\n"
     "contextvars are copied. Does not park. FatalError for None, TypeError for what cannot be called."},
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(run)), METH_FASTCALL | METH_KEYWORDS,
     "run(main, /, *args, procs=None, seed=None, grace=1.0, **kwargs)\n--\n\n"
     "Run main(*args, **kwargs) as goroutine 1 on this thread and return its value.\n\n"
     "When main returns, the goroutines it started are stopped: GoExit is raised where they wait. Those that do not end within\n"
     "grace seconds are named in a ResourceWarning. An exception that leaves a goroutine ends the run and is raised here.\n"
     "Deadlock when nobody is left who could wake anybody; FatalError inside a goroutine."},
    {"gosched", gosched, METH_NOARGS, "gosched()\n--\n\nLet other goroutines run; go on when it is this one's turn again."},
    {"sleep", sleep, METH_O,
     "sleep(s, /)\n--\n\nPark for s seconds (a number or a timedelta). Zero and less only yields; NaN is a ValueError."},
    {"goexit", goexit, METH_NOARGS, "goexit()\n--\n\nEnd this goroutine: raises GoExit, so that finally blocks run."},
    {"current", current, METH_NOARGS, "current()\n--\n\nThe calling Goroutine; plain threads have one too."},
    {"num_goroutine", num_goroutine, METH_NOARGS, "num_goroutine()\n--\n\nHow many goroutines exist, plain threads that use gort included."},
    {"num_cpu", num_cpu, METH_NOARGS, "num_cpu()\n--\n\nHow many processors this process may use."},
    {"gomaxprocs", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(gomaxprocs)), METH_FASTCALL,
     "gomaxprocs(n=None, /)\n--\n\nSet how many native goroutines run at once, and return the former number. n < 1 only asks; above 1024 is a ValueError."},
    {"_why_public_swap", [](PyObject*, PyObject*) { return PyUnicode_FromString(why_public_swap()); }, METH_NOARGS, nullptr},
    {"_use_public_swap", [](PyObject*, PyObject*) { use_public_swap(); Py_RETURN_NONE; }, METH_NOARGS, nullptr},
    {"_set_default_seed", set_default_seed, METH_O, nullptr},
    {"_on_sigint", on_sigint, METH_VARARGS, nullptr},
    {"_close", close_at_exit, METH_NOARGS, nullptr},
    {"_before_fork", before_fork, METH_NOARGS, nullptr},
    {"_forked_parent", forked_parent, METH_NOARGS, nullptr},
    {"_forked_child", forked_child, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace
}  // namespace gort::python

PYBIND11_MODULE(_gort, m) {
  using namespace gort::python;
  if (!errors::load() || !create_lane() || PyModule_AddFunctions(m.ptr(), methods) < 0 || !add_goroutine_type(m.ptr()) ||
      !register_all(m)) {
    throw pybind11::error_already_set();
  }
}
