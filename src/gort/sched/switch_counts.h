// SwitchCounts: why time slices ended, one count for each cause; kept by every P and by every goroutine.
//
// A park counts under its wait reason. A yield counts also when nobody else was there to run. The preemptions, by kind:
//   preempt_handoff  the P was given to another machine and the goroutine queued at its next runtime call
//   preempt_call     it was asked, and yielded at its next call that may park (preempt.h)
//   preempt_signal   it was made to yield in the middle of its own code: by a signal (native, if it allows that: preempt.h), or at its next
//                    line or call (Python, when there are many that compute or others cannot go on elsewhere: bindings/hogs.h)
// foreign_calls: the P was taken while the goroutine sat in foreign code. The end of a goroutine is Counters::ends.
//
// Written by one party at a time (the owner of the P or goroutine, or who takes the P from it), read by anybody. Plain words, not
// std::atomic: a goroutine's counts are cleared as one block when it starts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gort/sched/wait_reason.h"

namespace gort {

template <class Word>
struct alignas(16) SwitchCounts {
  Word parks[size_t(WaitReason::Count)] = {};
  Word yields = 0, preempt_handoff = 0, preempt_call = 0, preempt_signal = 0, foreign_calls = 0;

  // In blocks of 16 bytes: compilers make an instruction for each word of `= {}`, and a slow string instruction of one memset.
  void clear() {
    static_assert(sizeof(SwitchCounts) % 16 == 0);
#pragma GCC unroll 16
    for (size_t i = 0; i < sizeof(SwitchCounts); i += 16) std::memset(reinterpret_cast<char*>(this) + i, 0, 16);
  }
};

// count raises a counter that only the caller writes, read_count reads one that others write.
template <class Word>
inline void count(Word& counter, Word n = 1) {
  std::atomic_ref<Word> word(counter);
  word.store(Word(word.load(std::memory_order_relaxed) + n), std::memory_order_relaxed);
}
template <class Word>
inline Word read_count(const Word& counter) {
  return std::atomic_ref<Word>(const_cast<Word&>(counter)).load(std::memory_order_relaxed);
}

}  // namespace gort
