// What the heap asks of its collector. Declared here, defined in gc/: so heap/ does not depend on gc/.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::heap {

// before_refill is called by an allocation that is about to take `bytes` of fresh slots, before it looks at any cache. It starts a cycle
// when the heap has reached its trigger, and makes the caller help with marking when it is in debt.
// A safe point; may yield when the caller runs on a P, so caches must be looked up again. No lock is held.
void before_refill(size_t bytes);

// add_collector_stats fills the fields of stats that only the collector knows (goal, pauses, counts) and adds its memory to gc_sys.
struct MemStats;
void add_collector_stats(MemStats& stats);

}  // namespace gort::heap
