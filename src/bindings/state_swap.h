// StateSwap: makes another thread state current on this OS thread while the GIL stays where it is.
//
// PyThreadState_Swap gives the GIL away and takes it again on 3.12 and later: 50 to 65 ns, and beside a thread that waits for the GIL every
// switch may wait 5 ms. What a switch really needs is a handful of stores, none of which the public interface offers alone. So they are
// learned: learn() calls the public function on two states and watches what changes, in the public struct of the states, in the
// thread-local block of the module that defines it, in _PyRuntime, and in pthread's keys. Only when the changes are exactly
// the ones this file knows is the raw exchange used; else, and if GORT_DEBUG=rawswap=0 says so, the public function.
//
// What changes (checked with 3.12.1, 3.13.0, 3.14.8; 3.11's public function is 3 ns and is used there):
//   current state   one word of the thread-local block
//   _status         bits active, bound_gilstate, holds_gil (3.13.0; a field of its own later)
//   state           0 detached, 1 attached (3.13 and later)
//   PyGILState      one pthread key
//   last holder     one word of _PyRuntime: who is asked to drop the GIL. A stale one starves other threads.
//   eval_breaker    3.13 and later, per state: the outgoing state's request to drop the GIL and pending calls go along, and the
//                   version of sys.monitoring's instrumentation; the rest belongs to its state
//
// Rejected: internal headers with exact versions (a wheel serves a whole minor version, and its layouts differ inside it).
//
// Thread safety: learn() once, at import. Everything else with the GIL held, on any thread for which check() was called.
#pragma once

#include "cpython.h"
#include "without_gil.h"

#include <atomic>
#include <cstdint>

#if PY_VERSION_HEX >= 0x030c0000 && !defined(Py_GIL_DISABLED)
#define GORT_RAW_SWAP 1
#endif

namespace gort::python {

class StateSwap {
 public:
  // learn decides which exchange is used. REQUIRES: the GIL; scratch is a state that nobody uses. Does not fail.
  void learn(PyThreadState* scratch);

  // check is called first on every other thread that will swap, and in the child of a fork: what was learned must hold there.
  void check();

  void use_public(const char* reason);
  bool raw() const { return raw_; }
  // Whether every swap counts for CPython as a change of hands of the GIL.
  bool gives_gil_away() const { return PY_VERSION_HEX >= 0x030c0000 && !raw_; }
  // why_not says why the public function is in use, "" if it is not.
  const char* why_not() const { return why_not_; }

  // REQUIRES: `to` was current before (new_state sees to that), and is not current on another thread.
  void operator()(PyThreadState* to) const {
#ifdef GORT_RAW_SWAP
    if (raw_) [[likely]] {
      exchange(to);
      return;
    }
#endif
    PyThreadState_Swap(to);
  }

 private:
#ifdef GORT_RAW_SWAP
  static char* thread_pointer() {
    // Opaque to the optimiser, which would keep it over a switch to another thread.
    char* pointer;
#if defined(__x86_64__)
    asm volatile("movq %%fs:0, %0" : "=r"(pointer));
#else
    asm volatile("mrs %0, tpidr_el0" : "=r"(pointer));
#endif
    return pointer;
  }
  static uint32_t* status_of(PyThreadState* state) { return reinterpret_cast<uint32_t*>(&state->_status); }
  void exchange(PyThreadState* to) const;
  const char* observe(PyThreadState* scratch);   // null if all is as expected

  std::ptrdiff_t current_ = 0;                   // of the word that holds the current state, from the thread pointer
  std::atomic<PyThreadState*>* last_holder_ = nullptr;
  uint32_t attached_bits_ = 0;                   // of _status
  unsigned gilstate_key_ = 0;
#endif
  bool raw_ = false;
  const char* why_not_ = "";
};

#ifdef GORT_RAW_SWAP
inline void StateSwap::exchange(PyThreadState* to) const {
  auto* current = reinterpret_cast<PyThreadState**>(thread_pointer() + current_);
  PyThreadState* from = *current;
  if (from == to) return;
  __atomic_store_n(status_of(from), *status_of(from) & ~attached_bits_, __ATOMIC_RELAXED);
  __atomic_store_n(status_of(to), *status_of(to) | attached_bits_, __ATOMIC_RELAXED);
#if PY_VERSION_HEX >= 0x030d0000
  constexpr uintptr_t kDropRequest = 1, kPendingCalls = 4, kVersion = ~uintptr_t(0xff);
#if PY_VERSION_HEX >= 0x030e0000
  from->holds_gil = 0;
  to->holds_gil = 1;
#endif
  __atomic_store_n(&from->state, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&to->state, 1, __ATOMIC_RELAXED);
  uintptr_t old = __atomic_load_n(&from->eval_breaker, __ATOMIC_RELAXED), mine = __atomic_load_n(&to->eval_breaker, __ATOMIC_RELAXED);
  if (((old ^ mine) & kVersion) != 0) [[unlikely]] {
    __atomic_fetch_and(&to->eval_breaker, ~kVersion, __ATOMIC_RELAXED);
    __atomic_fetch_or(&to->eval_breaker, old & kVersion, __ATOMIC_RELAXED);
  }
  if (uintptr_t requests = old & (kDropRequest | kPendingCalls); requests != 0) [[unlikely]] {
    __atomic_fetch_or(&to->eval_breaker, requests, __ATOMIC_RELAXED);
    __atomic_fetch_and(&from->eval_breaker, ~kDropRequest, __ATOMIC_RELAXED);
  }
#endif
  last_holder_->store(to, std::memory_order_relaxed);
  pthread_setspecific(gilstate_key_, to);
  *current = to;
}
#endif

}  // namespace gort::python
