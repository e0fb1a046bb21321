// Parked frames: how CPython 3.14t's collector sees what goroutines that wait have on their stacks.
//
// There a function's variables and values need not be counted. A *deferred* reference is a tagged word in a frame, and the collector finds it by
// walking the frames of all thread states that the interpreter knows (Python/gc_free_threading.c, gc_visit_thread_stacks). Those of a goroutine that
// waits hang in a copy of its own (carry.h), which the interpreter does not know. But the collector does not walk the frames of a suspended generator
// either: it asks the generator, as any object that it tracks (tp_traverse). A goroutine that waits is just that, and one object, the Keeper, answers
// for all of them:
//
//   asked for its share of the counts     nothing. A deferred reference is counted nowhere; what is counted need not be told: it keeps itself alive
//   asked what it leads to                each deferred reference in the frames, and in the list of references on the C stack
//
// CPython tells the two questions apart by the address of a function that it does not export. The Keeper tells by the answer to a third: it holds
// itself, and says so first, which is true. Only counting takes that one from ob_tid, the header's field in which the collector computes.
//
// Invariants
//  1. It is asked only while the interpreter's threads stand. A goroutine is switched with the state attached (carry.h), so each one's frames are then in
//     its copy, which the Keeper shows, or in its machine's state, which the interpreter walks.
//  2. It is always reachable: a static reference holds it. Else it would be asked for what it must not show.
//  3. It is tracked and not frozen. gc.freeze() makes the collector ask nobody who exists by then; what waiting goroutines refer to is frozen likewise, but they
//     may go on. So a switch looks whether the Keeper is still as it was made, and makes another; the frozen one is kept, for gc.unfreeze().
//  4. When the interpreter ends nothing is shown: the collector then turns deferred references into counted ones, those in the copies it cannot, and
//     nobody runs these goroutines any more.
//
// Where a frame has what is said by _Py_DebugOffsets at the beginning of _PyRuntime, CPython's table for debuggers. It is believed only if frames that
// run are as it says, and the Keeper only if a collection asks as it should (learn).
//
// Rejected: a thread state of the interpreter's for each goroutine (54 KiB, 115 us, and a collection visits the heaps of each); one state more whose frames are
// all the waiting ones in a chain (f_back, sys._current_frames() and faulthandler would walk from one goroutine into the next); what is deferred made counted
// at each switch (as long as the stack is deep); the collector's callbacks (goroutines run between them and the collection).
//
// Nothing but 3.14t needs it: 3.13t has no deferred references in frames.
#pragma once

#include "python_lane.h"

namespace gort::python::parked_frames {

#if defined(GORT_WITHOUT_GIL) && PY_VERSION_HEX >= 0x030e0000

// learn prepares all, once, at import. Returns why it cannot be done, null if it can. Collects garbage. REQUIRES: an attached state.
const char* learn();

// show adds a goroutine's frame to those that the collector is told about, for good.
void show(Frame* frame);

// switched is called after each switch. Keeps a raised exception.
void renew();
extern std::atomic<PyObject*> keeper;
extern uint8_t keeper_bits;
inline void switched() {
  if (keeper.load(std::memory_order_relaxed)->ob_gc_bits != keeper_bits) [[unlikely]] renew();
}

#else

inline const char* learn() { return nullptr; }
inline void show(Frame*) {}
inline void switched() {}

#endif

}  // namespace gort::python::parked_frames
