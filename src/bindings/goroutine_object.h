// Goroutine: the Python object that go() returns, and how a goroutine's function is called.
#pragma once

#include <atomic>
#include <utility>

#include "gort/sched/runtime.h"
#include "python_lane.h"

namespace gort::python {

// A call to be made: the function and its arguments, in the layout of vectorcall. Owns its references. A goroutine with few
// arguments needs no memory besides its object's.
class Call {
 public:
  // False with MemoryError set. REQUIRES: empty.
  bool set(PyObject* const* items, Py_ssize_t positional, PyObject* keyword_names);
  PyObject* make() const { return PyObject_Vectorcall(items_[0], items_ + 1, size_t(positional_), keyword_names_); }
  PyObject* function() const { return items_ ? items_[0] : nullptr; }   // borrowed; null: empty
  void clear(PyObject* owner);   // the object that it is part of: others may be reading the function under its ObjectLock
  int traverse(visitproc visit, void* arg) const;

 private:
  friend struct LayoutAccess;   // layout.cpp

  static constexpr Py_ssize_t kInline = 4;
  PyObject** items_ = nullptr;        // inline_, or of PyMem_Malloc
  Py_ssize_t count_ = 0;              // of items_
  Py_ssize_t positional_ = 0;         // without the function
  PyObject* keyword_names_ = nullptr; // tuple or null
  PyObject* inline_[kInline];
};

// What a goroutine that begins in the native lane runs there, and how its argument is given up afterwards (without the GIL).
struct NativeBody {
  void (*invoke)(void*) = nullptr;    // null: the goroutine is one of Python, its function is in Call
  void (*destroy)(void*) = nullptr;   // may be null
  void* argument = nullptr;
  void drop() {
    if (auto destroy_it = std::exchange(destroy, nullptr)) destroy_it(argument);
  }
};

// Without the GIL (without_gil.h): name, labels, call's end, `reporting` and `over` are guarded by the object's ObjectLock; g is cleared by the goroutine itself
// before its G can be used again, so what was read from a G counts if g is still there afterwards; the rest is fixed before the goroutine starts, or its own.
//
// Untracked by CPython's collector until it has labels: while its goroutine lives the scheduler holds it, afterwards nothing else
// that it holds can lead back to it.
struct GoroutineObject {
  PyObject_HEAD
  std::atomic<G*> g;         // null once it has ended
  std::atomic<uint64_t> id;  // fixed; a plain thread's goroutine is 1 during a run, so its own when it has ended
  uint64_t parent_id;
  Call call;                 // empty once it has ended; of a native body: what is kept until then
  NativeBody native;
  PyObject* context;         // contextvars.Context; null: no variable had a value
  PyObject* coroutine;       // both not null while it waits without a stack (coroutines.h)
  PyObject* awaits;
  PyObject* name;            // str or null
  PyObject* labels;          // dict or null
  PyObject* created_code;    // code object of the caller of go(), or null
  int created_offset;        // of the instruction in created_code
  void (*ended)(PyObject* whom);   // called when the function is over, with the GIL; may be null
  PyObject* whom;            // owned
  bool reporting;            // its panic; nothing is raised in it meanwhile
  bool over;                 // nobody may end it any more: its thread state is about to be another goroutine's
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

// start_native starts a goroutine that begins in the native lane (python/scope.h) and keeps some objects until its end. Null with an exception
// set; body.destroy has not been called then.
GoroutineObject* start_native(const char* caller, NativeBody body, PyObject* const* kept, Py_ssize_t count);

// The object of the calling goroutine (made on demand for plain threads). New reference.
PyObject* current_object();

// The objects of others; new references. object_of makes that of a plain thread, which may have ended meanwhile; null without an exception if the
// goroutine is gone. Without the GIL object_of is for the caller's goroutine and plain threads, known_object, which makes none, for all in a
// while_all_stand.
PyObject* object_of(G* g);
PyObject* known_object(G* g);

// end_thread_object tells the object of a plain thread, if there is one, that its goroutine has ended. Any thread, with or without a thread state; the
// runtime's hook calls it once g is Dead.
void end_thread_object(G* g);

// "created by f in goroutine 1\n\tfile:line\n"
std::string creation_text(GoroutineObject* object);

}  // namespace gort::python
