#include "lock_check.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "python_lane.h"
#include "python_stack.h"
#include "raw_type.h"
#include "register.h"

namespace gort::python {

std::atomic<bool> lock_check_on{false};

namespace {

using observe::LockFault;
using observe::LockUse;
using observe::StackId;

constexpr size_t kTakenPlaces = 4;     // of the stack of everyone who takes a lock
constexpr uint32_t kUsesPerLook = 64;  // at the clock

observe::LockCheck& check() {
  static auto& one = *new observe::LockCheck;   // never destroyed: locks are used while the process ends
  return one;
}

PyObject* reporter = nullptr;                    // set once, with the first start
std::atomic<Nanos> patience{kForever};
std::atomic<Nanos> next_look{0};
std::atomic<uint32_t> uses{0};
SpinLock of_deadlock_lock{LockRank::Leaf};
std::vector<LockFault> of_deadlock;              // guarded by it

observe::LockName name_of(const CheckedLock& lock) { return {lock.object, lock.type}; }

// Null in a signal handler while its thread's goroutine waits.
uint64_t goroutine_here() {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  return g ? g->id.load(std::memory_order_relaxed) : 0;
}

StackId stack_here(size_t most = observe::CallStacks::kMostPlaces) {
  std::shared_ptr<observe::CallStacks> stacks = check().stacks();
  return stacks ? keep_python_stack(*stacks, most) : 0;
}

// What the check has no memory for, it misses.
template <class F>
void as_memory_allows(F f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
  }
}

// ---------------------------------------------------------------- reports

const char* word(LockFault::Kind kind) {
  switch (kind) {
    case LockFault::Kind::Order: return "order";
    case LockFault::Kind::Reentry: return "re-entry";
    case LockFault::Kind::Upgrade: return "upgrade";
    case LockFault::Kind::RecursiveRead: return "recursive read";
    case LockFault::Kind::Deadlock: return "deadlock";
  }
  return "";
}

PyObject* frames_of(StackId id) {
  std::shared_ptr<observe::CallStacks> stacks = check().stacks();
  const observe::CallStack* stack = stacks ? stacks->find(id) : nullptr;
  auto places = stack ? stack->places() : std::span<const observe::Place>();
  PyObject* frames = PyTuple_New(Py_ssize_t(places.size()));
  for (size_t i = 0; frames && i < places.size(); i++) {
    PyObject* frame = python_frame(places[i]);
    if (frame) PyTuple_SET_ITEM(frames, Py_ssize_t(i), frame);
    else Py_CLEAR(frames);
  }
  return frames;
}

// (type, number, address, for writing), or None.
PyObject* use_of(const observe::LockName& lock, observe::Hold how) {
  if (!lock.address) Py_RETURN_NONE;
  return Py_BuildValue("(sKNO)", lock.type, static_cast<unsigned long long>(lock.number), PyLong_FromVoidPtr(const_cast<void*>(lock.address)),
                       how == observe::Hold::Exclusive ? Py_True : Py_False);
}

// (goroutine, held, where it was taken, wanted, where it is wanted) each.
PyObject* uses_of(const std::vector<LockUse>& all) {
  PyObject* list = PyList_New(0);
  for (const LockUse& use : all) {
    PyObject* row = list ? Py_BuildValue("(KNNNN)", static_cast<unsigned long long>(use.goroutine), use_of(use.held, use.held_how), frames_of(use.taken),
                                         use_of(use.wanted, use.wanted_how), frames_of(use.wants))
                         : nullptr;
    if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
    Py_XDECREF(row);
  }
  return list;
}

// False with an exception set: of the first reporter that raised one; the others are reported all the same.
bool report(const char* kind, const std::vector<LockUse>& all) {
  PyObject* list = uses_of(all);
  PyObject* result = list ? PyObject_CallFunction(reporter, "sN", kind, list) : nullptr;
  Py_XDECREF(result);
  return result != nullptr;
}

bool report(std::vector<LockFault> faults) {
  uint64_t me = goroutine_here();
  if (faults.empty() || !check().begin_report(me)) return true;
  PyObject* raised = nullptr;
  for (const LockFault& fault : faults) {
    if (report(word(fault.kind), fault.uses)) continue;
    PyObject* error = errors::take();
    if (!raised) raised = error;
    else Py_DECREF(error);
  }
  check().end_report(me);
  if (raised) errors::put(raised);
  return !raised;
}

// Those who have waited for too long. Looks at the clock now and then.
bool look_for_stuck() {
  Nanos now = nanotime(), patient = patience.load(std::memory_order_relaxed), next = next_look.load(std::memory_order_relaxed);
  if (patient == kForever || now < next || !next_look.compare_exchange_strong(next, now + std::max(patient / 2, kMillisecond))) return true;
  std::vector<LockFault> faults;
  as_memory_allows([&] { faults = check().stuck(now - patient); });
  return report(std::move(faults));
}

}  // namespace

// ---------------------------------------------------------------- the hooks

bool may_lock(const CheckedLock& lock, bool again) {
  uint64_t me = goroutine_here();
  bool found = false;
  std::vector<LockFault> faults;
  as_memory_allows([&] { found = check().is_new(me, name_of(lock), lock.how, again); });
  if (found) {
    StackId here = stack_here();
    as_memory_allows([&] { faults = check().order(me, name_of(lock), lock.how, here); });
    if (!report(std::move(faults))) return false;
  }
  return (uses.fetch_add(1, std::memory_order_relaxed) + 1) % kUsesPerLook != 0 || look_for_stuck();
}

void lock_waits(const CheckedLock& lock) {
  StackId here = stack_here();
  as_memory_allows([&] { check().waits(goroutine_here(), name_of(lock), lock.how, here, nanotime()); });
}

void lock_waited() { check().waited(goroutine_here()); }

void lock_taken(const CheckedLock& lock) {
  StackId here = stack_here(kTakenPlaces);
  as_memory_allows([&] { check().taken(goroutine_here(), name_of(lock), lock.how, here); });
}

void lock_released(const CheckedLock& lock) { check().released(goroutine_here(), lock.object, lock.how); }

void lock_gone(PyObject* lock) { check().gone(lock); }

PyObject* refuse_copy(PyObject* self, PyObject*) {
  if (checks_locks() && goroutine_here() != 0 && check().begin_report(goroutine_here())) {
    LockUse use;
    use.goroutine = goroutine_here();
    const char* dot = strrchr(Py_TYPE(self)->tp_name, '.');
    as_memory_allows([&] { use.wanted = check().name({self, dot ? dot + 1 : Py_TYPE(self)->tp_name}); });
    use.wants = stack_here();
    bool told = report("copy", {use});
    check().end_report(use.goroutine);
    if (!told) return nullptr;
  }
  return errors::refuse_reduce(self, nullptr);
}

void find_faults_of_deadlock() {
  if (!checks_locks()) return;
  std::vector<LockFault> faults;
  as_memory_allows([&] { faults = check().stuck(kForever); });
  std::lock_guard hold(of_deadlock_lock);
  std::swap(of_deadlock, faults);
}

void report_faults_of_deadlock() {
  if (!checks_locks()) return;
  std::vector<LockFault> faults;
  {
    std::lock_guard hold(of_deadlock_lock);
    std::swap(of_deadlock, faults);
  }
  if (!report(std::move(faults))) PyErr_WriteUnraisable(nullptr);   // the Deadlock says more
}

void lock_check_after_fork_in_child() {
  new (&of_deadlock_lock) SpinLock(LockRank::Leaf);
  check().after_fork_in_child();
}

// ---------------------------------------------------------------- the switch

namespace {

// _lock_check_switch(on, patience, reporter) -> what on and patience were. From off to on everything is forgotten.
PyObject* lock_check_switch(PyObject*, PyObject* args) {
  int on;
  PyObject *seconds, *report_to;
  if (!PyArg_ParseTuple(args, "pOO", &on, &seconds, &report_to)) return nullptr;
  Nanos nanos;
  if (!seconds_to_nanos("check", "patience", seconds, &nanos)) return nullptr;
  if (nanos < 0) return errors::bad_value("check", "patience", "at least 0", seconds);
  if (!machine()) return nullptr;
  bool was = checks_locks();
  Nanos before = patience.exchange(nanos);
  if (!reporter) reporter = Py_NewRef(report_to);
  if (on && !was) {
    try {
      check().clear();
    } catch (...) {
      return errors::translate();
    }
  }
  lock_check_on.store(on);
  return Py_BuildValue("(Od)", was ? Py_True : Py_False, before == kForever ? Py_HUGE_VAL : double(before) / 1e9);
}

// _lock_check_look(): reports the waits that have lasted as long as the patience.
PyObject* lock_check_look(PyObject*, PyObject*) {
  if (!machine()) return nullptr;
  Nanos patient = patience.load(std::memory_order_relaxed);
  std::vector<LockFault> faults;
  if (checks_locks() && patient != kForever) as_memory_allows([&] { faults = check().stuck(nanotime() - patient); });
  if (!report(std::move(faults))) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef lock_check_methods[] = {
    {"_lock_check_switch", lock_check_switch, METH_VARARGS, nullptr},
    {"_lock_check_look", lock_check_look, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool register_lock_check(PyObject* module) { return PyModule_AddFunctions(module, lock_check_methods) == 0; }

}  // namespace gort::python
