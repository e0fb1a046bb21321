// Cycle: what one collection did, phase by phase. The collector keeps the last 256.
//
//   start     stop 1             mark              stop 2              sweep
//     |  wait | pause |  concurrent with mutators  | wait | pause |  concurrent  |
//
// Invariant: start <= stop1_begin <= mark_begin <= stop2_begin <= sweep_begin <= end; a pause contains its wait.
#pragma once

#include <cstdint>
#include <string>

#include "gort/base/clock.h"

namespace gort::gc {

enum class Reason : uint8_t { Heap, Forced, Periodic };
const char* reason_name(Reason reason);  // "heap", "forced", "periodic"

struct Cycle {
  uint64_t number = 0;  // 1, 2, ...
  Reason reason = Reason::Heap;
  int procs = 0;        // native Ps at the time

  // When (nanotime) each phase began. end is 0 while the cycle sweeps.
  Nanos start = 0;        // requested work began: the rest of the previous sweep
  Nanos stop1_begin = 0;  // "GC sweep termination"
  Nanos mark_begin = 0;
  Nanos stop2_begin = 0;  // "GC mark termination"; the last one, if late work made it start over
  Nanos sweep_begin = 0;
  Nanos end = 0;
  Nanos since_process_start = 0;  // of start, for the trace line

  // Of the two stops: until everybody stood; until everybody could go on (contains the former).
  Nanos stop1_wait = 0, stop1_pause = 0;
  Nanos stop2_wait = 0, stop2_pause = 0;
  uint32_t stop2_attempts = 0;
  Nanos mark_time() const { return stop2_begin - mark_begin; }
  Nanos sweep_time() const { return end == 0 ? 0 : end - sweep_begin; }

  // CPU time in marking: by mutators that had to help, by the worker.
  Nanos assist_time = 0, worker_time = 0;

  uint64_t heap_before = 0;  // bytes live or unswept when marking began
  uint64_t heap_peak = 0;    // the same when it ended
  uint64_t heap_after = 0;   // bytes marked
  uint64_t goal = 0;         // what heap_peak should not exceed
  uint64_t stack_bytes = 0;  // native stacks scanned
  uint64_t stacks = 0;
  uint64_t handles = 0;      // roots
  uint64_t objects_marked = 0;  // found by marking; objects born black are not among them
  uint64_t bytes_scanned = 0;
  uint64_t objects_freed = 0, bytes_freed = 0;  // by sweep, complete once end is set
  uint64_t spans_freed = 0;
  double cpu_fraction = 0;  // of the time since the process started on all Ps, spent in collecting; at the end of marking
};

// trace_line is Go's gctrace line for the cycle, without a newline:
//   gc 3 @0.051s 2%: 0.018+1.2+0.004 ms clock, 0.036+0.35/0.8/0+0.008 ms cpu, 4->5->2 MB, 5 MB goal, 0 MB stacks, 0 MB globals, 2 P
std::string trace_line(const Cycle& cycle);

}  // namespace gort::gc
