// FrameLayout: where the interpreter keeps code, caller and position of a running Python function, for readers outside (layout.cpp).
//
// There is no public description of these frames before 3.14, and none that all versions share. So it is learned at import: two Python functions
// that call each other are looked at while they run, and the words of their frames are compared with what the public functions say about them
// (PyFrame_GetCode, PyFrame_GetLasti, the caller). A word counts only if it alone fits, in both frames. Else the layout is unknown
// and others see no Python stacks, only the functions that goroutines began with.
//
// Rejected: _Py_DebugOffsets at the beginning of _PyRuntime (3.13 and later only, laid out anew by each version); internal headers.
#pragma once

#include <cstdint>

namespace gort::python {

struct FrameLayout {
  static constexpr uint64_t kUnknown = ~uint64_t(0);
  // Offsets. In a thread state: its innermost frame, on 3.11 and 3.12 by way of another struct.
  uint64_t by_way_of = kUnknown;
  uint64_t innermost = kUnknown;
  // In a frame: its code object, the frame that called it, the address of its present instruction.
  uint64_t code = kUnknown, caller = kUnknown, instruction = kUnknown;

  bool known() const { return code != kUnknown && caller != kUnknown && instruction != kUnknown; }
};

// learn_frame_layout REQUIRES the GIL. Does not fail: what it cannot find out stays unknown.
FrameLayout learn_frame_layout();

}  // namespace gort::python
