// The one place where gort looks below CPython's stable ABI. Everything here is a public function or a field of the public
// struct _ts (PyThreadState), compiled per minor version; nothing comes from internal headers.
//
// | what                          | 3.11                          | 3.12                  | 3.13                  | 3.14 |
// |-------------------------------|-------------------------------|-----------------------|-----------------------|------|
// | is a thread state attached    | _PyThreadState_UncheckedGet   | _status.active        | state == 1            | as 3.13 |
// | exchange of states            | PyThreadState_Swap            | state_swap.h          | state_swap.h          | as 3.13 |
// | key of PyGILState             | found by scan, set per switch | set by Swap           | set by Swap           | as 3.13 |
// | C recursion budget            | none (1 MiB stacks)           | c_recursion_remaining | c_recursion_remaining | PyUnstable_ThreadState_SetStackProtection, by dlsym |
// | OS thread of a state          | thread_id                     | thread_id             | thread_id             | thread_id |
// | leftovers of a used state     | dict, context, async_gen_*    | same                  | + threading_local_*   | as 3.13 |
// | on_delete (Thread's lock)     | checked                       | checked               | gone                  | gone |
// | exception being raised        | curexc_type                   | current_exception     | current_exception     | current_exception |
// | context of a state            | context                       | context               | context               | context |
// | where the caller is           | PyThreadState_GetFrame        | PyUnstable_InterpreterFrame_* | PyUnstable_InterpreterFrame_* | as 3.13 |
// Checked with 3.11.2, 3.11.7, 3.12.1, 3.13.0.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>

namespace gort::python {

#if PY_VERSION_HEX < 0x030c0000
// The parser and nested C calls are not limited by a budget here: 512 KiB overflow on 1,000 levels of map().
inline constexpr size_t kStackSize = 1028 * 1024;   // an odd number of pages, see kNativeStack
#else
inline constexpr size_t kStackSize = 516 * 1024;    // an odd number of pages, see kNativeStack
// What compile() of 199 nested brackets needs stays free; about 900 bytes per nested C call.
inline constexpr int kCallBudget = 420;
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

// new_state makes a thread state for a goroutine whose stack is [low, high). Null with MemoryError set on failure. GIL held.
PyThreadState* new_state(char* low, char* high);

// clean_state makes the calling goroutine's state like a new one. Runs user code (destructors of thread-locals). Returns false if it could
// not (the state must be thrown away).
bool clean_state(PyThreadState* state);

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
