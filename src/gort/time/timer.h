// Timer: calls a function at a time. The base of sleep, wait deadlines, after, tickers and context deadlines.
//
//   timer.start(deadline_after(5 * kMillisecond), [](void* self, uint64_t ticket) { ... }, self, ticket);
//   bool prevented = timer.stop();
//
// Timers live in the 4-ary heap of a P (time/timer_heap.h) and are run by whichever machine looks for work there.
// The function runs on a scheduler stack with no lock held: it must be short, must not park or allocate from the managed heap; it
// may claim() and ready() goroutines, take core locks, and hand longer work to a goroutine (go).
//
// stop does not wait: when it returns false the function has run or may be running this moment. So the argument must be
// type-stable or reference counted (the armed timer holding a reference), and `sequence` is there to tell a late call from
// a timely one: both are copied when the timer fires. The Timer itself is not touched any more once its function is called.
// Rejected: a synchronous stop (function under the heap's lock): cancelling a context stops its timer under the context's lock,
// and the timer's function takes that lock.
// Thread safety: start and stop by one party at a time (the owner); firing may happen on any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/clock.h"

namespace gort {

class TimerHeap;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // start arms the timer. REQUIRES: it is not armed. when: a nanotime; a time in the past fires as soon as possible.
  void start(Nanos when, void (*function)(void* argument, uint64_t sequence), void* argument, uint64_t sequence = 0);

  // stop disarms it. Returns true iff this call prevented the function from running.
  bool stop();

  bool armed() const { return heap_.load(std::memory_order_acquire) != nullptr; }

 private:
  friend class TimerHeap;
  std::atomic<TimerHeap*> heap_{nullptr};  // where it is armed
  uint32_t slot_ = 0;
  Nanos when_ = 0;
  void (*function_)(void*, uint64_t) = nullptr;
  void* argument_ = nullptr;
  uint64_t sequence_ = 0;
};

}  // namespace gort
