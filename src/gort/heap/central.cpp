#include "gort/heap/central.h"

#include <cstring>

#include "gort/heap/heap.h"

namespace gort::heap {

constinit NeverDestroyed the_heap;
std::atomic<uint32_t> marking{0};

namespace {
// Full spans to sweep in the hope of a free slot before asking for pages: it bounds what one allocation pays.
constexpr int kSweepTries = 100;
}  // namespace

uint32_t sweep_span(Span* s) {
  uint32_t freed = s->sweep();
  uint64_t bytes = freed * s->element_size;
  heap.frees[s->sc].fetch_add(freed, std::memory_order_relaxed);
  if (size_class_of(s->sc) == 0) heap.large_bytes_freed.fetch_add(bytes, std::memory_order_relaxed);
  heap.swept_objects.fetch_add(freed, std::memory_order_relaxed);
  heap.swept_bytes.fetch_add(bytes, std::memory_order_relaxed);
  heap.unswept.fetch_sub(1, std::memory_order_acq_rel);
  return s->allocated;
}

Span* Central::pop(SpanList& list) {
  lock_.lock();
  Span* s = list.pop();
  if (s != nullptr) s->place = Span::Place::Sweeping, count_--;
  lock_.unlock();
  return s;
}

Span* Central::acquire(SpanClass sc) {
  uint32_t swept = heap.generation.load(std::memory_order_relaxed) & 1, unswept = swept ^ 1;
  Span* s = pop(partial_[swept]);
  if (s == nullptr && heap.unswept.load(std::memory_order_relaxed) > 0) {
    s = pop(partial_[unswept]);
    if (s != nullptr) sweep_span(s);
    for (int i = 0; s == nullptr && i < kSweepTries; i++) {
      s = pop(full_[unswept]);
      if (s == nullptr) break;
      if (sweep_span(s) == s->nelems) {
        release(s);
        s = nullptr;
      }
    }
  }
  if (s == nullptr) {
    size_t c = size_class_of(sc);
    s = heap.pages.allocate(kClassPages[c], sc, kClassSize[c], objects_per_span(sc), nullptr);
    if (s == nullptr) return nullptr;
  }
  s->place = Span::Place::Cached;
  if (s->need_zero && s->allocated == 0 && s->npages == 1) {
    // One long run is zeroed faster than its slots one by one. The bitmap stays: each slot's bits are written when it is taken,
    // and if they are what they were, which they mostly are, not even that.
    std::memset(reinterpret_cast<void*>(s->base), 0, s->limit() - s->base);
    s->need_zero = false;
  }
  return s;
}

void Central::release(Span* s) {
  uint32_t generation = heap.generation.load(std::memory_order_relaxed) & 1;
  bool full = s->allocated == s->nelems;
  lock_.lock();
  s->place = place(full, generation);
  (full ? full_ : partial_)[generation].push(s);
  count_++;
  lock_.unlock();
}

bool Central::sweep_one() {
  uint32_t unswept = (heap.generation.load(std::memory_order_relaxed) & 1) ^ 1;
  Span* s = nullptr;
  lock_.lock();
  for (SpanList* list : {&partial_[unswept], &full_[unswept]})
    if (s == nullptr) s = list->pop();
  if (s != nullptr) s->place = Span::Place::Sweeping, count_--;
  lock_.unlock();
  if (s == nullptr) return false;
  if (sweep_span(s) == 0) {
    heap.pages.free(s);
    heap.swept_spans.fetch_add(1, std::memory_order_relaxed);
  } else {
    release(s);
  }
  return true;
}

}  // namespace gort::heap
