#include "gort/heap/pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace gort::heap {
namespace {

constexpr size_t kChunkBytes = PageHeap::kChunkPages * kPageSize;
constexpr size_t kDescriptorBlock = 64 << 10;

void* map_tables(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

bool PageHeap::reserve(size_t bytes) {
  for (; bytes >= (size_t(64) << 20); bytes /= 2) {
    // One chunk more, to align the base to a chunk.
    void* memory = mmap(nullptr, bytes + kChunkBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) continue;
    uintptr_t at = reinterpret_cast<uintptr_t>(memory);
    base_ = (at + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
    if (base_ > at) munmap(memory, base_ - at);
    if (at + kChunkBytes > base_) munmap(reinterpret_cast<void*>(base_ + bytes), at + kChunkBytes - base_);
    reserved_ = bytes;
    size_t pages = bytes / kPageSize, chunks = bytes / kChunkBytes;
    map_ = static_cast<std::atomic<uint64_t>*>(map_tables(pages * sizeof(PageEntry)));
    used_ = static_cast<uint64_t*>(map_tables(pages / 8));
    summaries_ = static_cast<Summary*>(map_tables(chunks * sizeof(Summary)));
    return map_ != nullptr && used_ != nullptr && summaries_ != nullptr;
  }
  return false;
}

PageHeap::~PageHeap() {
  if (reserved_ == 0) return;
  munmap(reinterpret_cast<void*>(base_), reserved_);
  size_t pages = reserved_ / kPageSize, chunks = reserved_ / kChunkBytes;
  munmap(static_cast<void*>(map_), pages * sizeof(PageEntry));
  munmap(used_, pages / 8);
  munmap(summaries_, chunks * sizeof(Summary));
}

Span* PageHeap::allocate(size_t npages, SpanClass sc, size_t element_size, uint32_t nelems, const HeapType* large_type) {
  lock_.lock();
  size_t page = npages <= reserved_ / kPageSize ? find(npages) : kNone;
  if (page == kNone && npages <= reserved_ / kPageSize && grow(npages)) page = find(npages);
  uint32_t words = (nelems + 63) / 64;
  Span* s = page == kNone ? nullptr : new_descriptor(words);
  if (s == nullptr) {
    lock_.unlock();
    return nullptr;
  }
  set_used(page, npages, true);
  bool need_zero = page < fresh_;
  fresh_ = std::max(fresh_, page + npages);
  pages_in_use_ += npages;
  lock_.unlock();

  s = ::new (s) Span;
  s->base = base_ + page * kPageSize;
  s->divide_magic = divide_magic(size_class_of(sc));
  s->nelems = uint16_t(nelems);
  s->sc = sc;
  s->place = Span::Place::Cached;
  s->element_size = element_size;
  s->large_type = large_type;
  s->npages = uint32_t(npages);
  s->need_zero = need_zero;
  std::memset(s->marks(), 0, words * 72);
  // Publishes the descriptor to markers.
  for (size_t i = 0; i < npages; i++) map_[page + i].store(PageEntry::make(s, i).bits, std::memory_order_release);
  return s;
}

void PageHeap::free(Span* s) {
  size_t page = (s->base - base_) >> kPageShift, npages = s->npages;
  uint32_t words = s->words();
  for (size_t i = 0; i < npages; i++) map_[page + i].store(0, std::memory_order_relaxed);
  s->place = Span::Place::None;
  lock_.lock();
  set_used(page, npages, false);
  pages_in_use_ -= npages;
  descriptor_bytes_in_use_ -= Span::descriptor_bytes(words);
  s->next = free_descriptors_[words];
  free_descriptors_[words] = s;
  lock_.unlock();
}

Span* PageHeap::new_descriptor(uint32_t words) {
  size_t bytes = Span::descriptor_bytes(words);
  Span* s = free_descriptors_[words];
  if (s != nullptr) {
    free_descriptors_[words] = s->next;
  } else {
    if (descriptor_left_ < bytes) {
      void* block = map_tables(kDescriptorBlock);
      if (block == nullptr) return nullptr;
      descriptor_memory_ = static_cast<char*>(block);
      descriptor_left_ = kDescriptorBlock;
      descriptor_bytes_ += kDescriptorBlock;
    }
    s = reinterpret_cast<Span*>(descriptor_memory_);
    descriptor_memory_ += bytes;
    descriptor_left_ -= bytes;
  }
  descriptor_bytes_in_use_ += bytes;
  return s;
}

// find returns the first page of the lowest run of npages free ones.
size_t PageHeap::find(size_t npages) {
  size_t chunks = opened_.load(std::memory_order_relaxed) / kChunkBytes;
  while (first_free_chunk_ < chunks && summaries_[first_free_chunk_].longest == 0) first_free_chunk_++;
  size_t run = 0;  // free pages that end where the current chunk starts
  for (size_t c = first_free_chunk_; c < chunks; c++) {
    Summary s = summaries_[c];
    if (run + s.start >= npages) return c * kChunkPages - run;
    if (s.longest >= npages) {
      size_t length = 0;
      for (size_t page = c * kChunkPages, end = page + kChunkPages; page < end;) {
        size_t rest = 64 - page % 64;
        size_t free = std::min<size_t>(size_t(std::countr_zero(used_[page / 64] >> (page % 64))), rest);
        length += free;
        page += free;
        if (length >= npages) return page - length;
        if (free == rest) continue;  // the run may go on in the next word
        length = 0;
        page += size_t(std::countr_one(used_[page / 64] >> (page % 64)));
      }
    }
    run = s.start == kChunkPages ? run + kChunkPages : s.end;
  }
  return kNone;
}

// grow opens chunks until the free pages at the end of the heap are npages.
bool PageHeap::grow(size_t npages) {
  size_t opened = opened_.load(std::memory_order_relaxed), tail = 0;
  for (size_t c = opened / kChunkBytes; c-- > 0;) {
    tail += summaries_[c].end;
    if (summaries_[c].end != kChunkPages) break;
  }
  size_t bytes = ((npages - tail) * kPageSize + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
  if (bytes > reserved_ - opened) return false;
  if (mprotect(reinterpret_cast<void*>(base_ + opened), bytes, PROT_READ | PROT_WRITE) != 0) return false;
  for (size_t c = opened / kChunkBytes; c < (opened + bytes) / kChunkBytes; c++)
    summaries_[c] = {uint16_t(kChunkPages), uint16_t(kChunkPages), uint16_t(kChunkPages)};
  opened_.store(opened + bytes, std::memory_order_release);
  return true;
}

void PageHeap::set_used(size_t page, size_t npages, bool used) {
  size_t end = page + npages;
  for (size_t at = page; at < end;) {
    size_t n = std::min<size_t>(64 - at % 64, end - at);
    uint64_t bits = (n == 64 ? ~uint64_t(0) : (uint64_t(1) << n) - 1) << (at % 64);
    used_[at / 64] = used ? used_[at / 64] | bits : used_[at / 64] & ~bits;
    at += n;
  }
  size_t first = page / kChunkPages, last = (end - 1) / kChunkPages;
  for (size_t c = first; c <= last; c++) {
    bool whole = page <= c * kChunkPages && end >= (c + 1) * kChunkPages;
    uint16_t n = used ? 0 : uint16_t(kChunkPages);
    summaries_[c] = whole ? Summary{n, n, n} : summarise(c);
  }
  if (!used) first_free_chunk_ = std::min(first_free_chunk_, first);
}

PageHeap::Summary PageHeap::summarise(size_t chunk) const {
  Summary s;
  size_t run = 0;
  bool at_start = true;
  for (size_t w = 0; w < kChunkPages / 64; w++) {
    uint64_t word = used_[chunk * (kChunkPages / 64) + w];
    if (word == 0) {
      run += 64;
      continue;
    }
    for (size_t left = 64; left > 0;) {
      size_t zeros = word == 0 ? left : size_t(std::countr_zero(word));
      run += zeros;
      left -= zeros;
      if (left == 0) break;
      if (at_start) s.start = uint16_t(run), at_start = false;
      s.longest = std::max(s.longest, uint16_t(run));
      run = 0;
      word >>= zeros;
      size_t ones = std::min<size_t>(size_t(std::countr_one(word)), left);
      left -= ones;
      word = ones == 64 ? 0 : word >> ones;
    }
  }
  if (at_start) s.start = uint16_t(run);
  s.longest = std::max(s.longest, uint16_t(run));
  s.end = uint16_t(run);
  return s;
}

PageHeap::Counts PageHeap::counts() {
  lock_.lock();
  uint64_t pages = opened_.load(std::memory_order_relaxed) / kPageSize;
  Counts c{pages_in_use_, descriptor_bytes_in_use_, descriptor_bytes_, pages * 8 + pages / 8 + pages / kChunkPages * sizeof(Summary)};
  lock_.unlock();
  return c;
}

const char* PageHeap::verify() {
  size_t chunks = opened_ / kChunkBytes, in_use = 0;
  for (size_t c = 0; c < chunks; c++) {
    Summary is = summaries_[c], want = summarise(c);
    if (is.start != want.start || is.longest != want.longest || is.end != want.end) return "a chunk's summary differs from its bitmap";
    if (c < first_free_chunk_ && is.longest != 0) return "a chunk below the first free one has free pages";
  }
  for (size_t page = 0; page < chunks * kChunkPages; page++) {
    bool used = (used_[page / 64] >> (page % 64) & 1) != 0;
    PageEntry entry{map_[page].load(std::memory_order_relaxed)};
    Span* s = entry.span();
    if (used != (s != nullptr)) return "the bitmap and the page map disagree about a page";
    if (used && page >= fresh_) return "a page in use counts as never used";
    if (s == nullptr) continue;
    in_use++;
    size_t first = (s->base - base_) >> kPageShift;
    if (page < first || page >= first + s->npages) return "a page maps to a span that does not contain it";
    if (entry.sc() != s->sc) return "a page's entry names another class than its span";
  }
  return in_use == pages_in_use_ ? nullptr : "pages in spans + free pages != pages of the heap";
}

}  // namespace gort::heap
