#include "gort/heap/stats.h"

#include <bit>

#include "gort/heap/cache.h"
#include "gort/heap/handle.h"
#include "gort/heap/handle_table.h"
#include "gort/heap/heap.h"
#include "gort/heap/hooks.h"
#include "gort/sched/world.h"

namespace gort::heap {
namespace {

// REQUIRES: stopped world.
MemStats sum() {
  MemStats s;
  uint64_t mallocs[kNumSpanClasses], caches = 0, tiny = 0;
  for (size_t sc = 0; sc < kNumSpanClasses; sc++) mallocs[sc] = heap.mallocs[sc].load(std::memory_order_relaxed);
  for (Cache* c = heap.caches.load(std::memory_order_acquire); c != nullptr; c = c->next) {
    caches++;
    tiny += c->tiny_mallocs;
    for (size_t sc = 0; sc < kNumSpanClasses; sc++)
      if (c->bins[sc].span != nullptr) mallocs[sc] += Cache::allocated_since_refill(c->bins[sc]);
  }
  for (size_t sc = 0; sc < kNumSpanClasses; sc++) {
    size_t c = size_class_of(SpanClass(sc));
    uint64_t frees = heap.frees[sc].load(std::memory_order_relaxed);
    s.by_size[c].size = kClassSize[c];
    s.by_size[c].mallocs += mallocs[sc];
    s.by_size[c].frees += frees;
    s.mallocs += mallocs[sc];
    s.frees += frees;
    s.total_alloc += mallocs[sc] * kClassSize[c];
    s.alloc += (mallocs[sc] - frees) * kClassSize[c];
  }
  uint64_t large = heap.large_bytes_allocated.load(std::memory_order_relaxed);
  s.total_alloc += large;
  s.alloc += large - heap.large_bytes_freed.load(std::memory_order_relaxed);
  s.heap_alloc = s.alloc;
  s.heap_objects = s.mallocs - s.frees;
  s.mallocs += tiny;
  s.frees += tiny;

  PageHeap::Counts pages = heap.pages.counts();
  s.heap_sys = heap.pages.bytes_opened();
  s.heap_inuse = pages.pages_in_use * kPageSize;
  s.heap_idle = s.heap_sys - s.heap_inuse;
  s.mspan_inuse = pages.descriptor_bytes_in_use;
  s.mspan_sys = pages.descriptor_bytes;
  s.mcache_inuse = s.mcache_sys = caches * sizeof(Cache);
  s.gc_sys = pages.table_bytes;
  s.other_sys = handle_table_bytes();
  s.handles = handle_count();
  add_collector_stats(s);
  s.sys = s.heap_sys + s.mspan_sys + s.mcache_sys + s.gc_sys + s.other_sys;
  return s;
}

// What verify learns about a span in passing.
struct Seen {
  uint64_t spans = 0, live_bytes = 0, objects = 0;
};

std::string describe(const Span& s) {
  return "span of class " + std::to_string(size_class_of(s.sc)) + (s.noscan() ? " noscan" : "") + ": ";
}

std::string check_span(Span& s, Span::Place place, Seen& seen) {
  if (s.place != place) return describe(s) + "in a list that its place does not name";
  if (heap.pages.span_of(s.base) != &s || heap.pages.span_of(s.base + s.bytes() - 1) != &s) return describe(s) + "its pages do not map to it";
  uint32_t set = 0;
  bool any_mark = false;
  for (uint32_t w = 0; w < s.words(); w++) {
    if ((s.alloc_word(w) & ~s.valid(w)) != 0) return describe(s) + "alloc bits beyond its slots";
    set += uint32_t(std::popcount(s.alloc_word(w)));
  }
  for (uint32_t i = 0; i < s.nelems; i++) any_mark |= s.marked(i);
  if (place != Span::Place::Cached && set != s.allocated) return describe(s) + "allocated != set alloc bits";
  bool full = place == Span::Place::Full0 || place == Span::Place::Full1;
  bool partial = place == Span::Place::Partial0 || place == Span::Place::Partial1;
  if (full && s.allocated != s.nelems) return describe(s) + "free slots in a full list";
  if (partial && s.allocated == s.nelems) return describe(s) + "no free slot in a partial list";
  uint32_t generation = heap.generation.load(std::memory_order_relaxed) & 1;
  bool swept = place == Span::Place::Cached || place == Span::Place::Partial0 || place == Span::Place::Full0
                   ? place == Span::Place::Cached || generation == 0
                   : generation == 1;
  if (swept && any_mark && marking.load(std::memory_order_relaxed) == 0) return describe(s) + "a mark in a swept span";
  seen.spans++;
  seen.objects += set;
  seen.live_bytes += set * s.element_size;
  return "";
}

// REQUIRES: stopped world.
std::string check() {
  std::string broken;
  Seen seen;
  for (Cache* c = heap.caches.load(std::memory_order_acquire); c != nullptr; c = c->next) {
    c->sync();
    for (Bin& bin : c->bins)
      if (bin.span != nullptr && broken.empty()) broken = check_span(*bin.span, Span::Place::Cached, seen);
  }
  for (Central& central : heap.central)
    central.for_each([&](Span& s, Span::Place place) {
      if (broken.empty()) broken = check_span(s, place, seen);
    });
  if (!broken.empty()) return broken;
  uint64_t mapped = 0, loose = 0;
  heap.pages.for_each_span([&](Span& s) {
    mapped++;
    // A large object that is being zeroed by an allocator who stands still now.
    if (s.place == Span::Place::Cached && s.allocated == 0 && size_class_of(s.sc) == 0) loose++;
  });
  if (mapped != seen.spans + loose) return "a span is in no list and in no cache";
  if (const char* pages = heap.pages.verify()) return pages;

  MemStats s = sum();
  if (s.sys != s.heap_sys + s.mspan_sys + s.mcache_sys + s.gc_sys + s.other_sys) return "sys != sum of its parts";
  if (s.heap_sys != s.heap_inuse + s.heap_idle) return "heap_sys != heap_inuse + heap_idle";
  if (s.heap_released > s.heap_idle) return "heap_released > heap_idle";
  if (s.heap_objects != s.mallocs - s.frees) return "heap_objects != mallocs - frees";
  if (s.heap_objects != seen.objects) return "heap_objects != set alloc bits of all spans";
  if (s.heap_alloc != seen.live_bytes) return "heap_alloc != bytes of the slots of all objects";
  if (s.heap_alloc > s.heap_inuse) return "heap_alloc > heap_inuse";
  return "";
}

}  // namespace

MemStats read_stats() {
  world::stop("read mem stats");
  MemStats s = sum();
  world::start();
  return s;
}

std::string verify() {
  world::stop("verify heap");
  std::string broken = check();
  world::start();
  return broken;
}

}  // namespace gort::heap
