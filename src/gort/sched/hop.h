// Hop: a goroutine goes on in another lane, on its own stack, as the same goroutine.
//
//   const void* before = hop(native, nullptr);     // returns on a machine of the native lane, in parallel with Python
//   compute();
//   hop(python, before);                           // returns when it is its turn again, with the GIL
//
// It gives the CPU away in one lane and is made runnable in the other; whoever waits for it, claims its waits or ends them never
// notices. Authors of extensions use NativeScope and PythonScope (python/scope.h).
//
// Invariants
//  1. G::lane changes here and nowhere else, by the running goroutine, while no wait of it is open. So who has claimed a wait reads the
//     lane in which it must be readied.
//  2. It is queued in the new lane before it has left its stack; G::on_cpu makes that harmless, as for every ready (park.h, 4).
//  3. Its home does not change: there it is counted, pooled, and must end (its stack and lane_data belong there).
//  4. On a lane with hooks it is outside the mutators (world.h), and G::outside_from says which frames a collector looks at. It is
//     set before the way out begins and cleared after the way back has ended, so there is no instant at which nobody answers for them.
//
// A plain thread's goroutine cannot leave its thread: there the thread's machine changes its lane, with no switch at all. In the native
// lane it has no P and is no mutator; it runs beside GOMAXPROCS others as any plain thread does.
//
// Rejected: a second goroutine in the other lane for which the first waits. It costs as many switches, and what runs there would have
// other context variables, thread-locals and recursion limits than its caller, and another identity in dumps and requests. Also
// rejected: the machine of a fiber changes its lane, as a plain thread's does; its scheduler stack stands in the loop of the lane that
// it came from. Measured (3.13, two busy cores): 0.26 us a hop with 50 goroutines hopping, a thread's wake-up with one, 0.05 us on a
// plain thread.
#pragma once

namespace gort {

class Lane;

// hop moves the caller to the lane `to`; nothing if it is there. May park; is never ended by a deadline, Ctrl-C or the end of a run.
// outside_from, for a lane with hooks: the caller's frames from this address up keep their heap pointers meanwhile (registers spilled above
// it); what the way there returned restores the state before. Throws Fatal, with nothing changed, if it cannot
// leave its thread: it called lock_os_thread, or LaneHooks::slice_ended says so. Returns the former value of G::outside_from.
// REQUIRES: a goroutine whose home has hooks, or a plain thread's that does; not in a MutatorScope or BlockingScope; no core lock held.
const void* hop(Lane& to, const void* outside_from);

}  // namespace gort
