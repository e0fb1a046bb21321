// Marker: finds what is reachable. Used by the worker, by assists, and for scanning stacks.
//
// The invariant of marking (tri-colour, with snapshot semantics): everything that was reachable when the first stop ended, and everything
// allocated since, is black at the end. It holds because every stack is scanned before its goroutine runs on,
// new objects are born black, and a pointer that is overwritten in an object or a handle is shaded first (heap/barrier.h).
// Inside this: a black object may point to a white one only if that one is reachable from a grey object or an unscanned stack too.
//
// Heap objects are scanned precisely by the pointer bitmap or their type; stacks word by word, where anything that looks
// like an address inside an allocated slot keeps the object.
//
// Marking waits for memory more than for anything else. So a pointer that is found first goes into a short first-in first-out ring, and
// its object, its mark and its page's bitmap are prefetched; when it comes out, they are in the cache. Only then is the mark tested.
//
// Thread safety: a Marker belongs to one thread, which makes no safe point while it has work of its own: it counts as active. Many may
// run at once.
#pragma once

#include <cstdint>

#include "gort/gc/work.h"
#include "gort/heap/heap.h"
#include "gort/sched/world.h"

namespace gort::gc {

// What marking has counted so far.
struct MarkCounts {
  uint64_t objects = 0;        // marked
  uint64_t bytes = 0;          // of the slots marked
  uint64_t bytes_scanned = 0;  // of slots with pointers, and of stacks
};

class Marker {
 public:
  Marker();
  ~Marker();  // gives its work to the pool and adds its counts to the cycle's
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  // shade greys the object that p points to or into, if it is white. p is null or a valid pointer; other addresses outside the
  // heap are ignored.
  void shade(uintptr_t p);

  // shade_conservative does the same for a word that may be anything.
  void shade_conservative(uintptr_t word);

  // scan_words looks at every aligned word of [low, high) conservatively.
  void scan_words(const void* low, const void* high);

  // drain scans grey objects until `budget` bytes are scanned, a stop is wanted, or there is no work. Returns the bytes.
  uint64_t drain(uint64_t budget);

  // drain_batch scans up to 64 grey objects, stop or not. False if there were none. For the second stop.
  bool drain_batch();

  const MarkCounts& counts() const { return counts_; }

 private:
  // A reached object whose mark has not been looked at.
  struct Pending {
    uint8_t* mark;   // null: none
    uintptr_t slot;
    heap::SpanClass sc;
  };
  static constexpr uint32_t kPending = 16;

  void push(uintptr_t entry);
  void reach(uintptr_t p);
  void settle(const Pending& pending);
  void settle_all();
  void scan(uintptr_t entry);
  void scan_typed(uintptr_t base, uintptr_t low, uintptr_t high, const heap::HeapType& element);
  void share();

  WorkBuffer* buffer_;
  Pending pending_[kPending] = {};  // a ring; the oldest at next_
  uint32_t next_ = 0;
  MarkCounts counts_;
};

}  // namespace gort::gc
