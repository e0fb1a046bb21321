// Futex: the kernel's compare-and-block. The only way an OS thread sleeps in the core.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/clock.h"

namespace gort {

enum class FutexResult { Woken, TimedOut, Interrupted };

// futex_wait blocks while *word == expected, at most until deadline (a nanotime; kForever: no limit).
// May return Woken spuriously; Interrupted when a signal handler ran (the caller may have Python signals to serve).
FutexResult futex_wait(std::atomic<uint32_t>& word, uint32_t expected, Nanos deadline = kForever);

// futex_wake wakes up to count threads. Uses the address alone: the word may be gone already.
void futex_wake(std::atomic<uint32_t>& word, int count = 1);

// Event: a one-shot, resettable flag that one thread waits for.
// Thread safety: set from any thread; wait and reset by the owner only.
class Event {
 public:
  void set() {
    if (word_.exchange(1, std::memory_order_acq_rel) == 2) futex_wake(word_);
  }
  bool is_set() const { return word_.load(std::memory_order_acquire) == 1; }
  // What the owner looks at after a reset is newer than it: a set before that look either finds the sleeper or is found by the next wait.
  void reset() { word_.exchange(0, std::memory_order_seq_cst); }

  // wait returns Woken once set (stays set), or TimedOut, or Interrupted.
  FutexResult wait(Nanos deadline = kForever);

 private:
  std::atomic<uint32_t> word_{0};  // 0 clear, 1 set, 2 clear with a sleeper
};

}  // namespace gort
