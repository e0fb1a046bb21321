// MemStats: the heap in numbers, by Go's names. And verify, which checks that they add up.
//
// Equations that hold in every MemStats:
//   sys          == heap_sys + mspan_sys + mcache_sys + gc_sys + other_sys
//   heap_sys     == heap_inuse + heap_idle
//   heap_released <= heap_idle
//   heap_objects == mallocs - frees
//   heap_alloc   == alloc == sum over live and not yet swept objects of their slot's bytes <= heap_inuse
// A tiny object counts as a malloc, and as a free when its cycle ends (its block is an object of its own).
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "gort/heap/size_classes.h"

namespace gort::heap {

struct MemStats {
  struct Class {
    uint32_t size = 0;  // bytes of a slot; 0: large objects
    uint64_t mallocs = 0;
    uint64_t frees = 0;
  };

  uint64_t alloc = 0;        // bytes of objects that are live or not yet swept
  uint64_t total_alloc = 0;  // bytes ever allocated
  uint64_t sys = 0;          // bytes obtained from the system
  uint64_t mallocs = 0;
  uint64_t frees = 0;
  uint64_t heap_alloc = 0;
  uint64_t heap_sys = 0;
  uint64_t heap_idle = 0;      // in free pages
  uint64_t heap_inuse = 0;     // in spans
  uint64_t heap_released = 0;  // of heap_idle, returned to the system
  uint64_t heap_objects = 0;
  uint64_t mspan_inuse = 0;  // span descriptors with their bits
  uint64_t mspan_sys = 0;
  uint64_t mcache_inuse = 0;
  uint64_t mcache_sys = 0;
  uint64_t gc_sys = 0;     // work buffers, page tables
  uint64_t other_sys = 0;  // the handle table
  uint64_t next_gc = 0;    // heap size goal of the next cycle
  uint64_t last_gc = 0;    // end of the last cycle, ns since 1970; 0: none yet
  uint64_t pause_total_ns = 0;
  std::array<uint64_t, 256> pause_ns{};   // ring, the newest at (num_gc + 255) % 256
  std::array<uint64_t, 256> pause_end{};  // ns since 1970
  uint32_t num_gc = 0;
  uint32_t num_forced_gc = 0;
  double gc_cpu_fraction = 0;
  bool enable_gc = true;  // always; a negative percentage only stops automatic cycles
  std::array<Class, kNumSizeClasses> by_size{};
  uint64_t handles = 0;  // not in Go: objects rooted by handles
};

// read_stats stops the world for the time of the sums. REQUIRES: no core lock held, world not stopped by the caller.
MemStats read_stats();

// verify stops the world and checks the invariants of the heap:
//   every span:    free slots + allocated == nelems;  allocated == bits set in its alloc bits;  each of its pages maps to it
//   every central: each span is in the list that its state names, and in no other
//   the pages:     pages in spans + free pages == pages of the heap;  bitmap and summaries agree
//   between cycles: no mark is set in a swept span
//   the equations of MemStats
// Returns the first broken one in words, or "".
std::string verify();

}  // namespace gort::heap
