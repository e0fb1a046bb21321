// carry: how goroutines share their machine's thread state on builds without the GIL.
//
// There a thread state owns heaps and reference counts of its OS thread: 54 KiB and 115 us each (python_fibers.md, 8.1), so a goroutine cannot have one.
// It has a copy of the public struct instead, which no list of the interpreter knows. While it runs, what is its own lies in the machine's
// state; while it waits, in its copy, which serves all who read a state (PyThreadState_GetFrame, `gort ps`). Goroutines stay on
// their machine there (sched/pinning.h), so what points into the state, as the end of the chain of handled exceptions does, stays right.
//
// The machine's own: links, interp, eval_breaker, _status, state, thread ids, gilstate_counter, py_recursion_limit, dict_global_version, and all
// that lies behind the public struct. Everything else is the goroutine's.
//
// And one word of the goroutine's behind it: asyncio's running loop, which newer versions of 3.13 keep there. Nothing public says where, so the place is
// learned when asyncio has been imported, by setting it with asyncio's own function (RunningLoop).
//
// Checked with 3.13.5t.
#pragma once

#include "without_gil.h"

#ifdef GORT_WITHOUT_GIL

#include <atomic>
#include <cstddef>
#include <utility>

namespace gort::python {

class RunningLoop {
 public:
  // learn looks for the place if asyncio is there and it is not known yet. REQUIRES: an attached state. Runs no Python code, keeps a raised exception.
  void learn();

  // exchange puts `in` there and returns what was there; null and nothing while the place is unknown, as every version has a dict for it else.
  PyObject* exchange(PyThreadState* state, PyObject* in) const {
    std::ptrdiff_t offset = offset_.load(std::memory_order_relaxed);
    return offset <= 0 ? nullptr : std::exchange(*reinterpret_cast<PyObject**>(reinterpret_cast<char*>(state) + offset), in);
  }

 private:
  std::atomic<std::ptrdiff_t> offset_{0};   // from the state; 0: unknown; -1: there is none
};

// carry copies what is a goroutine's from one state to another. The depth of recursion is kept, the limit is the receiver's.
inline void carry(const PyThreadState& from, PyThreadState& to) {
  to.py_recursion_remaining = to.py_recursion_limit - (from.py_recursion_limit - from.py_recursion_remaining);
  to.c_recursion_remaining = from.c_recursion_remaining;
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
  to.previous_executor = from.previous_executor;
  to.threading_local_key = from.threading_local_key;
  to.threading_local_sentinel = from.threading_local_sentinel;
}

}  // namespace gort::python

#endif
