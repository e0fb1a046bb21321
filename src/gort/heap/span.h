// Span: a run of pages cut into equal slots, or holding one large object. Go's mspan.
//
// Slot colours, of slot i while a cycle marks:
//   free     not allocated                             (see is_free)
//   white    allocated, marks[i] == 0                  not reached yet
//   grey     marks[i] == 1, and in a work buffer       reached, its pointers not yet looked at
//   black    marks[i] == 1, and in no work buffer      reached, and so is everything it points to
//
// Marks are bytes, not bits: a marker sets one with a plain store. Two markers may both find a slot white and both scan it; that is
// harmless and rare, and a locked instruction for every object, which also keeps the processor from overlapping the cache misses of
// neighbouring objects, costs more than all of it. Rejected: bits with fetch_or (Go's), for that reason.
//
// Invariants, with swept(s) meaning that s is in a swept list or cached:
//   allocated == number of set alloc bits                              unless cached: then the cache's bin knows better
//   swept(s) and no cycle marks:  every mark is 0
//   a cycle marks:                every span is swept; the free slots of cached spans are marked (so what they become is born black)
//   a descriptor's bits and marks lie behind it in memory; descriptors of one size are reused, never returned
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "gort/heap/size_classes.h"

namespace gort::heap {

class HeapType;

struct alignas(64) Span {
  // Which list of its central a span is in. The index says which of two generations: the lists of the current one are swept.
  enum class Place : uint8_t { None, Cached, Sweeping, Partial0, Partial1, Full0, Full1 };

  uintptr_t base = 0;
  uint32_t divide_magic = 0;  // 0 for a large object, which makes every index 0
  uint16_t nelems = 0;
  SpanClass sc = 0;
  Place place = Place::None;
  uint64_t element_size = 0;
  const HeapType* large_type = nullptr;  // of a large object with pointers: the type of its elements
  uint32_t npages = 0;
  uint16_t allocated = 0;
  bool need_zero = false;  // free slots may hold old bytes
  Span* next = nullptr;
  Span* prev = nullptr;

  bool noscan() const { return is_noscan(sc); }
  uint64_t bytes() const { return uint64_t(npages) * kPageSize; }
  uintptr_t limit() const { return base + uint64_t(nelems) * element_size; }

  // index_of an address inside the span. May be >= nelems for the unused tail.
  uint32_t index_of(uintptr_t p) const { return uint32_t((uint64_t(uint32_t(p - base)) * divide_magic) >> 32); }
  uintptr_t slot(uint32_t index) const { return base + index * element_size; }
  // Bytes between a slot's start and its object.
  uint32_t header() const { return !noscan() && large_type == nullptr && element_size > kMaxBitsSize ? kHeaderSize : 0; }

  uint32_t words() const { return (nelems + 63u) / 64; }
  uint8_t* marks() { return reinterpret_cast<uint8_t*>(this + 1); }  // at a fixed distance: markers compute it
  uint64_t* alloc_bits() { return reinterpret_cast<uint64_t*>(marks() + words() * 64); }
  // The bits of word w that stand for slots.
  uint64_t valid(uint32_t w) const {
    uint32_t rest = nelems - w * 64;
    return rest >= 64 ? ~uint64_t(0) : (uint64_t(1) << rest) - 1;
  }

  bool marked(uint32_t i) { return __atomic_load_n(&marks()[i], __ATOMIC_RELAXED) != 0; }
  void set_mark(uint32_t i) { __atomic_store_n(&marks()[i], uint8_t(1), __ATOMIC_RELAXED); }
  // Acquire and release: whoever sees a slot as allocated also sees that it was marked first, if it was born black.
  uint64_t alloc_word(uint32_t w) { return __atomic_load_n(&alloc_bits()[w], __ATOMIC_ACQUIRE); }
  void set_alloc_word(uint32_t w, uint64_t bits) { __atomic_store_n(&alloc_bits()[w], bits, __ATOMIC_RELEASE); }

  // is_free is true for slots that hold no object. While a cycle marks it may also be true for slots that were allocated
  // since; those are marked.
  bool is_free(uint32_t i) { return (alloc_word(i / 64) >> (i % 64) & 1) == 0; }

  // sweep makes the marks the new alloc bits, clears them and returns how many objects died. REQUIRES: the caller took the span
  // off an unswept list and nobody marks.
  uint32_t sweep();

  static constexpr size_t descriptor_bytes(uint32_t words) { return (64 + words * 72 + 63) / 64 * 64; }
};
static_assert(sizeof(Span) == 64);

// SpanList: intrusive, not synchronised.
class SpanList {
 public:
  bool empty() const { return head_ == nullptr; }
  Span* front() const { return head_; }
  void push(Span* s) {
    s->prev = nullptr;
    s->next = head_;
    if (head_ != nullptr) head_->prev = s;
    head_ = s;
  }
  void remove(Span* s) {
    (s->prev != nullptr ? s->prev->next : head_) = s->next;
    if (s->next != nullptr) s->next->prev = s->prev;
    s->next = s->prev = nullptr;
  }
  Span* pop() {
    Span* s = head_;
    if (s != nullptr) remove(s);
    return s;
  }

 private:
  Span* head_ = nullptr;
};

// The pointer bitmap of a page of small pointerful objects: bit i stands for the page's i-th word.
namespace bitmap {

inline uint64_t* of_page(uintptr_t p) {
  return reinterpret_cast<uint64_t*>((p & ~uintptr_t(kPageSize - 1)) + kPageSize - kSpanBitmapBytes);
}

// read returns the bits of the words [slot, slot + size), size <= 512.
inline uint64_t read(uintptr_t slot, size_t size) {
  uint64_t* bits = of_page(slot);
  size_t word = (slot & (kPageSize - 1)) / 8, at = word % 64, n = size / 8;
  uint64_t result = __atomic_load_n(&bits[word / 64], __ATOMIC_RELAXED) >> at;
  if (at + n > 64) result |= __atomic_load_n(&bits[word / 64 + 1], __ATOMIC_RELAXED) << (64 - at);
  return n == 64 ? result : result & ((uint64_t(1) << n) - 1);
}

// write sets them. Only the owner of the span writes, beside markers that read the bits of other slots.
inline void write(uintptr_t slot, size_t size, uint64_t pointers) {
  uint64_t* bits = of_page(slot);
  size_t word = (slot & (kPageSize - 1)) / 8, at = word % 64, n = size / 8;
  uint64_t all = n == 64 ? ~uint64_t(0) : (uint64_t(1) << n) - 1;
  uint64_t* first = &bits[word / 64];
  uint64_t was = __atomic_load_n(first, __ATOMIC_RELAXED), is = (was & ~(all << at)) | pointers << at;
  if (was != is) __atomic_store_n(first, is, __ATOMIC_RELAXED);
  if (at + n <= 64) return;
  was = __atomic_load_n(first + 1, __ATOMIC_RELAXED);
  is = (was & ~(all >> (64 - at))) | pointers >> (64 - at);
  if (was != is) __atomic_store_n(first + 1, is, __ATOMIC_RELAXED);
}

}  // namespace bitmap
}  // namespace gort::heap
