// The records of past cycles and their sums. Internal to gc/; the faces are gc::cycles() and gc::stats().
//
// Thread safety: written by the worker, read by anybody; one lock (rank Leaf).
#pragma once

#include <array>
#include <cstdint>

#include "gort/gc/collector.h"

namespace gort::gc::record {

// process_start is when the library was loaded (nanotime): where the trace line's seconds start.
Nanos process_start();

// begin adds the cycle; end_marking and end replace its record with what is known by then.
// end_marking also sets cycle.cpu_fraction.
void begin(const Cycle& cycle);
void end_marking(Cycle& cycle);
void end(const Cycle& cycle);

// totals fills what records know of the statistics.
Stats totals();

// after_fork_in_child makes the lock free again. REQUIRES: the only thread.
void after_fork_in_child();

// The rings of MemStats.
struct Pauses {
  std::array<uint64_t, 256> ns{}, end{};
  uint64_t last_gc = 0;  // ns since 1970
};
Pauses pauses();

}  // namespace gort::gc::record
