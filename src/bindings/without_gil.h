// What takes the GIL's place where there is none: CPython 3.13t and 3.14t, where Python goroutines run in parallel (docs/free_threading.md).
//
// Most of the bindings need nothing: primitives have locks of their own, and an object's counts are CPython's business. What leaned on the GIL leans
// on one of three things now, each of which costs a build with a GIL nothing:
//
//   ObjectLock hold(self);        // one object's fields against its own other methods (CPython's critical section)
//   Exclusive hold;               // a table of the module: who waits for what, which channel wants which signal
//   while_all_stand([&] {...});   // a look at what others do: nobody runs Python code, switches goroutines or gets out of a wait meanwhile
//
// Where a comment speaks of the GIL being held it means there that the thread state is attached.
//
// Rejected: one lock around every method, which is the GIL again. Rejected: _PyEval_StopTheWorld, which is not exported; the
// public PyUnstable_GC_VisitObjects calls its callback with the world stopped.
//
// On free-threaded builds of later versions the module asks for the GIL: nobody has looked at what a goroutine's is there.
#pragma once

#include <exception>

#include "cpython.h"

namespace gort::python {

#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x030f0000
#define GORT_WITHOUT_GIL 1
inline constexpr bool kWithoutGil = true;
#else
inline constexpr bool kWithoutGil = false;
#endif

// While an Exclusive lives no other thread has one. Nothing within may run Python code (no Py_DECREF of a user's object), park, or make
// another. Waiting for it lets go of the thread state, as waiting for any lock of CPython's.
class Exclusive {
 public:
  Exclusive();
  ~Exclusive();
  Exclusive(const Exclusive&) = delete;
  Exclusive& operator=(const Exclusive&) = delete;
};

// ObjectLock is Py_BEGIN_CRITICAL_SECTION: others wait with their ObjectLock of the same object. It is let go of whenever the thread state is (a
// park, a wait for a lock): so nothing may be remembered over such a call.
class ObjectLock {
 public:
  explicit ObjectLock([[maybe_unused]] PyObject* object) {
#ifdef GORT_WITHOUT_GIL
    PyCriticalSection_Begin(&section_, object);
#endif
  }
  ~ObjectLock() {
#ifdef GORT_WITHOUT_GIL
    PyCriticalSection_End(&section_);
#endif
  }
  ObjectLock(const ObjectLock&) = delete;
  ObjectLock& operator=(const ObjectLock&) = delete;

#ifdef GORT_WITHOUT_GIL
 private:
  PyCriticalSection section_;
#endif
};

// while_all_stand calls look once, while every other thread of the interpreter stands: at a point between two bytecodes, or where it had let go of
// its state. REQUIRES: an attached state; look makes no object of Python and destroys none, takes no Exclusive, and does not park.
void while_all_stand(void (*look)(void*), void* argument);
template <class F>
void while_all_stand(F look) {
  if constexpr (!kWithoutGil) {
    look();
  } else {
    struct Caught {
      F& look;
      std::exception_ptr error;   // it must not go through CPython
    } caught{look, nullptr};
    while_all_stand(
        [](void* argument) {
          auto* c = static_cast<Caught*>(argument);
          try {
            c->look();
          } catch (...) {
            c->error = std::current_exception();
          }
        },
        &caught);
    if (caught.error) std::rethrow_exception(caught.error);
  }
}

// Remembered is an object that others keep and somebody wants to find again while it lives: a borrowed pointer, which `forget` takes away when the
// object dies. Without the GIL it may be dying on another thread, which only a weak reference tells in time; that forgets by itself.
// Not thread safe: under its owner's ObjectLock.
class Remembered {
 public:
  PyObject* get() const;          // new reference; null: there is none
  bool set(PyObject* object);     // false with an exception set
  void forget() {
    if constexpr (!kWithoutGil) object_ = nullptr;
  }
  void clear();                   // at the owner's end

 private:
  PyObject* object_;              // null in zeroed memory; without the GIL the weak reference, owned
};

// After fork, in the child: who was in an Exclusive stayed with the parent.
void forget_exclusive();

}  // namespace gort::python
