// Goroutine: the Python object that go() returns, and how a goroutine's function is called.
#pragma once

#include "gort/sched/runtime.h"
#include "python_lane.h"

namespace gort::python {

struct GoroutineObject {
  PyObject_HEAD
  G* g;                      // null once it has ended
  uint64_t id;
  uint64_t parent_id;
  PyObject* call;            // tuple (function, arguments...); null once it has ended
  PyObject* keyword_names;   // tuple or null
  PyObject* context;         // contextvars.Context; null: no variable had a value
  PyObject* name;            // str or null
  PyObject* labels;          // dict or null
  PyObject* created_code;    // code object of the caller of go(), or null
  int created_offset;        // of the instruction in created_code
  void (*ended)(PyObject* whom);   // called when the function is over, with the GIL; may be null
  PyObject* whom;            // owned
  WaitQueue joiners;         // guarded by joiners_lock
  SpinLock joiners_lock;
  PyObject* weak_references;
};

extern PyTypeObject* goroutine_type;
bool add_goroutine_type(PyObject* module);

// go(function, /, *args, **kwargs) -> Goroutine
PyObject* go(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keyword_names);

// The two halves of go, for those who start a goroutine later or want to hear of its end. `caller` names the function in errors.
// new_call checks the arguments and remembers the calling context; start_call starts it, once. Null or false with an exception set.
GoroutineObject* new_call(const char* caller, PyObject* const* args, Py_ssize_t nargs, PyObject* keyword_names);
// By default it belongs to the calling goroutine and its run; with an origin to that.
struct Origin {
  uint64_t parent_id;
  RunGroup* group;   // may be null
};
bool start_call(GoroutineObject* object, const Origin* origin = nullptr);

// The object of the calling goroutine (made on demand for plain threads). New reference.
PyObject* current_object();
PyObject* object_of(G* g);   // new reference, or null without an exception if the goroutine is gone

// "created by f in goroutine 1\n\tfile:line\n"
std::string creation_text(GoroutineObject* object);

}  // namespace gort::python
