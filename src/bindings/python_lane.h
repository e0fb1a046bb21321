// The Python lane: Python functions on fibers that migrate between OS threads, one PyThreadState per goroutine.
//
// This file and python_lane.cpp alone know thread states. The rules (python side of sched/lane.h):
//  1. The stack is switched first, the thread state second, on the new stack: PyThreadState_Swap releases the GIL for a moment on
//     3.12 and later, and by then the old goroutine must be completely saved.
//  2. A machine leaves a goroutine through the thread state of its own thread (its scheduler stack) before it releases the GIL,
//     so a goroutine's state is never the one that waits for the GIL on behalf of the scheduler.
//  3. A plain thread's goroutine keeps the thread's own state.
//  4. No core lock is held where the GIL may be released.
// There is one place where a state is exchanged (PythonLane::switched), and one way to do it (state_swap.h). Without the GIL goroutines have no state
// of their own (carry.h), and the same place exchanges what they have instead.
#pragma once

#include <atomic>

#include "carry.h"
#include "cpython.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "guests.h"
#include "without_gil.h"

namespace gort::python {

struct GoroutineObject;

// Who sends on the coroutine that a goroutine runs (coroutines.h): its entry function, with nothing else on the stack, or somebody further up.
enum class Driver : uint8_t { None, Entry, Nested };

// What a G of the Python lane carries: pooled with the G.
struct Frame {
  std::atomic<PyThreadState*> state{nullptr};   // where its Python state is; without the GIL it moves between a machine's and `parked`
  GoroutineObject* object = nullptr;    // owned while the goroutine lives
  CodeRecord* record = nullptr;         // of its function; may be null
  bool spoiled = false;                 // the state cannot be used again
  Driver driver = Driver::None;
  std::atomic<bool> told{false};        // to end, by a wait: GoExit is raised once in a goroutine
#ifdef GORT_WITHOUT_GIL
  PyThreadState parked{};
  Hidden hidden;                        // while it waits
  Frame* shown_before = nullptr;        // see parked_frames.h
  std::atomic<uintptr_t> thread{0};     // CPython's number of the thread that the goroutine lives on
  std::atomic<uint64_t> asked{0};       // to yield: the goroutine's id, while a bell is on its way (hogs.h)
  guests::Calls calls;                  // of pybind11's, while it waits inside them
#endif
};
inline Frame* frame_of(G* g) { return static_cast<Frame*>(g->lane_data); }

// A function counts as one that does not block once so many of its time slices went by on pool machines without
// being seen in foreign code; then waiting plain threads may run it themselves (api.md section 7, lending).
inline constexpr uint32_t kTrustedSlices = 64;

// Creates the lane. Starts no thread. False with an exception set on failure.
bool create_lane();
Lane& lane();

// why_public_swap says why goroutines are switched with PyThreadState_Swap (state_swap.h), "" if they are not.
const char* why_public_swap();
void use_public_swap();   // from now on; at import

// The calling thread's machine; a plain thread becomes a goroutine here. Null with RuntimeError set on a native goroutine.
M* machine();

// machine_to_wait is machine() for an operation that may wait. Null with FatalError set where nothing can: in a signal handler while its thread's
// goroutine waits, in an audit hook (park.h, current_to_wait).
M* machine_to_wait();

// operation is machine() at the beginning of an operation on a primitive: in an explored run others may run first, and a stop is
// waited for. Core calls that pass a safe point themselves (send, recv, lock) need only machine(). Parks: never under pybind11's dispatch.
inline M* operation() {
  world::safe_point();
  return machine();
}

// The calling goroutine. REQUIRES: machine() succeeded in this call.
inline G* self() { return machine()->current; }

// prepare_frame gives g a thread state, if it has a stack. False with an exception set on failure.
bool prepare_frame(G* g);

// raise_outcome sets the Python exception for a wait that did not end with Fired, and returns null.
// Interrupted: the exception of the signal handler that is already set, or KeyboardInterrupt.
PyObject* raise_outcome(Outcome outcome);

// A signal's handler has raised its exception while goroutine 1 waited, and nobody has taken it over yet. A look at it costs every operation less than
// PyErr_Occurred (two calls, 7 ns).
extern std::atomic<bool> signal_raised;

// keep_interrupt puts back a signal's exception that came while the caller's wait ended well (the value is returned, the interrupt stays pending), if
// there is one.
void keep_interrupt();

// Wraps the result of a wait that ended with Fired.
inline void after_wait() {
  if (signal_raised.load(std::memory_order_relaxed)) [[unlikely]] keep_interrupt();
}

// While a run() is on: SIGINT reaches goroutine 1's wait wherever the main thread is (python_lane.cpp).
void watch_interrupts(M* main_machine);
void unwatch_interrupts();

// after_fork_in_child leaves the forking goroutine alone in the runtime (sched/fork.cpp).
void after_fork_in_child();

// raise_in raises an exception in a goroutine that has started, at its next bytecode; not if g has become another one than `of`'s meanwhile (null: a plain
// thread cannot), nor if a wait of its own has raised GoExit in it meanwhile. The caller's state is attached.
void raise_in(G* g, const GoroutineObject* of, PyObject* exception);

// Whether the state still exists: a plain thread's is deleted by CPython, and we are not told. O(number of states). GIL held, or while all stand.
bool is_alive(PyThreadState* state);

// innermost_frame gives a new reference to the innermost frame of a goroutine, or null. GIL held, or the caller's own.
PyFrameObject* innermost_frame(G* g);

// close_lane is called at exit, before the interpreter begins to end: no machine gets a thread state from now on. Lets go of the GIL.
void close_lane();

// resize_lane gives the Python lane the native lane's number of Ps, or one if goroutines take turns there: with the GIL, or in a seeded run.
void resize_lane(bool in_turn);

}  // namespace gort::python
