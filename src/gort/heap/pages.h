// PageHeap: pages of 8 KiB for spans, from one reserved range of addresses. Go's mheap with its page allocator.
//
// The whole heap lies in one range, reserved once (64 GiB of address space, no memory) and opened in chunks of 4 MiB as it grows.
// So "is this word a pointer into the heap, and into which span?" is one subtraction, one compare and one load: map[(p - base) / 8 KiB].
// The load gives the span's class too (PageEntry). Rejected: Go's arenas with a two-level map, which need no reservation, but one more dependent load per word scanned.
//
// Free pages are found first fit, lowest address first, which keeps the heap dense at its low end. One bit a page says "in use"; each
// chunk (512 pages) has a summary: free pages at its start, at its end, and in its longest run. A search walks summaries from the first
// chunk that may have a free page; runs may cross chunks. Rejected: Go's five levels of summaries, which pay off beyond a
// terabyte; a full 64 GiB heap is 16,384 summaries of 8 bytes.
//
// Pages above fresh_ were never used, so they are zero.
//
// Thread safety: allocate and free take the lock (rank HeapPages); span_of takes none.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/spin_lock.h"
#include "gort/heap/span.h"

namespace gort::heap {

// PageEntry: what the map knows of a page, in one word, so that a marker finds the mark of an object without touching its span's
// descriptor: the descriptor's address (bits 6 to 47), the span class (48 to 55) and which page of its span it is (56 to 63; of
// large objects, whose every index is 0, it does not matter).
struct PageEntry {
  uint64_t bits = 0;

  static PageEntry make(Span* s, size_t page) {
    return {reinterpret_cast<uint64_t>(s) | uint64_t(s->sc) << 48 | uint64_t(page & 0xff) << 56};
  }
  explicit operator bool() const { return bits != 0; }
  Span* span() const { return reinterpret_cast<Span*>(bits & 0xffff'ffff'ffff); }
  SpanClass sc() const { return SpanClass(bits >> 48); }
  // offset of an address in the page from the start of the span.
  uint32_t offset(uintptr_t p) const { return uint32_t(bits >> 56 << kPageShift) + uint32_t(p & (kPageSize - 1)); }
};

class PageHeap {
 public:
  static constexpr size_t kChunkPages = 512;
  static constexpr size_t kReserve = size_t(64) << 30;

  constexpr PageHeap() = default;
  ~PageHeap();  // gives the range back; the process's own heap is never destroyed
  PageHeap(const PageHeap&) = delete;
  PageHeap& operator=(const PageHeap&) = delete;

  // reserve takes the range; if the system refuses that much, less: half, a quarter, ... at least 64 MiB. False if all failed.
  // REQUIRES: called once, before anything else.
  bool reserve(size_t bytes = kReserve);

  // allocate makes a span of npages. element_size and nelems describe its slots (one slot for a large object). Its alloc bits and
  // marks are 0, its place is Cached: the caller owns it. Null if there is no memory.
  Span* allocate(size_t npages, SpanClass sc, size_t element_size, uint32_t nelems, const HeapType* large_type);

  // free returns the pages and the descriptor. REQUIRES: the caller owns s; no cycle marks.
  void free(Span* s);

  // span_of returns the span that p lies in, or null. While no cycle marks, spans may vanish at any time unless the caller
  // knows p to be in a live object.
  Span* span_of(uintptr_t p) const { return entry_of(p).span(); }
  // entry_of is the same, with class and page.
  PageEntry entry_of(uintptr_t p) const {
    uintptr_t offset = p - base_;
    if (offset >= opened_.load(std::memory_order_relaxed)) return {};
    return {map_[offset >> kPageShift].load(std::memory_order_acquire)};
  }

  uint64_t bytes_opened() const { return opened_.load(std::memory_order_relaxed); }
  size_t reserved() const { return reserved_; }
  uintptr_t base() const { return base_; }

  struct Counts {
    uint64_t pages_in_use = 0;
    uint64_t descriptor_bytes_in_use = 0;
    uint64_t descriptor_bytes = 0;
    uint64_t table_bytes = 0;  // map, bitmap and summaries, as far as touched
  };
  Counts counts();

  // verify returns the first broken invariant of bitmap, summaries and map in words, or null. REQUIRES: no other user.
  const char* verify();

  // for_each_span visits every span. REQUIRES: no other user.
  template <class F>
  void for_each_span(F&& visit) {
    for (size_t page = 0; page < opened_ / kPageSize;) {
      Span* s = PageEntry{map_[page].load(std::memory_order_relaxed)}.span();
      if (s != nullptr) visit(*s);
      page += s != nullptr ? s->npages : 1;
    }
  }

 private:
  struct Summary {
    uint16_t start = 0, longest = 0, end = 0;  // free pages
  };

  static constexpr size_t kNone = SIZE_MAX;
  size_t find(size_t npages);
  bool grow(size_t npages);
  void set_used(size_t page, size_t npages, bool used);
  Summary summarise(size_t chunk) const;
  Span* new_descriptor(uint32_t words);

  uintptr_t base_ = 0;
  std::atomic<uintptr_t> opened_{0};  // bytes of the range that may be used
  std::atomic<uint64_t>* map_ = nullptr;  // one PageEntry a page
  size_t reserved_ = 0;

  SpinLock lock_{LockRank::HeapPages};  // guards everything below
  uint64_t* used_ = nullptr;            // one bit a page
  Summary* summaries_ = nullptr;        // one a chunk
  size_t first_free_chunk_ = 0;         // every chunk below is full
  size_t fresh_ = 0;                    // pages from here on were never used
  uint64_t pages_in_use_ = 0;
  Span* free_descriptors_[17] = {};     // by number of words
  char* descriptor_memory_ = nullptr;   // the rest of the newest block
  size_t descriptor_left_ = 0;
  uint64_t descriptor_bytes_ = 0, descriptor_bytes_in_use_ = 0;
};

}  // namespace gort::heap
