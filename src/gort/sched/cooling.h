// Cooling: a goroutine that has waited for Options::stack_idle gives back the memory of its stack below the stack pointer, which calls that have
// returned have touched. It finds zero pages there when it goes on. Once for each wait; what it keeps is the page with its stack pointer and those above.
// (Stacks of goroutines that have ended: Lane::cool_stacks.)
//
// Invariant: memory is given back only while nobody can begin to run the goroutine. Native lane: the world is stopped, by a goroutine of the
// system and in batches, 20 to 50 us each. Python lane: the GIL is held, by a machine in its loop. Both times a goroutine whose wait is open
// and that has left its CPU stays so. Goroutines that keep their thread are left alone: it waits on that stack.
//
// Cost: nothing where goroutines switch. sysmon looks at kLooked goroutines in each interval of stack_idle (5 to 100 ns each), so a million
// of them is seen through in 50 intervals. 0.4 to 1 us for each that waits for long, twice that if there was memory.
//
// Rejected: a word per goroutine that keeps others from running it meanwhile (a load in every switch; G::on_cpu cannot serve, as who has found it
// clear sets it without asking again); in the collector's scan of stacks, which owns each native goroutine for a moment anyway (not those of Python,
// and a program that allocates nothing scans nothing).
#pragma once

#include <vector>

#include "gort/sched/goroutine.h"

namespace gort::cooling {

inline constexpr size_t kLooked = 20'000;
inline constexpr size_t kBatch = 64;

// look starts what is to be done at this time. sysmon only. False: nobody is left who could have something to give back, until somebody runs again.
bool look(Nanos now);

// cool does it for at most kBatch goroutines of one lane, taken from the end of the list; those that do not wait any more are left alone. REQUIRES: the invariant.
void cool(Lane& lane, std::vector<G*>& waiting);

}  // namespace gort::cooling
