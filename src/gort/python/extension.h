// For authors of C++ extension modules that use gort: how a function called from Python may park.
//
//   static PyObject* take(PyObject* self, PyObject*) {            // METH_NOARGS
//     int64_t value = 0;
//     if (!gort::python::enter([&] { value = channel.recv(); })) return nullptr;
//     return PyLong_FromLongLong(value);
//   }
//
// Inside enter() every blocking call of gort may be used: channels, select, Mutex, WaitGroup, sleep. What waits is the calling
// Python goroutine (or plain Python thread); the GIL goes on to the others for that time and is held again when the call returns.
//
// Rules
//  1. A function that may park is a plain CPython function (METH_FASTCALL, METH_O, METH_NOARGS), never one that pybind11, nanobind or
//     Cython dispatches: they keep records per OS thread while a call is under way, and a goroutine that parks may go on on
//     another thread. What does not park may be bound with anything.
//  2. The GIL is held when enter() is called and stays the caller's business: no Py_BEGIN_ALLOW_THREADS inside.
//  3. No lock of yours and no pointer into the managed heap is held across a call that may park; a handle (heap/handle.h) may be.
//     Nothing thread_local is kept across it.
//  4. Objects of Python never go to native goroutines: copy what they need.
//  5. A long wait for something that is not of gort (a read, a foreign lock) releases the GIL as in any extension; the goroutine's
//     place on the CPU is then taken by others.
//
// python/channel.h exchanges typed channels with Python, python/scope.h runs parts of such a function in parallel.
// No Python header is needed here. The functions are those of the module gort._gort: `import gort` comes first.
#pragma once

#include <utility>

#include "gort/base/ref.h"

struct _object;   // PyObject

namespace gort {
class Channel;
struct ElementType;
using ChannelRef = Ref<Channel>;
}  // namespace gort

namespace gort::python {

// PythonError is thrown inside enter() or go() after a call of Python that failed: its exception is set already and is the one raised.
struct PythonError {};

// What a Chan is wanted for; a view (Chan.sender(), Chan.receiver()) allows one only.
enum class Directions { Send = 1, Receive = 2, Both = 3 };

// What the bindings provide. Internal.
struct ExtensionHooks {
  bool (*attach)();     // makes a plain thread a goroutine of the Python lane; false with a Python exception set
  void (*raise)();      // sets the Python exception for the C++ exception being handled
  void (*returned)();   // a wait went well: an interrupt that came meanwhile stays pending
  _object* (*start)(void (*invoke)(void*), void (*destroy)(void*), void* body);   // python::go
  bool (*channel)(const char* function, const char* argument, _object* chan, const ElementType& type, Directions, ChannelRef*);
  _object* (*chan)(const ChannelRef& channel);
};
void set_extension_hooks(const ExtensionHooks& hooks);
// Throws Fatal if gort._gort was not imported.
const ExtensionHooks& extension_hooks();

// enter calls body(), which may park, on behalf of a function called from Python. False with a Python exception set if it could not be
// called or threw: Panic is gort.PanicError, Fatal gort.FatalError, std::bad_alloc MemoryError, the end of a run GoExit, Ctrl-C in a wait
// KeyboardInterrupt, PythonError what is set already, anything else RuntimeError.
// REQUIRES: the GIL is held, no Python exception is set.
template <class F>
[[nodiscard]] bool enter(F&& body) {
  const ExtensionHooks& hooks = extension_hooks();
  if (!hooks.attach()) return false;
  try {
    std::forward<F>(body)();
  } catch (...) {
    hooks.raise();
    return false;
  }
  hooks.returned();
  return true;
}

}  // namespace gort::python
