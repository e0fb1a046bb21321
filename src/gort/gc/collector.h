// The collector's face: start it, tune it, look at it. gc/collector.cpp tells how a cycle runs.
//
//   gort::gc::set_percent(50);
//   gort::gc::collect();
//   for (const gort::gc::Cycle& c : gort::gc::cycles()) puts(gort::gc::trace_line(c).c_str());
//
// Thread safety: every function may be called from any goroutine or thread, mutator or not, unless it says otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "gort/base/clock.h"
#include "gort/gc/cycle.h"

namespace gort::gc {

enum class Phase : uint8_t {
  Off,              // not marking; a sweep may be under way
  Mark,             // barrier on, objects are born black, workers and assists mark
  MarkTermination,  // inside the second stop
};
Phase phase();
const char* phase_name(Phase phase);  // "off", "mark", "mark termination"
// sweeping is true from the end of marking until every span is swept (phase() is Off then).
bool sweeping();

// collect runs a whole cycle, its sweep included, and returns when it has ended: what was unreachable at the call has been
// freed. Joins nothing: a cycle that is under way is waited for, then one more runs. Parks; wait reason: wait for GC cycle.
// Throws Interrupted, GoExit, Deadlock as park's outcomes say; the cycle runs on then.
// REQUIRES: outside world::MutatorScope unless on a native goroutine; no core lock held.
void collect();

// set_percent sets GOGC: the next cycle's goal is live * (1 + percent/100), at least 4 MiB * percent/100. Negative: no
// cycle starts by itself. Returns the former value; 100 at first.
int set_percent(int percent);
int percent();

// cycles returns the records of the last 256 cycles, oldest first. The last one may still be marking or sweeping: the
// times of phases it has not reached are 0.
std::vector<Cycle> cycles();

struct Stats {
  uint64_t num_gc = 0;         // cycles whose marking has ended
  uint64_t num_forced = 0;
  uint64_t heap_live = 0;      // bytes marked by the last cycle plus allocated since, in whole cached spans
  uint64_t heap_marked = 0;    // by the last cycle
  uint64_t goal = 0;           // of the next (or running) cycle
  uint64_t trigger = 0;        // heap_live at which the next one starts
  Nanos pause_total = 0;
  Nanos pause_max = 0;
  Nanos assist_total = 0;
  Nanos worker_total = 0;
  double cpu_fraction = 0;
};
Stats stats();

// on_clear_pools registers a hook that runs at the beginning of every cycle, on the collector's goroutine and with the world running: pools
// give up there what nobody has wanted for a cycle, and what that held can be freed by this one. At most 8 hooks. From now on there are periodic
// cycles (poll_periodic) also in a program that never uses the managed heap. A hook may take locks and run destructors; it must not wait for a
// collection.
void on_clear_pools(void (*hook)());

// poll_periodic starts a cycle if none has run for two minutes and the percentage is not negative. Sysmon calls it.
void poll_periodic(Nanos now);

// Around fork, on the forking thread: the world stands while the process is copied, so that the child finds no heap lock taken. In the
// child the heap is as it was; a cycle that was marking is given up, one that was sweeping is finished, objects that only
// the stacks of other threads held are garbage. REQUIRES: not on a native goroutine; nothing between the calls needs the GIL or
// any other lock that a thread at a safe point may hold; in the child, after the scheduler's own after_fork_in_child.
void before_fork();
void after_fork_in_parent();
void after_fork_in_child();

}  // namespace gort::gc
