// What other layers keep per P: the heap's allocation cache and barrier buffer, the pools' private slots.
//
// A native goroutine owns its P's slots while it has them pinned (ProcessorPin) and uses them without a lock; a P may be taken from a
// goroutine that computes for too long. Threads without a native P (Python goroutines, plain threads) get null and use the
// layer's own shared, locked instance.
#pragma once

#include <atomic>
#include <cstdint>

namespace gort {

struct ProcessorLocal {
  uint32_t id = 0;              // index of the P in its lane, below kMaxProcs
  void* heap_cache = nullptr;   // owned by heap/
  void* barrier_buffer = nullptr;  // owned by gc/
};

inline constexpr uint32_t kMaxProcs = 1024;

// ProcessorPin: the slots of the native P that the caller runs on, or null, kept for its lifetime. REQUIRES: no park and no safe point
// in between.
class ProcessorPin {
 public:
  ProcessorPin();   // one call, beside the thread's own variable: every allocation asks
  ~ProcessorPin() {
    if (inside_) inside_->store(false, std::memory_order_release);
  }
  ProcessorPin(const ProcessorPin&) = delete;
  ProcessorPin& operator=(const ProcessorPin&) = delete;

  ProcessorLocal* local() const { return local_; }

 private:
  std::atomic<bool>* inside_ = nullptr;   // M::inside: a pin is a RuntimeScope (preempt.h)
  ProcessorLocal* local_ = nullptr;
};

// has_processor tells whether the caller runs on a native P at this moment.
bool has_processor();

// for_each_processor_local visits every native P that exists or existed. REQUIRES: the world is stopped by the caller.
void for_each_processor_local(void (*visit)(void* context, ProcessorLocal&), void* context);

}  // namespace gort
