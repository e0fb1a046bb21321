// The extension module gort._gort: collects what the other files define. Parking functions are raw methods (a switch inside a pybind11-dispatched call
// would tear pybind11's per-thread records); the rest is bound with pybind11 in the files that define it.

#include <pybind11/pybind11.h>

#include "arguments.h"
#include "errors.h"
#include "goroutine_object.h"
#include "gort/sched/choice.h"
#include "gort/sched/go.h"
#include "native_call.h"
#include "python_lane.h"
#include "raw_type.h"
#include "register.h"
#include "run.h"
#include "signal_module.h"

namespace gort::python {
namespace {

PyObject* gosched(PyObject*, PyObject*) {
  M* m = machine();
  if (!m) return nullptr;
  if (m->current) m->lane->yield(m, m->current);
  Py_RETURN_NONE;
}

PyObject* sleep(PyObject*, PyObject* seconds) {
  Nanos nanos;
  if (!seconds_to_nanos("sleep", "s", seconds, &nanos)) return nullptr;
  if (nanos <= 0) return gosched(nullptr, nullptr);
  if (!machine_to_wait()) return nullptr;
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

PyObject* follow_cpus(PyObject*, PyObject* args) {
  int container, update;
  if (!PyArg_ParseTuple(args, "pp", &container, &update)) return nullptr;
  if (!machine()) return nullptr;
  procs::configure(container, update);
  resize_lane(choice::exploring());
  Py_RETURN_NONE;
}

PyObject* set_max_threads(PyObject*, PyObject* n) {
  if (!PyLong_Check(n)) return errors::bad_type("set_max_threads", "n", "an int", n);
  int overflow;
  long most = PyLong_AsLongAndOverflow(n, &overflow);
  if (most < 1 || overflow < 0) return errors::bad_value("set_max_threads", "n", "at least 1", n);
  int before = Runtime::get().max_machines.exchange(overflow > 0 || most > INT_MAX ? INT_MAX : int(most));
  return PyLong_FromLong(before);
}

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
  int before = gort::gomaxprocs(int(n < 0 ? 0 : n));
  resize_lane(choice::exploring());
  return PyLong_FromLong(before);
}

PyObject* lock_os_thread(PyObject*, PyObject*) {
  if (!machine()) return nullptr;
  try {
    gort::lock_os_thread();
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* unlock_os_thread(PyObject*, PyObject*) {
  if (!machine()) return nullptr;
  gort::unlock_os_thread();
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"go", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(go)), METH_FASTCALL | METH_KEYWORDS,
     "go(fn, /, *args, **kwargs)\n--\n\nStart fn(*args, **kwargs) as a goroutine and return its Goroutine.\n\n"
     "contextvars are copied. If fn is an async def function, or returns a coroutine for another reason, the goroutine runs that too: what it\n"
     "awaits of gort parks the goroutine, what only an event loop can serve is a RuntimeError there (gort.aio.wait).\n"
     "Does not park. FatalError for None, TypeError for what cannot be called."},
    {"go_native", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(go_native)), METH_FASTCALL | METH_KEYWORDS,
     "go_native(address, arg=None)\n--\n\n"
     "Run the C function void (*)(void *) at address as a native goroutine, in parallel with Python, and return its Goroutine.\n\n"
     "address: an int, a ctypes function, a cffi function pointer, or an object with an int attribute address (numba's cfunc).\n"
     "arg: what the function gets: None (NULL), an int (an address), a writable buffer (bytearray, array, numpy, ctypes data), or a\n"
     "ctypes or cffi pointer (its value). Both are kept until the goroutine has ended; a buffer cannot be resized meanwhile.\n"
     "The function may block and compute for as long as it likes: it holds up neither Python nor other goroutines nor the collector.\n"
     "It must not call Python or take the GIL, use the managed heap, longjmp or unwind out of itself, or end its thread; its stack\n"
     "is that of a Python goroutine (README). The end of a run waits for it as for any goroutine, but cannot stop it.\n"
     "Does not park. TypeError for what is no address, ValueError for 0, negative ones, and ctypes functions that need the GIL."},
    {"run", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(run)), METH_FASTCALL | METH_KEYWORDS,
     "run(main, /, *args, procs=None, seed=None, grace=1.0, **kwargs)\n--\n\n"
     "Run main(*args, **kwargs) as goroutine 1 on this thread and return its value, or if that is a coroutine (main is an async def) what\n"
     "the coroutine returns, as with go.\n\n"
     "When main returns, the goroutines it started are stopped: GoExit is raised where they wait. Those that do not end within\n"
     "grace seconds are named in a ResourceWarning. An exception that leaves a goroutine ends the run and is raised here.\n"
     "Deadlock when nobody is left who could wake anybody; FatalError inside a goroutine.\n\n"
     "procs: gomaxprocs for this run alone. seed (an int; GORT_SEED in the environment for runs without one): the schedule is a random walk that\n"
     "the seed determines. Which goroutine is next, where one lets others run (at any call of gort that may park), and what select picks are\n"
     "drawn from it, so the same program takes the same way again, and other seeds find other ways. Native goroutines need procs=1\n"
     "for it. Time slices are off: a goroutine that computes without a call of gort lets nobody else run. Not determined by the seed:\n"
     "timers, sleep and timeouts (a wait with a timeout in main above all); when a goroutine comes back from a blocking call of other code, and who\n"
     "runs meanwhile (a takeover by the runtime's monitor after 1 ms); what plain threads and signals do; when Python's collector runs;\n"
     "the order of sets of str (PYTHONHASHSEED); goroutine ids. Which OS thread runs a goroutine (lending) is not determined either, but does not matter for\n"
     "the order."},
    quick<"gosched", gosched>("gosched()\n--\n\nLet other goroutines run; go on when it is this one's turn again."),
    {"sleep", sleep, METH_O,
     "sleep(s, /)\n--\n\nPark for s seconds (a number or a timedelta). Zero and less only yields; NaN is a ValueError."},
    {"goexit", goexit, METH_NOARGS, "goexit()\n--\n\nEnd this goroutine: raises GoExit, so that finally blocks run."},
    {"current", current, METH_NOARGS, "current()\n--\n\nThe calling Goroutine; plain threads have one too."},
    {"num_goroutine", num_goroutine, METH_NOARGS, "num_goroutine()\n--\n\nHow many goroutines exist, plain threads that use gort included."},
    {"num_cpu", num_cpu, METH_NOARGS, "num_cpu()\n--\n\nHow many processors this process may use."},
    {"gomaxprocs", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(gomaxprocs)), METH_FASTCALL,
     "gomaxprocs(n=None, /)\n--\n\nSet how many native goroutines run at once (on builds without the GIL Python ones too), and return the former number. n < 1 only asks; above 1024 is a ValueError.\n\n"
     "Until it is set the number follows the CPUs that the process may use: its affinity mask, and the quota of its control group rounded\n"
     "up (at least 2), looked at once a second; GORT_DEBUG=containermaxprocs=0 and updatemaxprocs=0 switch that off."},
    {"_set_max_threads", set_max_threads, METH_O, nullptr},
    {"_follow_cpus", follow_cpus, METH_VARARGS, nullptr},
    {"_lock_os_thread", lock_os_thread, METH_NOARGS, nullptr},
    {"unlock_os_thread", unlock_os_thread, METH_NOARGS,
     "unlock_os_thread()\n--\n\nUndo one lock_os_thread; without one nothing happens."},
    {"_why_public_swap", [](PyObject*, PyObject*) { return PyUnicode_FromString(why_public_swap()); }, METH_NOARGS, nullptr},
    {"_use_public_swap", [](PyObject*, PyObject*) { use_public_swap(); Py_RETURN_NONE; }, METH_NOARGS, nullptr},
    {"_set_default_seed", set_default_seed, METH_O, nullptr},
    {"_on_sigint", on_sigint, METH_VARARGS, nullptr},
    {"_close", close_at_exit, METH_NOARGS, nullptr},
    {"_before_fork", before_fork, METH_NOARGS, nullptr},
    {"_forked_child", forked_child, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace
}  // namespace gort::python

#if defined(Py_GIL_DISABLED) && !defined(GORT_WITHOUT_GIL)
PYBIND11_MODULE(_gort, m) {   // asks for the GIL (without_gil.h)
#else
PYBIND11_MODULE(_gort, m, pybind11::mod_gil_not_used()) {
#endif
  using namespace gort::python;
  if (!errors::load() || !create_lane() || PyModule_AddFunctions(m.ptr(), methods) < 0 || !add_goroutine_type(m.ptr()) ||
      !add_signal_functions(m.ptr()) || !register_all(m.ptr())) {
    throw pybind11::error_already_set();
  }
}
