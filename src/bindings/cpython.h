// The one place where gort looks below CPython's stable ABI. Everything here is a public function or a field of the public
// struct _ts (PyThreadState), compiled per minor version; nothing comes from internal headers.
//
// | what                          | 3.11                          | 3.12                  | 3.13                  | 3.14 |
// |-------------------------------|-------------------------------|-----------------------|-----------------------|------|
// | is a thread state attached    | _PyThreadState_UncheckedGet   | _status.active        | state == 1            | as 3.13 |
// | exchange of states            | PyThreadState_Swap            | state_swap.h          | state_swap.h          | as 3.13 |
// | key of PyGILState             | found by scan, set per switch | set by Swap           | set by Swap           | as 3.13 |
// | C recursion budget            | none (4 MiB stacks)           | c_recursion_remaining | c_recursion_remaining | PyUnstable_ThreadState_SetStackProtection, ResetStackProtection, by dlsym: 3.14.2 has them |
// | OS thread of a state          | thread_id                     | thread_id             | thread_id             | thread_id |
// | leftovers of a used state     | dict, context, async_gen_*    | same                  | + threading_local_*   | as 3.13 |
// | on_delete (Thread's lock)     | checked                       | checked               | gone                  | gone |
// | a state is made already      | _initialized                  | not needed            | not needed            | not needed |
// | exception being raised        | curexc_type                   | current_exception     | current_exception     | current_exception |
// | context of a state            | context                       | context               | context               | context |
// | where the caller is           | PyThreadState_GetFrame        | PyUnstable_InterpreterFrame_* | PyUnstable_InterpreterFrame_* | as 3.13 |
// | threading.gettrace(), getprofile() | threading._trace_hook, _profile_hook (tracers.cpp) | same | same       | same |
// | is the interpreter ending      | _Py_IsFinalizing             | _Py_IsFinalizing      | Py_IsFinalizing       | as 3.13 |
// | frames, in a signal handler   | _Py_DumpTraceback, by dlsym   | PyUnstable_InterpreterFrame_* | PyUnstable_InterpreterFrame_* | as 3.13 |
// | stack of deferred references  | none                          | none                  | none                  | 3.14t: parked_frames.h, carry.h |
// | frames, for other processes   | frame_layout.h, learned       | frame_layout.h, learned | frame_layout.h, learned | unknown |
// | who owns an object            | -                             | -                     | 3.13t: _Py_ThreadId, ob_tid (hogs.h) | - |
// | is a frame inside a `with`    | co_exceptiontable's format, opcode.h (thread_locks.h) | same      | same                  | same |
// | what a frame holds (leaks.cpp) | frame_layout.h, learned; co_nlocalsplus, co_exceptiontable's format | same | same | PyFrame_GetVar |
// | a with statement entering      | opcode BEFORE_WITH, __exit__ on the stack | BEFORE_WITH, the manager where __exit__ will be | as 3.12 | not asked |
// | where Python frames lie       | datastack_*, _PyStackChunk, PyObject_SetArenaAllocator | same | same          | same |
// | str, bytes, code, functions, for other processes | fields of the public structs, co_linetable's format (layout.cpp) | same | same | same |
// Checked with 3.11.2, 3.11.7, 3.12.1, 3.13.0, 3.13.5t, 3.14.7t, 3.14.8.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <unistd.h>

#include <cstddef>

namespace gort::python {

// The stacks of Python goroutines are reserved addresses; what is not touched costs page tables only. An overflow would end the process, so
// they hold the deepest recursion that the interpreter allows, and that is not counted in bytes. Measured on x86-64, with 3.11.7 to 3.13.0:
//   the parser at its own limit of depth       0.76 MiB (9,000 nested conditions)
//   list.sort with a key that sorts            5.5 KiB for each level; everything else found, less than 1.5 KiB
//
// CPython keeps Python frames elsewhere, in "data stack chunks" of 16 KiB that it maps for each thread state: one more page for each goroutine. So the
// first chunk lies above the C stack, and both begin in the same page, which is all that a goroutine touches that calls little:
//
//   | guard | ...                     <- C frames | Python frames ->                          |
//           low                                  high                             high + kDataStack
//                            |<------------- one page ------------->|<------ 4 pages ------>|
//
// It is a root chunk by CPython's rules: its first slot stays empty, so that no frame lies where popping it would free the chunk. Deeper calls get chunks
// of CPython's own on top of it. PyThreadState_Delete frees a state's chunks, so the function that it calls is made to leave ours alone (keep_placed_frames).
// The interpreter itself deletes the states of parked goroutines, in the child of a fork and when it ends, where we cannot take the chunk away before. Up to
// 3.13 it lets their chunks leak; should a version free them, it meets the same function. If another module has replaced that by one that does not ask
// ours, what is left is that munmap refuses an address within a page.
// Rejected: taking the chunks away before a fork and putting them back afterwards (goroutines run between the hooks).
//
// kStackSize is an odd number of pages, see kNativeStack.
inline constexpr size_t kDataStack = 4 * 4096 + 1280;
#if PY_VERSION_HEX < 0x030c0000
inline constexpr size_t kStackSize = 4 * 1024 * 1024 + 7 * 4096;   // calls within C are limited together with Python's own, to 1,000
#else
inline constexpr size_t kStackSize = 1564 * 1024;
inline constexpr int kCallBudget = 930;   // calls within C: a Python call from C takes two, one through lru_cache three, a nested sort four
#endif

// is_attached tells, from any thread and without the GIL, whether the state's owner holds the GIL right now.
inline bool is_attached(PyThreadState* state) {
#if PY_VERSION_HEX < 0x030c0000
  return _PyThreadState_UncheckedGet() == state;
#elif PY_VERSION_HEX < 0x030d0000
  // A bit field has no address: read the whole word it lies in.
  unsigned word = __atomic_load_n(reinterpret_cast<unsigned*>(&state->_status), __ATOMIC_RELAXED);
  decltype(state->_status) status;
  __builtin_memcpy(&status, &word, sizeof(word));
  return status.active;
#else
  return __atomic_load_n(&state->state, __ATOMIC_RELAXED) == 1;
#endif
}

// is_detached tells, as is_attached does, whether the owner has let go of the state by itself. Whoever was made to stand (without_gil.h) has not.
inline bool is_detached(PyThreadState* state) {
#ifdef Py_GIL_DISABLED
  return __atomic_load_n(&state->state, __ATOMIC_RELAXED) == 0;
#else
  return !is_attached(state);
#endif
}

// is_ending tells, from any thread and without the GIL, whether the interpreter has begun to end: then nobody else gets the GIL any more.
inline bool is_ending() {
#if PY_VERSION_HEX < 0x030d0000
  return _Py_IsFinalizing();
#else
  return Py_IsFinalizing();
#endif
}

// The end of a thread that may not have the GIL any more, for that is what is_ending means to all but the main thread. From 3.14 on CPython
// does the same; before, it calls pthread_exit, which unwinds the stack: handlers and destructors of C++ would touch Python without the GIL.
[[noreturn]] inline void stay_for_ever() {
  for (;;) pause();
}

// is_made tells whether a state that is in the interpreter's list can be used. 3.11 puts one there, without the GIL, before it is filled in: its link to
// the next one is null until then.
inline bool is_made([[maybe_unused]] PyThreadState* state) {
#if PY_VERSION_HEX < 0x030c0000
  return __atomic_load_n(&state->_initialized, __ATOMIC_ACQUIRE) != 0;
#else
  return true;
#endif
}

// why_unsupported says why goroutines cannot run on this interpreter, null if they can.
const char* why_unsupported();

// new_state makes a thread state for a goroutine whose stack is [low, high). Null with MemoryError set on failure. GIL held.
PyThreadState* new_state(char* low, char* high);

// From 3.14 on the state knows how far the C stack goes that it runs on. guard_stack is called on every change of it on builds where states are shared
// (carry.h), guard_own_stack when the thread's own is run on again.
#if PY_VERSION_HEX >= 0x030e0000
void guard_stack(PyThreadState* state, char* low, char* high);
void guard_own_stack(PyThreadState* state);
#else
inline void guard_stack(PyThreadState*, char*, char*) {}
inline void guard_own_stack(PyThreadState*) {}
#endif

// place_frames puts the state's Python frames at memory, of kDataStack bytes. REQUIRES: it has none yet; memory is the same for the state's life.
void place_frames(PyThreadState* state, char* memory);
void keep_placed_frames();   // once, at import

// clean_state makes the calling goroutine's state like a new one. Runs user code (destructors of thread-locals). Returns false if it could
// not (the state must be thrown away).
bool clean_state(PyThreadState* state);

// holds_nothing tells whether the state of the calling goroutine, which runs no Python, has nothing of it but its context, so that the next one may have it as it is.
// holds_nothing_of_thread: nor is there anything that code puts there for its thread: thread-locals, tracers, hooks. The calling goroutine's, whatever it runs.
bool holds_nothing(PyThreadState* state);
bool holds_nothing_of_thread(PyThreadState* state);

// leave_context takes the goroutine out of *context, which it has entered, or if that is null puts the one there that it has got since. False: it is in another one.
bool leave_context(PyThreadState* state, PyObject** context);

// inject raises exception in the goroutine of that state at its next bytecode, whichever thread it is on. GIL held.
void inject(PyThreadState* state, PyObject* exception);

// swallow_injected takes back an injected exception that was not raised yet. On the calling thread's own state.
void swallow_injected(PyThreadState* state);

// The thread-specific keys that hold the current thread state besides CPython's own variable (3.11: PyGILState's).
class StateKeys {
 public:
  void find(PyThreadState* current);
  void set(PyThreadState* state) const {
    for (int i = 0; i < count_; i++) set_one(keys_[i], state);
  }

 private:
  static void set_one(unsigned key, PyThreadState* state);
  unsigned keys_[4];
  int count_ = 0;
};

// caller_site gives the code object (new reference, null if there is no Python caller) and the instruction offset of the
// Python frame that called us, for PyCode_Addr2Line. Does not make a frame object where that can be avoided. state: the current one.
PyObject* caller_site(PyThreadState* state, int* offset);

// write_frames writes the Python frames of a state, where the interpreter can do that in a signal handler; on 3.12 and later
// the innermost one. Async-signal-safe after find_frame_writer, as far as the interpreter is: the process is about to end.
void find_frame_writer();
void write_frames(int descriptor, PyThreadState* state);

// copy_context copies the context of the current state. Null without an exception: no variable has a value, a new one is the same.
PyObject* copy_context(PyThreadState* state);

// Whether an exception is being raised in the current state. PyErr_Occurred looks the state up first.
inline bool has_exception(PyThreadState* state) {
#if PY_VERSION_HEX < 0x030c0000
  return state->curexc_type != nullptr;
#else
  return state->current_exception != nullptr;
#endif
}

// Per code object memory of ours (PEP 523's extra slots), allocated at first use; null if `callable` has no Python code.
struct CodeRecord {
  uint32_t clean_slices = 0;   // time slices on pool machines without being seen blocked
  bool blocked = false;        // was seen blocked in foreign code
};
CodeRecord* code_record(PyObject* callable);
bool request_code_slot();      // once, at import

}  // namespace gort::python
