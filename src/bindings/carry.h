// carry: how goroutines share their machine's thread state on builds without the GIL.
//
// There a thread state owns heaps and reference counts of its OS thread: 54 KiB and 115 us each (python_fibers.md, 8.1), so a goroutine cannot have one.
// It has a copy of the public struct instead, which no list of the interpreter knows. While it runs, what is its own lies in the machine's
// state; while it waits, in its copy, which serves all who read a state (PyThreadState_GetFrame, `gort ps`). Goroutines stay on
// their machine there (sched/pinning.h), so what points into the state, as the end of the chain of handled exceptions does, stays right.
//
// The machine's own: links, interp, eval_breaker, _status, state, thread ids, gilstate_counter, py_recursion_limit, dict_global_version, 3.14's
// holds_gil, remote_debugger_support and spare chunk for frames (newer versions of 3.14 only), and all that lies behind the public struct. Everything else
// is the goroutine's.
//
// And a few words of the goroutine's behind it (Hidden). Nothing public says where they are, so their places are learned: asyncio's when it has been
// imported, by setting them with asyncio's own functions; that of the references on the C stack at import, by a call that has one.
//
// Checked with 3.13.5t and 3.14.7t; 3.14.2t to 3.14.6t by their sources.
#pragma once

#include "without_gil.h"

#ifdef GORT_WITHOUT_GIL

#include <atomic>
#include <cstddef>
#include <utility>

namespace gort::python {

// A reference that C code of the interpreter has on its stack while it calls something (3.14t): its last in, first out list begins in the state.
struct StackReference {
  uintptr_t bits;
  StackReference* next;
};

struct Hidden {
  PyObject* loop = nullptr;              // asyncio's running one (some versions of 3.13, 3.14); owned
  PyObject* task = nullptr;              // asyncio's current one (3.14); owned
  StackReference* references = nullptr;  // 3.14t; shown to the collector by parked_frames.h
};

class HiddenWords {
 public:
  // learn_asyncio looks for asyncio's words if it is there and they are not known yet. REQUIRES: an attached state. Runs no Python code, keeps a raised
  // exception.
  void learn_asyncio();

  // learn_references looks for the list of references, where there is one. False without an exception: it was not found.
  bool learn_references();

  // exchange puts `in` there and returns what was there; null and nothing where a place is unknown: such a version has a dict for it.
  Hidden exchange(PyThreadState* state, const Hidden& in) const {
    return {put(state, loop_, in.loop), put(state, task_, in.task), put(state, references_, in.references)};
  }

 private:
  using Place = std::atomic<std::ptrdiff_t>;   // from the state; 0: unknown; -1: there is none

  template <class T>
  static T* put(PyThreadState* state, const Place& place, T* in) {
    std::ptrdiff_t offset = place.load(std::memory_order_relaxed);
    return offset <= 0 ? nullptr : std::exchange(*reinterpret_cast<T**>(reinterpret_cast<char*>(state) + offset), in);
  }

  Place loop_{0}, task_{0}, references_{0};
};

// carry copies what is a goroutine's from one state to another. The depth of recursion is kept, the limit is the receiver's.
inline void carry(const PyThreadState& from, PyThreadState& to) {
  to.py_recursion_remaining = to.py_recursion_limit - (from.py_recursion_limit - from.py_recursion_remaining);
#if PY_VERSION_HEX < 0x030e0000
  to.c_recursion_remaining = from.c_recursion_remaining;   // later: what the stack says (guard_stack)
  to.previous_executor = from.previous_executor;
#else
  to.current_executor = from.current_executor;
#endif
  to.recursion_headroom = from.recursion_headroom;
  to.tracing = from.tracing;
  to.what_event = from.what_event;
  to.current_frame = from.current_frame;
  to.c_profilefunc = from.c_profilefunc;
  to.c_tracefunc = from.c_tracefunc;
  to.c_profileobj = from.c_profileobj;
  to.c_traceobj = from.c_traceobj;
  to.current_exception = from.current_exception;
  to.exc_info = from.exc_info;
  to.exc_state = from.exc_state;
  to.dict = from.dict;
  to.async_exc = from.async_exc;
  to.delete_later = from.delete_later;
  to.critical_section = from.critical_section;
  to.coroutine_origin_tracking_depth = from.coroutine_origin_tracking_depth;
  to.async_gen_firstiter = from.async_gen_firstiter;
  to.async_gen_finalizer = from.async_gen_finalizer;
  to.context = from.context;
  to.context_ver = from.context_ver;
  to.id = from.id;
  to.datastack_chunk = from.datastack_chunk;
  to.datastack_top = from.datastack_top;
  to.datastack_limit = from.datastack_limit;
  to.threading_local_key = from.threading_local_key;
  to.threading_local_sentinel = from.threading_local_sentinel;
}

}  // namespace gort::python

#endif
