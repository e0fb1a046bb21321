// The write barrier: how a pointer gets into a heap object.
//
// A hybrid of Yuasa's deletion and Dijkstra's insertion barrier, Go's since 1.8: while a cycle marks,
//
//   store_pointer(slot, value):  shade(*slot); shade(value); *slot = value
//
// Why both: deletion keeps everything that was reachable when marking began (nobody can hide the last pointer to an object on a stack
// that has been scanned already); insertion lets a stack be scanned once and never again, even if it was still unscanned when
// its goroutine published a pointer. At this stage no goroutine runs unscanned code after the first stop (a parked one
// is scanned before it resumes), so deletion alone would do; the second half is what stopping goroutines one by one will need.
//
// Invariant: [read marking, shade, store] does not straddle a phase change. Phases change only while the world is stopped, and a
// mutator stops at safe points, of which there is none between the load and the store, or by a signal, which refuses in libgort's
// code (sched/stop_signal.h): so store_pointer is never inlined into anybody else's. Off, a store costs a call and a predictable branch.
#pragma once

#include <atomic>
#include <cstdint>

namespace gort::heap {

// 1 while a cycle marks (barrier on, objects born black). Written by the collector in a stopped world.
extern std::atomic<uint32_t> marking;

// load_pointer reads a pointer field that others may be writing.
inline void* load_pointer(void* const* slot) { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }

// store_pointer writes a pointer field. REQUIRES: mutator; slot lies in a heap object; value is null, or points to or into one.
void store_pointer(void** slot, void* value);

}  // namespace gort::heap
