// What the scheduler's loop needs of world.cpp and nobody else does.
#pragma once

#include <atomic>

#include "gort/sched/machine.h"
#include "gort/sched/world.h"

namespace gort::world {

// enter and leave the mutator state of a native machine; enter waits for a stop to end.
void enter(M* m);
void leave(M* m);

// Where a scan begins so that it sees the callee-saved registers that the function with this frame address has spilled.
inline void* below_frame(void* frame_address) { return static_cast<char*>(frame_address) - 256; }

// stop_here stands the calling mutator still until the world goes on. A stop may be over by now. Async-signal-safe.
void stop_here(M* m);

// ask_preemption asks m's goroutine to end its time slice at its next safe point; withdraw takes that back. Any thread.
void ask_preemption(M* m);
void withdraw_preemption(M* m);

extern std::atomic<uint32_t> resume_epoch;   // non-zero: stacks are being scanned, see world::set_resume_scan

// The epoch that new goroutines count as scanned in.
inline uint32_t current_epoch() { return resume_epoch.load(std::memory_order_relaxed); }

// resume_scan_wanted: g must be scanned before it runs. Native goroutines only.
inline bool resume_scan_wanted(G* g) {
  uint32_t epoch = resume_epoch.load(std::memory_order_acquire);
  return epoch != 0 && g->scan_word.load(std::memory_order_acquire) != epoch << 1;
}
void scan_before_resume(G* g);

}  // namespace gort::world
