#include "cpython.h"

#include "without_gil.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace gort::python {
namespace {

Py_ssize_t code_slot = -1;

#if PY_VERSION_HEX >= 0x030e0000
// Where the interpreter takes a state's C stack to be; by default it is the stack of the thread that made the state. Looked up because a module that
// was built for 3.14 is also loaded by 3.14.0, which lacks it.
using Protect = int (*)(PyThreadState*, void* low, size_t size);
Protect find_protect() {
  static auto protect = reinterpret_cast<Protect>(dlsym(RTLD_DEFAULT, "PyUnstable_ThreadState_SetStackProtection"));
  return protect;
}

using Unprotect = void (*)(PyThreadState*);
Unprotect find_unprotect() {
  static auto unprotect = reinterpret_cast<Unprotect>(dlsym(RTLD_DEFAULT, "PyUnstable_ThreadState_ResetStackProtection"));
  return unprotect;
}
#endif

#if PY_VERSION_HEX < 0x030c0000
using FrameWriter = void (*)(int descriptor, PyThreadState* state);
FrameWriter frame_writer = nullptr;
#else
struct _PyInterpreterFrame* innermost(PyThreadState* state) {
#if PY_VERSION_HEX < 0x030d0000
  return state->cframe->current_frame;
#else
  return state->current_frame;
#endif
}

const char* ascii_or(PyObject* text, const char* otherwise) {
  return PyUnicode_IS_COMPACT_ASCII(text) ? static_cast<const char*>(PyUnicode_DATA(text)) : otherwise;
}
#endif

#if PY_VERSION_HEX < 0x030c0000
int get_extra(PyObject* code, void** extra) { return _PyCode_GetExtra(code, code_slot, extra); }
int set_extra(PyObject* code, void* extra) { return _PyCode_SetExtra(code, code_slot, extra); }
#else
int get_extra(PyObject* code, void** extra) { return PyUnstable_Code_GetExtra(code, code_slot, extra); }
int set_extra(PyObject* code, void* extra) { return PyUnstable_Code_SetExtra(code, code_slot, extra); }
#endif

PyObjectArenaAllocator arenas;   // of the interpreter; also for data stack chunks

void free_unless_placed(void* context, void* memory, size_t size) {
  // CPython asks for powers of two. 0: the stack of a goroutine that has ended has given back its memory, and the chunk's size with it.
  if (size != kDataStack && size != 0) arenas.free(context, memory, size);
}

}  // namespace

const char* why_unsupported() {
#if PY_VERSION_HEX >= 0x030e0000
  if (!find_protect() || !find_unprotect()) return "gort: CPython 3.14.0 and 3.14.1 cannot be told where a goroutine's stack is; please use 3.14.2 or later";
#endif
#if defined(Py_GIL_DISABLED) && !defined(GORT_WITHOUT_GIL)
  // This module asks for the GIL, by not saying that it can do without; only the user can have refused it.
  PyObject* is_enabled = PySys_GetObject("_is_gil_enabled");
  PyObject* enabled = is_enabled ? PyObject_CallNoArgs(is_enabled) : nullptr;
  PyErr_Clear();
  Py_XDECREF(enabled);
  if (enabled != Py_True) return "gort: goroutines need the GIL, on free-threaded builds too; please run without PYTHON_GIL=0 and -X gil=0";
#endif
  return nullptr;
}

PyThreadState* new_state([[maybe_unused]] char* low, [[maybe_unused]] char* high) {
  PyThreadState* state = PyThreadState_New(PyInterpreterState_Get());
  if (!state) {
    PyErr_NoMemory();
    return nullptr;
  }
#if PY_VERSION_HEX >= 0x030e0000
  // Before the first swap, which else would ask for the thread's own stack: on the main thread that reads /proc/self/maps, 1 ms.
  if (find_protect()(state, low, size_t(high - low)) < 0) {
    PyThreadState_Clear(state);
    PyThreadState_Delete(state);
    return nullptr;
  }
#elif PY_VERSION_HEX >= 0x030c0000
  state->c_recursion_remaining = kCallBudget;
#endif
#if PY_VERSION_HEX >= 0x030c0000
  PyThreadState_Swap(PyThreadState_Swap(state));   // a state's first time sets more than later ones (state_swap.h)
#endif
  return state;
}

#if PY_VERSION_HEX >= 0x030e0000
void guard_stack(PyThreadState* state, char* low, char* high) { find_protect()(state, low, size_t(high - low)); }
void guard_own_stack(PyThreadState* state) { find_unprotect()(state); }
#endif

void place_frames(PyThreadState* state, char* memory) {
  auto* chunk = reinterpret_cast<_PyStackChunk*>(memory);
  *chunk = {.previous = nullptr, .size = kDataStack, .top = 0, .data = {}};
  state->datastack_chunk = chunk;
  state->datastack_top = &chunk->data[1];
  state->datastack_limit = reinterpret_cast<PyObject**>(memory + kDataStack);
}

void keep_placed_frames() {
  PyObject_GetArenaAllocator(&arenas);
  PyObjectArenaAllocator ours = arenas;
  ours.free = free_unless_placed;
  PyObject_SetArenaAllocator(&ours);
}

bool clean_state(PyThreadState* state) {
  // Destructors may leave new things behind; three rounds, then the state is given up.
  for (int round = 0; round < 3; round++) {
    Py_CLEAR(state->dict);
    if (state->context) {
      Py_CLEAR(state->context);
      state->context_ver++;
    }
    Py_CLEAR(state->async_gen_firstiter);
    Py_CLEAR(state->async_gen_finalizer);
    if (state->c_tracefunc) PyEval_SetTrace(nullptr, nullptr);
    if (state->c_profilefunc) PyEval_SetProfile(nullptr, nullptr);
#if PY_VERSION_HEX >= 0x030d0000
    Py_CLEAR(state->threading_local_key);
    Py_CLEAR(state->threading_local_sentinel);
#endif
    if (has_exception(state)) PyErr_Clear();
    if (!state->dict && !state->context) break;
  }
#if PY_VERSION_HEX < 0x030d0000
  if (state->on_delete) return false;
#endif
  swallow_injected(state);
  return !state->dict && !state->context && state->exc_info == &state->exc_state;
}

namespace {
// repr() leaves its list of what it is inside of there, mostly empty; `threading.local` its values, before 3.13.
bool is_empty(PyObject* dict) {
  Py_ssize_t size = PyDict_GET_SIZE(dict);
  PyObject* inside = size == 1 ? PyDict_GetItemString(dict, "Py_Repr") : nullptr;
  return size == 0 || (inside && PyList_CheckExact(inside) && PyList_GET_SIZE(inside) == 0);
}
}  // namespace

bool holds_nothing_of_thread(PyThreadState* state) {
  if (state->dict && !is_empty(state->dict)) return false;
#if PY_VERSION_HEX >= 0x030d0000
  if (state->threading_local_key || state->threading_local_sentinel) return false;
#else
  if (state->on_delete) return false;
#endif
  return !state->async_gen_firstiter && !state->async_gen_finalizer && !state->c_tracefunc && !state->c_profilefunc &&
         state->coroutine_origin_tracking_depth == 0;
}

bool holds_nothing(PyThreadState* state) {
  return holds_nothing_of_thread(state) && !state->async_exc && !has_exception(state) && state->exc_info == &state->exc_state &&
         (!state->exc_state.exc_value || state->exc_state.exc_value == Py_None);
}

bool leave_context(PyThreadState* state, PyObject** context) {
  if (*context) {
    if (state->context != *context) return false;
    if (PyContext_Exit(*context) == 0) return true;
    PyErr_Clear();
    return false;
  }
  *context = state->context;
  if (state->context) {
    state->context = nullptr;
    state->context_ver++;
  }
  return true;
}

// PyThreadState_SetAsyncExc takes a thread id and hits the first state that has it; several goroutines share their machine's.
void inject(PyThreadState* state, PyObject* exception) {
  unsigned long own = state->thread_id;
  state->thread_id = reinterpret_cast<unsigned long>(state) | 1;
  PyThreadState_SetAsyncExc(state->thread_id, exception);
  state->thread_id = own;
}

#if PY_VERSION_HEX < 0x030c0000
void find_frame_writer() { frame_writer = reinterpret_cast<FrameWriter>(dlsym(RTLD_DEFAULT, "_Py_DumpTraceback")); }

void write_frames(int descriptor, PyThreadState* state) {
  if (frame_writer) frame_writer(descriptor, state);
}
#else
void find_frame_writer() {}

void write_frames(int descriptor, PyThreadState* state) {
  struct _PyInterpreterFrame* frame = innermost(state);
  if (!frame) return;
  PyObject* object = PyUnstable_InterpreterFrame_GetCode(frame);
  if (!PyCode_Check(object)) return;   // see caller_site
  auto* code = reinterpret_cast<PyCodeObject*>(object);
  dprintf(descriptor, "%s(...)\n\t%s:%d\n", ascii_or(code->co_qualname, "?"), ascii_or(code->co_filename, "?"),
          PyUnstable_InterpreterFrame_GetLine(frame));
}
#endif

PyObject* copy_context(PyThreadState* state) {
  if (!state->context || PyObject_Size(state->context) == 0) return nullptr;
  return PyContext_CopyCurrent();
}

PyObject* caller_site(PyThreadState* state, int* offset) {
#if PY_VERSION_HEX >= 0x030c0000
  struct _PyInterpreterFrame* innermost_frame = innermost(state);
  if (!innermost_frame) return nullptr;
  PyObject* innermost_code = PyUnstable_InterpreterFrame_GetCode(innermost_frame);
  if (PyCode_Check(innermost_code)) [[likely]] {
    *offset = PyUnstable_InterpreterFrame_GetLasti(innermost_frame);   // 3.14t reads the code for it
    return innermost_code;
  }
  Py_DECREF(innermost_code);   // None: the evaluator's own frame, while what a function had is destroyed on its way back into C
#endif
  PyFrameObject* frame = PyThreadState_GetFrame(state);
  if (!frame) return nullptr;
  *offset = PyFrame_GetLasti(frame);
  PyObject* code = reinterpret_cast<PyObject*>(PyFrame_GetCode(frame));
  Py_DECREF(frame);
  return code;
}

// Setting async_exc to null would leave the interpreter's "something is pending" flag up for good on 3.11 and 3.12 (every bytecode
// takes the slow path, and a traced function never gets past its first instruction). Only raising the exception lowers it.
void swallow_injected(PyThreadState* state) {
  static std::atomic<PyObject*> nothing{nullptr};
  for (int round = 0; state->async_exc && round < 3; round++) {
    if (!nothing) {
      PyObject* module = PyImport_ImportModule("gort.errors");
      nothing = module ? PyObject_GetAttrString(module, "_nothing") : nullptr;
      Py_XDECREF(module);
    }
    PyObject* result = nothing ? PyObject_CallNoArgs(nothing.load()) : nullptr;
    Py_XDECREF(result);
    PyErr_Clear();
  }
  // The flag is down: 3.11 and 3.12 have one for all states, and raising another's lowered it. Whoever uses the state next would get what is left.
  Py_XDECREF(__atomic_exchange_n(&state->async_exc, nullptr, __ATOMIC_RELAXED));
}

void StateKeys::find([[maybe_unused]] PyThreadState* current) {
  count_ = 0;
#if PY_VERSION_HEX < 0x030c0000
  for (unsigned key = 0; key < 1024 && count_ < 4; key++) {
    if (pthread_getspecific(key) == current) keys_[count_++] = key;
  }
#endif
}

void StateKeys::set_one(unsigned key, PyThreadState* state) { pthread_setspecific(key, state); }

bool request_code_slot() {
#if PY_VERSION_HEX < 0x030c0000
  code_slot = _PyEval_RequestCodeExtraIndex(std::free);
#else
  code_slot = PyUnstable_Eval_RequestCodeExtraIndex(std::free);
#endif
  return code_slot >= 0;
}

CodeRecord* code_record(PyObject* callable) {
  if (PyMethod_Check(callable)) callable = PyMethod_GET_FUNCTION(callable);
  if (!PyFunction_Check(callable) || code_slot < 0) return nullptr;
  PyObject* code = PyFunction_GET_CODE(callable);
  void* extra = nullptr;
  if (get_extra(code, &extra) < 0) {
    PyErr_Clear();
    return nullptr;
  }
  if (extra) return static_cast<CodeRecord*>(extra);
  void* memory = std::malloc(sizeof(CodeRecord));
  if (!memory) return nullptr;
  auto* record = new (memory) CodeRecord;
  if (set_extra(code, record) < 0) {
    PyErr_Clear();
    std::free(record);
    return nullptr;
  }
  return record;
}

}  // namespace gort::python
