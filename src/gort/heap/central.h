// Central: all spans of one span class that no cache holds. Go's mcentral.
//
// Four lists: partial (some free slots) and full, each in two generations. The lists of the current generation hold swept spans, the others
// spans that the last cycle marked and nobody has swept yet. When marking ends the generation changes, which turns everything
// that was swept into unswept in one step; it can, because a cycle starts only when all is swept.
//
// Sweeping is lazy: a cache that needs a span sweeps until it finds one with free slots; the collector's background sweep does the rest.
// To take a span off an unswept list is to own its sweep; there is no other state.
//
// Thread safety: any thread; the lock (rank HeapCentral) guards the lists, their count and Span::place of the spans in them. Sweeping itself and
// the page heap run outside of it.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/spin_lock.h"
#include "gort/heap/span.h"

namespace gort::heap {

class Central {
 public:
  constexpr Central() = default;

  // acquire returns a swept span with at least one free slot, owned by the caller (place Cached), or null if there is no memory.
  Span* acquire(SpanClass sc);

  // release takes a swept span back. REQUIRES: the caller owns it and its alloc bits are exact.
  void release(Span* s);

  // sweep_one sweeps one unswept span. False if there was none.
  bool sweep_one();

  // Spans in the lists. REQUIRES: the world is stopped.
  int64_t count() const { return count_; }

  // Visits the spans of all lists with the place that their list stands for. REQUIRES: the world is stopped.
  template <class F>
  void for_each(F&& visit) {
    for (int generation = 0; generation < 2; generation++) {
      for (Span* s = partial_[generation].front(); s != nullptr; s = s->next) visit(*s, place(false, generation));
      for (Span* s = full_[generation].front(); s != nullptr; s = s->next) visit(*s, place(true, generation));
    }
  }

 private:
  static Span::Place place(bool full, uint32_t generation) {
    return Span::Place(uint32_t(full ? Span::Place::Full0 : Span::Place::Partial0) + generation);
  }
  Span* pop(SpanList& list);

  SpinLock lock_{LockRank::HeapCentral};
  SpanList partial_[2], full_[2];
  int64_t count_ = 0;
};

}  // namespace gort::heap
