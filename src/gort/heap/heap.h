// The one heap of the process: page heap, central lists, and the counters that the pacer and the statistics read.
// Internal to heap/ and gc/.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/heap/barrier.h"
#include "gort/heap/central.h"
#include "gort/heap/pages.h"
#include "gort/heap/size_classes.h"

namespace gort::heap {

struct Cache;

struct Heap {
  PageHeap pages;
  Central central[kNumSpanClasses];  // 0 and 1: large objects, one a span, always in a full list

  // The generation of the lists: its lowest bit says which of them are swept. Changed in a stopped world.
  std::atomic<uint32_t> generation{0};
  // Spans of the other generation that are not swept yet, those being swept included.
  std::atomic<int64_t> unswept{0};

  // Bytes live or unswept; a cached span counts in full. What the pacer compares with trigger.
  std::atomic<int64_t> live{0};
  std::atomic<int64_t> trigger{4 << 20};
  // While marking: bytes of the slots that were handed to caches marked.
  std::atomic<int64_t> born_black{0};

  // What caches have reported; the bins of cached spans know the rest.
  std::atomic<uint64_t> mallocs[kNumSpanClasses]{};
  std::atomic<uint64_t> frees[kNumSpanClasses]{};
  std::atomic<uint64_t> large_bytes_allocated{0}, large_bytes_freed{0};

  // Of the sweep under way, for the cycle's record.
  std::atomic<uint64_t> swept_objects{0}, swept_bytes{0}, swept_spans{0};

  // All caches ever made: pushed, never removed.
  std::atomic<Cache*> caches{nullptr};
};

// The destructor of a global would run while machines still allocate and mark: main returns, they go on until the process is gone.
union NeverDestroyed {
  Heap heap;
  constexpr NeverDestroyed() : heap() {}
  ~NeverDestroyed() {}
};
[[gnu::visibility("hidden")]] extern NeverDestroyed the_heap;
inline constexpr Heap& heap = the_heap.heap;

// sweep_span sweeps and counts. Returns how many objects are left alive. REQUIRES: as Span::sweep.
uint32_t sweep_span(Span* s);

}  // namespace gort::heap
