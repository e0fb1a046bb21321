// FrameLayout: where the interpreter keeps code, caller and position of a running Python function, for readers outside (layout.cpp), and what it owns, for
// the search for leaks.
//
// There is no public description of these frames before 3.14, and none that all versions share. So it is learned at import: two Python functions
// that call each other are looked at while they run, and the words of their frames are compared with what the public functions say about them
// (PyFrame_GetCode, PyFrame_GetLasti, the caller). A word counts only if it alone fits, in both frames. Else the layout is unknown
// and others see no Python stacks, only the functions that goroutines began with.
//
// From 3.14 on the word of the code object may be tagged (kTags), and without the GIL threads have copies of a function's instructions (first_instruction).
//
// Rejected: _Py_DebugOffsets at the beginning of _PyRuntime (3.13 and later only, laid out anew by each version); internal headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpython.h"

namespace gort::python {

struct FrameLayout {
  static constexpr uint64_t kUnknown = ~uint64_t(0);
  // Offsets. In a thread state: its innermost frame, on 3.11 and 3.12 by way of another struct.
  uint64_t by_way_of = kUnknown;
  uint64_t innermost = kUnknown;
  // In a frame: its code object but for kTags, the frame that called it, the address of its present instruction.
  uint64_t code = kUnknown, caller = kUnknown, instruction = kUnknown;
  // Up to 3.13: its function, the dict that locals() has made (unknown where none stays with the frame), the first of its values: variables, cells and
  // those of the closure (co_nlocalsplus in all), then the evaluation stack.
  uint64_t function = kUnknown, locals = kUnknown, values = kUnknown;

  static constexpr uintptr_t kTags = 7;

  bool known() const { return code != kUnknown && caller != kUnknown && instruction != kUnknown; }
};

// first_instruction gives the beginning of those instructions of the code that the given one is among.
inline const char* first_instruction(PyCodeObject* code, [[maybe_unused]] const char* instruction) {
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030e0000
  auto size = uintptr_t(Py_SIZE(code)) * sizeof(uint16_t);
  for (Py_ssize_t i = 0; code->co_tlbc && i < code->co_tlbc->size; i++) {
    const char* copy = code->co_tlbc->entries[i];
    if (copy && uintptr_t(instruction) - uintptr_t(copy) < size) return copy;
  }
#endif
  return code->co_code_adaptive;
}

// learn_frame_layout REQUIRES the GIL. Does not fail: what it cannot find out stays unknown.
FrameLayout learn_frame_layout();
const FrameLayout& frame_layout();   // what was learned

// for_each_frame calls visit(code, offset of the present instruction, address of the frame) for the frames of a state, innermost first, until it returns
// false. Makes no objects. Shows nothing if the layout is unknown. REQUIRES: the frames stay as they are meanwhile.
template <class F>
void for_each_frame(PyThreadState* state, F visit) {
  const FrameLayout& layout = frame_layout();
  if (!layout.known()) return;
  auto at = [](const char* base, uint64_t offset) { return *reinterpret_cast<const char* const*>(base + offset); };
  const char* holder = reinterpret_cast<const char*>(state);
  if (layout.by_way_of != FrameLayout::kUnknown) holder = at(holder, layout.by_way_of);
  for (const char* frame = at(holder, layout.innermost); frame; frame = at(frame, layout.caller)) {
    auto* object = reinterpret_cast<PyObject*>(uintptr_t(at(frame, layout.code)) & ~FrameLayout::kTags);
    if (!PyCode_Check(object)) continue;   // the evaluator's own
    auto* code = reinterpret_cast<PyCodeObject*>(object);
    const char* instruction = at(frame, layout.instruction);
    ptrdiff_t offset = instruction - first_instruction(code, instruction);
    if (offset < code->_co_firsttraceable * ptrdiff_t(sizeof(uint16_t))) continue;   // it has not begun
    if (!visit(code, int(offset), frame)) return;
  }
}

}  // namespace gort::python
