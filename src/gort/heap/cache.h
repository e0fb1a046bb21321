// Cache: the spans that one P allocates from without a lock. Go's mcache.
//
// A bin holds one span of its class and the free slots of one 64-slot word of it, as set bits: an allocation is a
// count-trailing-zeros, a clear of the lowest bit and a multiplication. What the fast path touches of a bin is one cache line.
//
// Invariants, for a bin with a span, w being its word:
//   slots of words below w are allocated, and so say the alloc bits
//   slots of word w are free exactly if set in `free`; the alloc bits of w are behind until the bin leaves w
//   slots of words above w are as the alloc bits say
//   a cycle marks: every free slot of the span is marked (born black), and heap.born_black counts the bytes handed out so
//
// Native Ps have one each (ProcessorLocal::heap_cache), used under a ProcessorPin without a lock. All threads without a P share
// one more, under its lock. Caches are never freed.
#pragma once

#include <cstdint>

#include "gort/base/spin_lock.h"
#include "gort/heap/heap.h"
#include "gort/sched/processor_local.h"

namespace gort::heap {

struct Bin {
  uint64_t free = 0;
  uintptr_t word_base = 0;  // address of the word's first slot
  uint32_t size = 0;        // of a slot
  uint16_t word = 0;
  bool need_zero = false;
  Span* span = nullptr;
};

struct Cache {
  Bin bins[kNumSpanClasses];

  // The tiny block: bytes [tiny_used, 16) are free. 0: none.
  uintptr_t tiny = 0;
  uint32_t tiny_used = 0;
  uint64_t tiny_mallocs = 0;

  // Marking work that this cache's users may still leave to others, in bytes scanned; negative: debt (gc/assist.cpp).
  std::atomic<int64_t> assist_credit{0};

  Cache* next = nullptr;  // in heap.caches

  // take returns a free slot of the class, not zeroed, or 0 if the bin has none in its span.
  uintptr_t take(Bin& bin) {
    if (bin.free == 0) [[unlikely]] {
      if (!next_word(bin)) return 0;
    }
    uint32_t i = uint32_t(std::countr_zero(bin.free));
    bin.free &= bin.free - 1;
    return bin.word_base + i * uint64_t(bin.size);
  }

  // refill gives the bin a span with a free slot. False if there is no memory. Not a safe point.
  bool refill(SpanClass sc);

  // sync brings the alloc bits of cached spans up to date. flush gives all spans back and drops the tiny block.
  // REQUIRES for both: the world is stopped, or the caller owns the cache.
  void sync();
  void flush();

  // begin_marking makes the free slots of cached spans and the tiny block black. REQUIRES: stopped world, marking set.
  void begin_marking();

  // Objects that were allocated from the bin's span while it was in the cache. REQUIRES: as sync.
  static uint32_t allocated_since_refill(const Bin& bin);

 private:
  bool next_word(Bin& bin);
  void release(SpanClass sc);
  void blacken_free_slots(Bin& bin);
};

// local_cache is the cache of the pinned P, made at need, or null: there is no P, and the caller takes SharedCache instead.
// Throws std::bad_alloc when the heap cannot be set up.
Cache* local_cache(const ProcessorPin& pin);

// SharedCache: the cache of threads without a P, locked (rank HeapCache) for the lifetime of this object.
// No safe point may happen inside.
class SharedCache {
 public:
  SharedCache();
  ~SharedCache();
  SharedCache(const SharedCache&) = delete;
  Cache* operator->() const { return cache_; }
  Cache& operator*() const { return *cache_; }

 private:
  Cache* cache_;
};

}  // namespace gort::heap
