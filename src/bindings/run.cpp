#include "run.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "coroutines.h"
#include "deferred.h"
#include "errors.h"
#include "gort/gc/collector.h"
#include "gort/sched/choice.h"
#include "gort/sched/go.h"
#include "gort/sched/preempt.h"
#include "gort/sched/run_group.h"
#include "gort/signal/signals.h"
#include "lock_check.h"
#include "signal_module.h"
#include "without_gil.h"

namespace gort::python {
namespace {

// The run that is going on. current_run, panic, deadlock and stopping are guarded by the GIL, or by Exclusive where there is none; whoever
// wants to end a wait of goroutine 1 does it in there too, so that nobody does once the run is over. The rest is the run's own thread's.
struct Run {
  RunGroup* group = nullptr;
  M* machine = nullptr;
  G* main = nullptr;
  PyObject* panic = nullptr;      // the exception that ended the run, with its traceback
  PyObject* deadlock = nullptr;
  PyObject* old_handler = nullptr;   // of SIGINT, while ours is installed
  uint64_t thread_id = 0;         // main's id outside the run
  int old_procs = 0;            // 0: not changed; below: it followed the CPUs
  bool stopping = false;
};
Run* current_run = nullptr;
std::atomic<bool> closed{false};
uint64_t default_seed = 0;  // 0: none
bool heap_stands = false;   // during a fork, and in its child until the heap is put in order

void add_note(PyObject* error, const std::string& note) {
  PyObject* result = PyObject_CallMethod(error, "add_note", "s", note.c_str());
  if (!result) PyErr_Clear();
  Py_XDECREF(result);
}

void call_panichook(GoroutineObject* object, PyObject* error) {
  PyObject* module = PyImport_ImportModule("gort");
  PyObject* hook = module ? PyObject_GetAttrString(module, "panichook") : nullptr;
  PyObject* result = hook ? PyObject_CallFunctionObjArgs(hook, reinterpret_cast<PyObject*>(object), error, nullptr) : nullptr;
  if (!result) PyErr_WriteUnraisable(hook);
  Py_XDECREF(result);
  Py_XDECREF(hook);
  Py_XDECREF(module);
}

// --- parsing

struct Options {
  PyObject* procs = nullptr;
  PyObject* seed = nullptr;
  PyObject* grace = nullptr;
};

// Splits run's own keywords from main's. False with an exception set.
bool split_keywords(PyObject* const* args, Py_ssize_t nargs, PyObject* names, Options* options, PyObject** rest) {
  *rest = nullptr;
  Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    PyObject* value = args[nargs + i];
    if (PyUnicode_CompareWithASCIIString(name, "procs") == 0) options->procs = value;
    else if (PyUnicode_CompareWithASCIIString(name, "seed") == 0) options->seed = value;
    else if (PyUnicode_CompareWithASCIIString(name, "grace") == 0) options->grace = value;
    else {
      if (!*rest && !(*rest = PyDict_New())) return false;
      if (PyDict_SetItem(*rest, name, value) < 0) return false;
    }
  }
  return true;
}

bool read_int(const char* argument, PyObject* value, long least, long most, long* out) {
  if (!PyLong_Check(value)) {
    errors::bad_type("run", argument, "an int", value);
    return false;
  }
  int overflow;
  *out = PyLong_AsLongAndOverflow(value, &overflow);
  if (overflow || *out < least || *out > most) {
    std::string range = "from " + std::to_string(least) + " to " + std::to_string(most);
    errors::bad_value("run", argument, range.c_str(), value);
    return false;
  }
  return true;
}

// --- SIGINT

// If the program has Python's own handler, ours takes its place for the run: that one would raise in whichever goroutine
// happens to be on the main thread.
void install_handler(Run* run) {
  watch_interrupts(run->machine);
  PyObject* signal_module = PyImport_ImportModule("signal");
  PyObject* module = PyImport_ImportModule("gort._gort");
  PyObject *current = nullptr, *standard = nullptr, *ours = nullptr, *result = nullptr;
  if (signal_module && module) {
    current = PyObject_CallMethod(signal_module, "getsignal", "i", SIGINT);
    standard = PyObject_GetAttrString(signal_module, "default_int_handler");
    ours = PyObject_GetAttrString(module, "_on_sigint");
    if (current && current == standard && ours) {
      result = PyObject_CallMethod(signal_module, "signal", "iO", SIGINT, ours);
      if (result) run->old_handler = Py_NewRef(current);   // fails off the main thread: nothing to do there
    }
  }
  if (PyErr_Occurred()) PyErr_Clear();
  if (result) {
    unwatch_interrupts();   // signal.signal replaced the C handler: wrap the new one
    watch_interrupts(run->machine);
  }
  for (PyObject* object : {signal_module, module, current, standard, ours, result}) Py_XDECREF(object);
}

void restore_handler(Run* run) {
  unwatch_interrupts();
  if (!run->old_handler) return;
  PyObject* signal_module = PyImport_ImportModule("signal");
  PyObject* module = PyImport_ImportModule("gort._gort");
  if (signal_module && module) {
    PyObject* current = PyObject_CallMethod(signal_module, "getsignal", "i", SIGINT);
    PyObject* ours = PyObject_GetAttrString(module, "_on_sigint");
    if (current && current == ours) {
      PyObject* result = PyObject_CallMethod(signal_module, "signal", "iO", SIGINT, run->old_handler);
      Py_XDECREF(result);
    }
    Py_XDECREF(current);
    Py_XDECREF(ours);
  }
  if (PyErr_Occurred()) PyErr_Clear();
  Py_XDECREF(signal_module);
  Py_XDECREF(module);
  Py_CLEAR(run->old_handler);
}

// The two are called one at a time with what else changes signals (signals.h).
void lower_interrupt() {
  Exclusive hold;
  signals::lower(SIGINT);
}
void lift_interrupt() {
  Exclusive hold;
  signals::lift(SIGINT);
}

// --- the end

struct Member {
  G* g;
  PyObject* object;   // owned; null: a native goroutine, or one that is over
};

std::vector<Member> members(Run* run) {
  std::vector<Member> found;
  while_all_stand([&] {
    for (G* g : Runtime::get().all_goroutines()) {
      if (g == run->main || g->group != run->group) continue;
      if (g->status.load(std::memory_order_acquire) != Status::Dead) found.push_back({g, known_object(g)});
    }
  });
  return found;
}

// Tells a goroutine to end: GoExit at its park point, or at its next bytecode. Not there while its panic is reported, or the report would be cut short;
// nor without an object, which a Python goroutine has until it is over: the next one in its state would get it.
void stop_member(const Member& member) {
  G* g = member.g;
  auto* object = reinterpret_cast<GoroutineObject*>(member.object);
  bool asked = g->requests.load(std::memory_order_relaxed) & G::kExit;
  if (Runtime::get().request(g, G::kExit) || asked || !object || object->reporting || !g->started) return;
  raise_in(g, object, errors::GoExit);   // it computes, or has just been readied
}

void stop_members(Run* run) {
  for (const Member& member : members(run)) {
    if (!member.object) {
      stop_member(member);
      continue;
    }
    {
      ObjectLock hold(member.object);   // else it could end, and another goroutine begin in its G and its state
      if (!reinterpret_cast<GoroutineObject*>(member.object)->over) stop_member(member);
    }
    Py_DECREF(member.object);
  }
}

void warn_abandoned(Run* run) {
  std::string names;
  int count = 0;
  for (auto [g, object] : members(run)) {
    if (count++ < 10) {
      PyObject* text = object ? PyObject_Repr(object) : nullptr;
      const char* name = text ? PyUnicode_AsUTF8(text) : nullptr;
      names += std::string(names.empty() ? "" : ", ") + (name ? name : "<native goroutine>");
      if (!name) PyErr_Clear();
      Py_XDECREF(text);
    }
    Py_XDECREF(object);
  }
  if (count == 0) return;
  if (count > 10) names += ", ...";
  PyErr_WarnFormat(PyExc_ResourceWarning, 1,
                   "gort.run: %d goroutine%s did not end within grace and %s abandoned: %s", count, count == 1 ? "" : "s",
                   count == 1 ? "is" : "are", names.c_str());
  if (PyErr_Occurred()) PyErr_WriteUnraisable(nullptr);
}

// Ends the run's goroutines. Returns false if the user interrupted it (exception set).
bool stop_group(Run* run, Nanos grace) {
  Nanos end = deadline_after(grace);
  bool interrupted = false;
  while (run->group->live() > 0 && !interrupted) {
    stop_members(run);
    Nanos now = nanotime();
    Nanos pause = now + 50 * kMillisecond < end ? now + 50 * kMillisecond : end;
    Outcome outcome = run->group->wait_empty(pause);
    interrupted = outcome == Outcome::Interrupted;
    if (outcome == Outcome::TimedOut && nanotime() >= end) break;
  }
  PyObject* interrupt = nullptr;
  if (interrupted) {
    raise_outcome(Outcome::Interrupted);
    interrupt = errors::take();
  } else {
    keep_interrupt();
  }
  if (run->group->live() > 0) warn_abandoned(run);
  if (!interrupt) return true;
  errors::put(interrupt);
  return false;
}

bool has_panicked(Run* run) {
  Exclusive hold;
  return run->panic != nullptr;
}

// goexit() in main: the others go on until none is left or none can go on.
void wait_for_others(Run* run) {
  Outcome outcome = run->group->wait_empty(kForever);
  if (has_panicked(run)) return;
  if (outcome == Outcome::Fired) {
    after_wait();
    PyErr_SetString(errors::FatalError, "no goroutines (main called runtime.Goexit) - deadlock!");
  } else {
    raise_outcome(outcome);
  }
}

}  // namespace

void note_deadlock(PyObject* error) {
  PyObject* old = nullptr;
  {
    Exclusive hold;
    if (current_run) old = std::exchange(current_run->deadlock, Py_NewRef(error));
  }
  Py_XDECREF(old);
}

namespace {

// Whether an exception that leaves g ends the run; then it is taken over, and main told, if `take`.
bool ends_run(G* g, PyObject* error, bool take) {
  Exclusive hold;
  Run* run = current_run;
  if (!run || g->group != run->group || run->stopping || run->panic) return false;
  if (!take) return true;
  run->panic = error;
  // If that ended no wait of main's, main computes or has just been readied.
  if (!Runtime::get().request(run->main, G::kExit)) raise_in(run->main, nullptr, errors::GoExit);
  return true;
}

}  // namespace

void report_uncaught(G* g, GoroutineObject* object) {
  if (PyErr_ExceptionMatches(errors::GoExit)) {
    PyErr_Clear();
    return;
  }
  PyObject* error = errors::take();
  if (ends_run(g, error, false)) {
    add_note(error, "goroutine " + std::to_string(object->id.load(std::memory_order_relaxed)) + " [running], " + creation_text(object));
    if (ends_run(g, error, true)) return;   // else another one was first meanwhile
  }
  if (!PyErr_GivenExceptionMatches(error, PyExc_SystemExit)) {
    {
      ObjectLock hold(reinterpret_cast<PyObject*>(object));
      object->reporting = true;
    }
    swallow_injected(frame_of(g)->state);
    call_panichook(object, error);
  }
  Py_DECREF(error);
}

namespace {

// Why the thread cannot begin a run now, null if it can; then the run is the current one from here on, if one is given.
const char* refuse_run(M* m, Run* run) {
  Exclusive hold;
  if (current_run) {
    return current_run->machine == m ? "gort.run called inside a goroutine; use gort.go there"
                                     : "gort.run called while another thread's run is going on";
  }
  current_run = run;
  return nullptr;
}

}  // namespace

// finish_coroutine for main, whose thread may be inside an event loop (Jupyter's): that one stands still meanwhile, so it is not the coroutine's.
static PyObject* finish_main(PyObject* result) {
  if (!result || !PyCoro_CheckExact(result)) return result;
  PyObject* module = PyImport_ImportModule("gort._loops");
  PyObject* value = module ? PyObject_CallMethod(module, "outside", "O", result) : nullptr;
  Py_XDECREF(module);
  Py_DECREF(result);
  return value;
}

PyObject* run(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  if (nargs < 1) {
    PyErr_SetString(PyExc_TypeError, "run: a function is needed: run(main, *args, **kwargs)");
    return nullptr;
  }
  if (!PyCallable_Check(args[0])) return errors::bad_type("run", "main", "callable", args[0]);
  M* m = machine();
  if (!m) return nullptr;
  if (!m->own || m->current != m->own) {
    PyErr_SetString(errors::FatalError, "gort.run called inside a goroutine; use gort.go there");
    return nullptr;
  }
  if (const char* refusal = refuse_run(m, nullptr)) {
    PyErr_SetString(errors::FatalError, refusal);
    return nullptr;
  }
  Options options;
  PyObject* keywords;
  if (!split_keywords(args, nargs, names, &options, &keywords)) {
    Py_XDECREF(keywords);
    return nullptr;
  }
  long procs = 0;
  Nanos grace = kSecond;
  bool valid = true;
  if (options.procs && options.procs != Py_None) valid = read_int("procs", options.procs, 1, kMaxProcs, &procs);
  long seed = 0;
  bool seeded = options.seed && options.seed != Py_None;
  if (valid && seeded) valid = read_int("seed", options.seed, LONG_MIN, LONG_MAX, &seed);
  if (valid && options.grace) valid = seconds_to_nanos("run", "grace", options.grace, &grace);
  if (!valid) {
    Py_XDECREF(keywords);
    return nullptr;
  }

  Runtime& runtime = Runtime::get();
  Run run;
  run.machine = m;
  run.main = m->own;
  run.group = RunGroup::make();
  if (const char* refusal = refuse_run(m, &run)) {   // another thread's began while the arguments were read
    run.group->release();
    Py_XDECREF(keywords);
    PyErr_SetString(errors::FatalError, refusal);
    return nullptr;
  }
  run.main->group = run.group;
  frame_of(run.main)->told.store(false, std::memory_order_relaxed);
  run.thread_id = run.main->id.exchange(1);
  if (procs > 0) {
    bool followed = gomaxprocs_follows();
    run.old_procs = gomaxprocs(int(procs));
    if (followed) run.old_procs = -1;
  }
  resize_lane(seeded || default_seed != 0);
  m->keeps_processor = true;
  {
    RuntimeScope inside(m);
    if (!m->p) lane().acquire_processor(m);
  }
  if (seeded || default_seed) {
    choice::seed(!seeded ? default_seed : seed ? uint64_t(seed) : 1);
    choice::explore(true);
  }
  runtime.start_sysmon();
  runtime.set_main(run.main);
  lower_interrupt();
  install_handler(&run);
  lift_interrupt();

  PyObject* positional = PyTuple_New(nargs - 1);
  for (Py_ssize_t i = 1; positional && i < nargs; i++) PyTuple_SET_ITEM(positional, i - 1, Py_NewRef(args[i]));
  PyObject* result = positional ? finish_main(PyObject_Call(args[0], positional, keywords)) : nullptr;
  Py_XDECREF(positional);
  Py_XDECREF(keywords);

  run.main->requests.store(0);
  if (!result && !has_panicked(&run) && PyErr_ExceptionMatches(errors::GoExit)) {
    PyErr_Clear();
    wait_for_others(&run);
    run.main->requests.store(0);
  }
  PyObject* error = result ? nullptr : errors::take();
  {
    Exclusive hold;
    run.stopping = true;   // from here on nobody ends main
  }
  run.main->requests.store(0);
  swallow_injected(frame_of(run.main)->state);   // a GoExit that came too late
  if (run.panic) {
    Py_XDECREF(error);   // GoExit, or what main made of it
    Py_CLEAR(result);
    error = std::exchange(run.panic, nullptr);
  } else if (run.deadlock && result) {
    Py_CLEAR(result);
    error = Py_NewRef(run.deadlock);
  }
  Py_CLEAR(run.deadlock);

  drop_deferred(run.group);
  if (!stop_group(&run, grace)) {
    Py_XDECREF(error);
    Py_CLEAR(result);
    error = errors::take();
  }
  drop_deferred(run.group);   // what finally blocks have left behind
  end_signals(run.group);
  lower_interrupt();
  restore_handler(&run);
  lift_interrupt();
  choice::explore(false);
  runtime.set_main(nullptr);
  run.main->requests.store(0);
  m->keeps_processor = false;
  {
    RuntimeScope inside(m);   // where there is no GIL, sysmon may be about to take the P
    if (m->p) lane().hand_off(m, nullptr);
  }
  run.main->group = nullptr;
  run.main->id.store(run.thread_id);
  run.group->release();
  if (run.old_procs < 0) set_default_gomaxprocs();
  else if (run.old_procs > 0) gomaxprocs(run.old_procs);
  resize_lane(false);
  {
    Exclusive hold;
    current_run = nullptr;
    run.main->requests.store(0);   // of an interrupt
  }
  if (lane().live() == 0 && runtime.native().live() == runtime.system_goroutines()) runtime.stop_idle_threads();
  if (run.panic) Py_CLEAR(run.panic);
  if (error) {
    Py_CLEAR(result);
    errors::put(error);
  }
  return result;
}

namespace {

// Ends goroutine 1's wait. False: the interrupt is for the caller itself.
bool interrupt_run(M* m) {
  Exclusive hold;
  Run* run = current_run;
  if (!run || (m && m->current == run->main)) return false;
  if (m && !m->current) return false;   // on the main thread's scheduler stack its own goroutine is the one that waits; everywhere else somebody else runs
  choice::explore(false);   // in an explored run a goroutine that computes would not let goroutine 1 have its turn
  Runtime::get().request(run->main, G::kInterrupt);
  return true;
}

}  // namespace

PyObject* on_sigint(PyObject*, PyObject*) {
  if (interrupt_run(this_machine())) Py_RETURN_NONE;
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  return nullptr;
}

PyObject* set_default_seed(PyObject*, PyObject* seed) {
  long value = PyLong_AsLong(seed);
  if (value == -1 && PyErr_Occurred()) return nullptr;
  default_seed = value ? uint64_t(value) : 1;
  Py_RETURN_NONE;
}

bool is_closed() { return closed.load(std::memory_order_relaxed); }

PyObject* close_at_exit(PyObject*, PyObject*) {
  closed = true;
  end_signals(nullptr);
  Runtime::get().close();
  close_lane();
  Py_RETURN_NONE;
}

// The heap stands still only inside fork() itself, where no Python code runs: other hooks of os.register_at_fork and the import
// lock let go of the GIL, and whoever got it then and touched the heap would wait with it for a world that waits for the GIL.
void stop_heap() {
  M* m = this_machine();
  if (!m || m->lane != &lane()) return;   // not from Python, or not a thread that uses gort
  gc::before_fork();
  heap_stands = true;
}

void start_heap() {
  if (std::exchange(heap_stands, false)) gc::after_fork_in_parent();
}

PyObject* before_fork(PyObject*, PyObject*) {
  static const int registered = pthread_atfork(stop_heap, start_heap, nullptr);
  if (registered != 0) return PyErr_NoMemory();
  if (!machine()) return nullptr;   // the thread is known before the heap stands; errors are reported by CPython
  Py_RETURN_NONE;
}

PyObject* forked_child(PyObject*, PyObject*) {
  forget_exclusive();
  after_fork_in_child();
  forget_starter();
  forget_signals();
  lock_check_after_fork_in_child();
  if (Runtime::get().main()) Runtime::get().start_sysmon();   // goroutine 1 forked, and its run goes on
  else {
    current_run = nullptr;
    choice::explore(false);
  }
  if (std::exchange(heap_stands, false)) gc::after_fork_in_child();
  Py_RETURN_NONE;
}

}  // namespace gort::python
