// For authors of C++ extension modules: code that changes between the native lane and Python, and goroutines that do so.
//
//   static PyObject* count(PyObject*, PyObject* text) {             // METH_O
//     std::string copy = ...;                                       // objects of Python stay behind
//     int64_t words = 0;
//     bool done = gort::python::enter([&] {
//       gort::python::NativeScope native;                           // no GIL from here: in parallel with Python and others
//       words = count_words(copy);                                  // may use channels, Mutex, sleep, ...
//       {
//         gort::python::PythonScope python;                         // the GIL, and the caller's own thread state
//         progress(words);                                          // may call Python
//       }
//     });                                                           // back in Python, also when something was thrown
//     return done ? PyLong_FromLongLong(words) : nullptr;
//   }
//
// Both scopes move the calling goroutine to the other lane (sched/hop.h): same stack, same thread state, same context variables
// and recursion limits, same goroutine. In its own lane a scope does nothing; so a function may open one without knowing its caller.
// Scopes nest and end in reverse order.
//
// Cost: a goroutine queues in the other lane, so a hop takes as long as its turn there takes to come: well under a microsecond of
// work if that lane is busy anyway, a thread's wake-up (some microseconds) if it sleeps. On a plain thread (goroutine 1 above all) it is
// the price of giving the GIL away or taking it.
//
// Rules: those of python/extension.h for what may park, which both scopes do at both ends; and
//  1. Inside NativeScope no object of Python is touched, not even its reference count.
//  2. Inside PythonScope heap memory is touched through handles only; pointers in frames outside the scope stay valid. No pointer is
//     carried out of a NativeScope: take a handle.
//  3. Plain threads are in no mutator state inside NativeScope: what uses the managed heap there opens a world::MutatorScope (free on a
//     goroutine).
//  4. Neither stands inside a MutatorScope or BlockingScope, or under a lock.
#pragma once

#include <new>
#include <type_traits>
#include <utility>

#include "gort/base/cpu.h"

struct _object;   // PyObject

namespace gort::python {

// NativeScope: until its end the caller runs in the native lane, without the GIL. An exception of Python that is set stays set.
class NativeScope {
 public:
  // Throws Fatal if gort._gort is not imported, or after lock_os_thread, or inside a call that pybind11 dispatched (rule 1 of extension.h; a caller's caller
  // counts): such a goroutine cannot leave its thread. REQUIRES: the GIL is held, or the caller is in the native lane.
  NativeScope();
  // Waits for the caller's turn in Python; at the end of the interpreter for ever, or until CPython ends the thread, which enter() does
  // not let get further.
  ~NativeScope() noexcept(false);
  NativeScope(const NativeScope&) = delete;
  NativeScope& operator=(const NativeScope&) = delete;

 private:
  bool hopped_ = false;
  const void* outside_from_ = nullptr;   // as it was before
};

// PythonScope: until its end the caller holds the GIL and may call Python. What it calls may park, also by hopping.
class PythonScope {
 public:
  // Throws Fatal on a goroutine that has neither a stack nor a thread state for Python: one of gort::go, or a thread that never used
  // gort from Python. Goroutines of go (below), gort.go and gort.go_native have them.
  [[gnu::always_inline]] PythonScope() {
    save_registers(registers_);
    enter();
  }
  // An exception of Python that is set stays set. If the interpreter ended meanwhile, it waits for ever: CPython before 3.14 ends the thread
  // by unwinding its stack. Destructors further in have run by then, without the GIL: what holds objects of Python belongs further out.
  ~PythonScope();
  PythonScope(const PythonScope&) = delete;
  PythonScope& operator=(const PythonScope&) = delete;

 private:
  void enter();

  bool hopped_ = false;
  SavedRegisters registers_;   // a collector scans the stack from enter's frame upwards meanwhile
};

namespace detail {
_object* start(void (*invoke)(void*), void (*destroy)(void*), void* body);
}

// go starts fn() as a goroutine that begins in the native lane and may open a PythonScope. Returns its gort.Goroutine (a new reference:
// join, status, id), or null with a Python exception set. Such a goroutine belongs to the run of its caller; what it throws is treated
// as an exception that leaves a Python goroutine: PanicError, FatalError, RuntimeError, by the table of enter(). It costs more
// than gort::go: a thread state, and a turn in Python at its end. Context variables have no values in it.
// REQUIRES: the GIL is held, no Python exception is set.
template <class F>
[[nodiscard]] _object* go(F&& fn) {
  using Fn = std::decay_t<F>;
  return detail::start([](void* body) { (*static_cast<Fn*>(body))(); }, [](void* body) { delete static_cast<Fn*>(body); },
                       new Fn(std::forward<F>(fn)));
}

}  // namespace gort::python
