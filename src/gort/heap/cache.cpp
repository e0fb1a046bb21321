#include "gort/heap/cache.h"

#include <new>

namespace gort::heap {
namespace {

SpinLock setup_lock{LockRank::HeapCache};
SpinLock shared_lock{LockRank::HeapCache};
Cache* shared = nullptr;  // guarded by shared_lock
bool reserved = false;    // guarded by setup_lock

Cache* new_cache() {
  setup_lock.lock();
  bool ok = reserved || (reserved = heap.pages.reserve());
  setup_lock.unlock();
  if (!ok) throw std::bad_alloc();
  Cache* cache = new Cache;
  cache->next = heap.caches.load(std::memory_order_relaxed);
  while (!heap.caches.compare_exchange_weak(cache->next, cache, std::memory_order_release)) {
  }
  return cache;
}

}  // namespace

Cache* local_cache(const ProcessorPin& pin) {
  ProcessorLocal* local = pin.local();
  if (local == nullptr) return nullptr;
  if (local->heap_cache == nullptr) [[unlikely]] local->heap_cache = new_cache();
  return static_cast<Cache*>(local->heap_cache);
}

SharedCache::SharedCache() {
  shared_lock.lock();
  if (shared == nullptr) {
    shared_lock.unlock();
    Cache* made = new_cache();
    shared_lock.lock();
    if (shared == nullptr) shared = made;  // else: one unused cache for good, once
  }
  cache_ = shared;
}

SharedCache::~SharedCache() { shared_lock.unlock(); }

bool Cache::next_word(Bin& bin) {
  Span* s = bin.span;
  if (s == nullptr) return false;
  uint32_t words = s->words();
  while (bin.word < words) {
    s->set_alloc_word(bin.word, s->valid(bin.word));
    bin.word++;
    bin.word_base += uint64_t(64) * bin.size;
    if (bin.word == words) break;
    bin.free = ~s->alloc_word(bin.word) & s->valid(bin.word);
    if (bin.free != 0) return true;
  }
  return false;
}

bool Cache::refill(SpanClass sc) {
  Bin& bin = bins[sc];
  if (bin.span != nullptr) release(sc);
  Span* s = heap.central[sc].acquire(sc);
  if (s == nullptr) return false;
  bin.span = s;
  bin.size = uint32_t(s->element_size);
  bin.need_zero = s->need_zero;
  bin.word = 0;
  bin.word_base = s->base;
  int64_t bytes = int64_t(s->nelems - s->allocated) * int64_t(s->element_size);
  heap.live.fetch_add(bytes, std::memory_order_relaxed);
  bin.free = ~s->alloc_word(0) & s->valid(0);
  if (marking.load(std::memory_order_relaxed) != 0) blacken_free_slots(bin);
  if (bin.free == 0) next_word(bin);
  return true;
}

uint32_t Cache::allocated_since_refill(const Bin& bin) {
  Span* s = bin.span;
  uint32_t free = uint32_t(std::popcount(bin.free));
  for (uint32_t w = bin.word + 1u; w < s->words(); w++) free += uint32_t(std::popcount(~s->alloc_word(w) & s->valid(w)));
  return s->nelems - free - s->allocated;
}

void Cache::sync() {
  for (Bin& bin : bins)
    if (bin.span != nullptr && bin.word < bin.span->words())
      bin.span->set_alloc_word(bin.word, ~bin.free & bin.span->valid(bin.word));
}

// Marks the free slots, from the bin's word on.
void Cache::blacken_free_slots(Bin& bin) {
  Span* s = bin.span;
  uint32_t count = 0;
  for (uint32_t w = bin.word; w < s->words(); w++) {
    uint64_t free = w == bin.word ? bin.free : ~s->alloc_word(w) & s->valid(w);
    if (free == ~uint64_t(0)) {
      auto* eight = reinterpret_cast<uint64_t*>(s->marks() + w * 64);
      for (int i = 0; i < 8; i++) __atomic_store_n(&eight[i], 0x0101010101010101u, __ATOMIC_RELAXED);
      count += 64;
    } else {
      for (; free != 0; free &= free - 1, count++) s->set_mark(w * 64 + uint32_t(std::countr_zero(free)));
    }
  }
  heap.born_black.fetch_add(int64_t(count) * int64_t(s->element_size), std::memory_order_relaxed);
}

void Cache::begin_marking() {
  sync();
  assist_credit.store(0, std::memory_order_relaxed);
  for (Bin& bin : bins)
    if (bin.span != nullptr) blacken_free_slots(bin);
  if (tiny != 0) {
    // Slots to come lie in a block that may itself be unreachable now.
    Span* s = heap.pages.span_of(tiny);
    s->set_mark(s->index_of(tiny));
  }
}

void Cache::release(SpanClass sc) {
  Bin& bin = bins[sc];
  Span* s = bin.span;
  uint32_t words = s->words(), unused = 0;
  bool black = marking.load(std::memory_order_relaxed) != 0;
  if (bin.word < words) {
    s->set_alloc_word(bin.word, ~bin.free & s->valid(bin.word));
    for (uint32_t w = bin.word; w < words; w++) {
      uint64_t free = ~s->alloc_word(w) & s->valid(w);
      unused += uint32_t(std::popcount(free));
      if (!black) continue;
      for (; free != 0; free &= free - 1)
        __atomic_store_n(&s->marks()[w * 64 + uint32_t(std::countr_zero(free))], uint8_t(0), __ATOMIC_RELAXED);
    }
  }
  uint32_t allocated = s->nelems - unused;
  heap.mallocs[sc].fetch_add(allocated - s->allocated, std::memory_order_relaxed);
  s->allocated = uint16_t(allocated);
  int64_t bytes = int64_t(unused) * int64_t(s->element_size);
  if (bytes != 0) {
    heap.live.fetch_sub(bytes, std::memory_order_relaxed);
    if (black) heap.born_black.fetch_sub(bytes, std::memory_order_relaxed);
  }
  bin = Bin{};
  heap.central[sc].release(s);
}

void Cache::flush() {
  for (size_t sc = 0; sc < kNumSpanClasses; sc++)
    if (bins[sc].span != nullptr) release(SpanClass(sc));
  tiny = 0;
}

}  // namespace gort::heap
