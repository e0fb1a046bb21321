#include "frame_layout.h"

#include <cstddef>

#include "cpython.h"

namespace gort::python {
namespace {

// Every version's frame begins with more than so many words, counting the stack of values that follows it.
constexpr size_t kWords = 10;

struct Sighting {
  const uintptr_t* frame = nullptr;
  PyCodeObject* code = nullptr;
  int offset = 0;   // of its present instruction
};

const uintptr_t* outer_frame;   // of the function that called note() first
FrameLayout learned;

const uintptr_t* innermost_frame_now() {
  PyThreadState* state = PyThreadState_Get();
#if PY_VERSION_HEX < 0x030d0000
  return reinterpret_cast<const uintptr_t*>(state->cframe->current_frame);
#else
  return reinterpret_cast<const uintptr_t*>(state->current_frame);
#endif
}

Sighting look(PyFrameObject* frame, const uintptr_t* words) {
  PyCodeObject* code = PyFrame_GetCode(frame);
  Sighting seen{words, code, PyFrame_GetLasti(frame)};
  Py_DECREF(code);   // the function on the CPU keeps it
  return seen;
}

template <class F>
uint64_t only_place(const uintptr_t* words, F wanted) {
  uint64_t place = FrameLayout::kUnknown;
  for (size_t i = 0; i < kWords; i++) {
    if (!wanted(words[i])) continue;
    if (place != FrameLayout::kUnknown) return FrameLayout::kUnknown;
    place = i * sizeof(uintptr_t);
  }
  return place;
}

uint64_t place_of(const void* address, const uintptr_t* words) {
  return only_place(words, [&](uintptr_t word) { return word == reinterpret_cast<uintptr_t>(address); });
}

uint64_t place_of_code(const Sighting& seen) {
  return only_place(seen.frame, [&](uintptr_t word) { return (word & ~FrameLayout::kTags) == reinterpret_cast<uintptr_t>(seen.code); });
}

uint64_t place_of_instruction(const Sighting& seen) {
  return only_place(seen.frame, [&](uintptr_t word) {
    auto* instruction = reinterpret_cast<const char*>(word);
    return word == reinterpret_cast<uintptr_t>(first_instruction(seen.code, instruction)) + uintptr_t(seen.offset);
  });
}

uint64_t if_same(uint64_t a, uint64_t b) { return a == b ? a : FrameLayout::kUnknown; }

#if PY_VERSION_HEX < 0x030e0000
constexpr size_t kArguments = 3;   // of the two functions: the first of their values

uint64_t place_of_values(const uintptr_t* words, PyObject* arguments) {
  uint64_t place = FrameLayout::kUnknown;
  for (size_t i = 0; i < kWords; i++) {
    bool all = true;
    for (size_t j = 0; j < kArguments; j++) all = all && words[i + j] == reinterpret_cast<uintptr_t>(PyTuple_GET_ITEM(arguments, j));
    if (!all) continue;
    if (place != FrameLayout::kUnknown) return FrameLayout::kUnknown;
    place = i * sizeof(uintptr_t);
  }
  return place;
}

void learn_what_it_owns(const uintptr_t* inner_words, const uintptr_t* outer_words, PyObject* inner, PyObject* outer, PyObject* outer_locals) {
  PyObject* arguments = PyFunction_Check(outer) ? PyFunction_GetDefaults(outer) : nullptr;
  if (!arguments || PyTuple_GET_SIZE(arguments) != Py_ssize_t(kArguments)) return;
  learned.values = if_same(place_of_values(inner_words, arguments), place_of_values(outer_words, arguments));
  learned.function = if_same(place_of(inner, inner_words), place_of(outer, outer_words));
  learned.locals = place_of(outer_locals, outer_words);
}
#endif

// Called by the outer function, with what its locals() are, then by the inner one while the outer one waits for it, with both functions and those.
PyObject* note(PyObject*, [[maybe_unused]] PyObject* const* arguments, Py_ssize_t count) {
  if (!outer_frame) {
    outer_frame = innermost_frame_now();
    Py_RETURN_NONE;
  }
#if PY_VERSION_HEX < 0x030e0000
  if (count == 3) learn_what_it_owns(innermost_frame_now(), outer_frame, arguments[0], arguments[1], arguments[2]);
#endif
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  PyFrameObject* back = PyFrame_GetBack(frame);
  Sighting inner = look(frame, innermost_frame_now()), outer = look(back, outer_frame);
  learned.code = if_same(place_of_code(inner), place_of_code(outer));
  learned.instruction = if_same(place_of_instruction(inner), place_of_instruction(outer));
  learned.caller = place_of(outer.frame, inner.frame);
  Py_DECREF(back);
  Py_DECREF(frame);
  Py_RETURN_NONE;
}

}  // namespace

const FrameLayout& frame_layout() { return learned; }

FrameLayout learn_frame_layout() {
  static PyMethodDef method = {"note", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(note)), METH_FASTCALL, nullptr};
  PyObject* function = PyCFunction_New(&method, nullptr);
  PyObject* names = function ? Py_BuildValue("{s:N,s:O}", "note", function, "__builtins__", PyEval_GetBuiltins()) : nullptr;
  PyObject* done = names ? PyRun_String("def inner(a=1, b=2, c=3): note(inner, outer, kept[0])\n"   // names, so that kWords lie within the frame
                                        "def outer(a=1, b=2, c=3):\n note()\n kept.append(locals())\n inner()\n"
                                        "kept = []\n"
                                        "outer()\n", Py_file_input, names, names) : nullptr;
  if (!done) PyErr_Clear();
  Py_XDECREF(done);
  Py_XDECREF(names);
#if PY_VERSION_HEX < 0x030d0000
  learned.by_way_of = offsetof(PyThreadState, cframe);
  learned.innermost = offsetof(_PyCFrame, current_frame);
#else
  learned.innermost = offsetof(PyThreadState, current_frame);
#endif
  return learned;
}

}  // namespace gort::python
