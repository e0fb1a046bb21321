#include "gort/heap/malloc.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <stdexcept>

#include "gort/heap/cache.h"
#include "gort/heap/heap.h"
#include "gort/heap/hooks.h"
#include "gort/sched/world.h"

namespace gort::heap {
namespace {

using Layout = HeapType::Layout;

// The one object of no bytes; outside the heap, so the collector ignores pointers to it.
alignas(16) char zero_base[16];

// How much of a large object is zeroed between two safe points.
constexpr size_t kZeroChunk = 256 << 10;

// What a small object needs besides a slot.
struct Small {
  Layout layout;  // NoScan, Bits or Header
  SpanClass sc;
  uint64_t pointers;      // of Bits
  const HeapType* type;   // of Header
};

// zero clears n bytes, a multiple of 8. Overlapping stores: no loop for the sizes that matter.
[[gnu::always_inline]] inline void zero(uintptr_t p, size_t n) {
  auto* at = reinterpret_cast<char*>(p);
  if (n <= 16) {
    std::memset(at, 0, 8);
    std::memset(at + n - 8, 0, 8);
  } else if (n <= 32) {
    std::memset(at, 0, 16);
    std::memset(at + n - 16, 0, 16);
  } else if (n <= 64) {
    std::memset(at, 0, 32);
    std::memset(at + n - 32, 0, 32);
  } else {
    std::memset(at, 0, n);
  }
}

// finish turns a slot into an object.
[[gnu::always_inline]] inline void* finish(const Small& small, const Bin& bin, uintptr_t slot) {
  if (bin.need_zero) zero(slot, bin.size);
  if (small.layout == Layout::Bits) {
    bitmap::write(slot, bin.size, small.pointers);
  } else if (small.layout == Layout::Header) {
    *reinterpret_cast<const HeapType**>(slot) = small.type;
    slot += kHeaderSize;
  }
  return reinterpret_cast<void*>(slot);
}

// with_slot calls use(cache, bin, slot) with a fresh slot of the class; the cache is owned during the call.
template <class F>
auto with_slot(SpanClass sc, F&& use) {
  auto from = [&](Cache& cache, bool refill) -> uintptr_t {
    uintptr_t slot = cache.take(cache.bins[sc]);
    if (slot != 0 || !refill) return slot;
    if (!cache.refill(sc)) throw std::bad_alloc();
    return cache.take(cache.bins[sc]);
  };
  for (bool refill : {false, true}) {
    if (refill) before_refill(kClassPages[size_class_of(sc)] * kPageSize);
    ProcessorPin pin;
    if (Cache* cache = local_cache(pin)) {
      if (uintptr_t slot = from(*cache, refill)) return use(*cache, cache->bins[sc], slot);
    } else {
      SharedCache shared;
      if (uintptr_t slot = from(*shared, refill)) return use(*shared, shared->bins[sc], slot);
    }
  }
  throw std::bad_alloc();  // not reached: a refill gives a slot or throws
}

[[gnu::noinline, gnu::cold]] void* allocate_small_slow(Small small) {
  return with_slot(small.sc, [&](Cache&, Bin& bin, uintptr_t slot) { return finish(small, bin, slot); });
}

// The common case: the P's cache has a slot. Null if not.
[[gnu::always_inline]] inline void* take_small(const Small& small) {
  ProcessorPin pin;
  ProcessorLocal* local = pin.local();
  if (local != nullptr && local->heap_cache != nullptr) [[likely]] {
    Bin& bin = static_cast<Cache*>(local->heap_cache)->bins[small.sc];
    if (bin.free != 0) [[likely]] {
      uint32_t i = uint32_t(std::countr_zero(bin.free));
      bin.free &= bin.free - 1;
      return finish(small, bin, bin.word_base + i * uint64_t(bin.size));
    }
  }
  return nullptr;
}

// REQUIRES: a safe point was passed.
[[gnu::always_inline]] inline void* allocate_small(const Small& small) {
  void* object = take_small(small);
  return object != nullptr ? object : allocate_small_slow(small);   // which may park: nothing is pinned any more
}

// Packs size < 16 bytes into the cache's tiny block; 0 if it does not fit.
inline uintptr_t take_tiny(Cache& cache, size_t size, size_t align) {
  size_t at = (cache.tiny_used + align - 1) & ~(align - 1);
  if (cache.tiny == 0 || at + size > kTinySize) return 0;
  cache.tiny_used = uint32_t(at + size);
  cache.tiny_mallocs++;
  return cache.tiny + at;
}

// alignment_of a tiny object: that of the widest field it can have, going by its size.
size_t alignment_of(size_t size) { return size % 8 == 0 ? 8 : size % 4 == 0 ? 4 : size % 2 == 0 ? 2 : 1; }

void* allocate_tiny(size_t size, size_t align) {
  {
    ProcessorPin pin;
    if (Cache* cache = local_cache(pin)) {
      if (uintptr_t p = take_tiny(*cache, size, align)) return reinterpret_cast<void*>(p);
    } else {
      SharedCache shared;
      if (uintptr_t p = take_tiny(*shared, size, align)) return reinterpret_cast<void*>(p);
    }
  }
  return with_slot(span_class(kTinyClass, true), [&](Cache& cache, Bin& bin, uintptr_t slot) {
    if (bin.need_zero) zero(slot, kTinySize);
    cache.tiny_mallocs++;
    // The block with more room left is the current one from now on.
    if (cache.tiny == 0 || size < cache.tiny_used) {
      cache.tiny = slot;
      cache.tiny_used = uint32_t(size);
    }
    return reinterpret_cast<void*>(slot);
  });
}

// bytes > 0; type is null for an object without pointers, else the type of its elements.
void* allocate_large(size_t bytes, const HeapType* type) {
  size_t npages = (bytes + kPageSize - 1) / kPageSize;
  before_refill(npages * kPageSize);
  if (ProcessorPin pin; local_cache(pin) == nullptr) SharedCache set_up_the_heap;
  SpanClass sc = span_class(0, type == nullptr);
  Span* s = heap.pages.allocate(npages, sc, npages * kPageSize, 1, type);
  if (s == nullptr) throw std::bad_alloc();
  if (s->need_zero) {
    // Nobody but us knows the span yet: not even a whole cycle in between would matter.
    for (size_t at = 0; at < s->bytes(); at += kZeroChunk) {
      world::safe_point();
      std::memset(reinterpret_cast<void*>(s->base + at), 0, std::min<size_t>(kZeroChunk, s->bytes() - at));
    }
  }
  // From here to the release there is no safe point.
  s->allocated = 1;
  heap.mallocs[sc].fetch_add(1, std::memory_order_relaxed);
  heap.large_bytes_allocated.fetch_add(s->bytes(), std::memory_order_relaxed);
  heap.live.fetch_add(int64_t(s->bytes()), std::memory_order_relaxed);
  if (marking.load(std::memory_order_relaxed) != 0) {
    s->set_mark(0);
    heap.born_black.fetch_add(int64_t(s->bytes()), std::memory_order_relaxed);
  }
  s->set_alloc_word(0, 1);
  void* object = reinterpret_cast<void*>(s->base);
  heap.central[sc].release(s);
  return object;
}

}  // namespace

void* allocate(const HeapType& type) {
  world::safe_point();
  switch (type.layout()) {
    case Layout::NoScan:
    case Layout::Bits:
    case Layout::Header:
      return allocate_small({type.layout(), type.span_class(), type.pointer_mask(), &type});
    case Layout::Tiny:
      return allocate_tiny(type.size(), alignment_of(type.size()));
    case Layout::Large:
      return allocate_large(type.size(), type.noscan() ? nullptr : &type);
    case Layout::Zero:
      break;
  }
  return zero_base;
}

void* allocate_array(const HeapType& element, size_t n) {
  world::safe_point();
  if (n == 0 || element.size() == 0) return zero_base;
  if (n > (PageHeap::kReserve - kPageSize) / element.size()) throw std::length_error("heap: an array larger than the address range");
  size_t bytes = n * element.size() + 1;  // the byte that one past the end points to
  if (element.noscan()) {
    if (bytes < kTinySize) return allocate_tiny(bytes, alignment_of(element.size()));
    if (bytes > kMaxSmallSize) return allocate_large(bytes, nullptr);
    return allocate_small({Layout::NoScan, span_class(size_class(bytes), true), 0, nullptr});
  }
  if (bytes <= kMaxBitsSize) {
    uint64_t pointers = 0;
    size_t words = element.size() / 8;
    for (size_t i = n; i-- > 0;) pointers = pointers << words | element.pointer_mask();
    return allocate_small({Layout::Bits, span_class(size_class(bytes), false), pointers, nullptr});
  }
  if (bytes > kMaxSmallSize) return allocate_large(bytes, &element);
  return allocate_small({Layout::Header, span_class(size_class(bytes + kHeaderSize), false), 0, &element});
}

void* object_base(const void* p) {
  Span* s = heap.pages.span_of(reinterpret_cast<uintptr_t>(p));
  if (s == nullptr) return nullptr;
  uint32_t i = s->index_of(reinterpret_cast<uintptr_t>(p));
  if (i >= s->nelems) return nullptr;
  return reinterpret_cast<void*>(s->slot(i) + s->header());
}

size_t usable_size(const void* object) {
  Span* s = heap.pages.span_of(reinterpret_cast<uintptr_t>(object));
  if (s == nullptr) return 0;
  uintptr_t at = reinterpret_cast<uintptr_t>(object);
  return s->slot(s->index_of(at)) + s->element_size - at;
}

}  // namespace gort::heap
