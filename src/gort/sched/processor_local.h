// What other layers keep per P: the heap's allocation cache and barrier buffer, the pools' private slots.
//
// A native goroutine owns its P's slots between two points at which it may park, yield or stop at a safe point; so code that makes
// none of these calls uses them without a lock. Threads without a native P (Python goroutines, plain threads) get null and use the layer's
// own shared, locked instance.
#pragma once

#include <cstdint>

namespace gort {

struct ProcessorLocal {
  uint32_t id = 0;              // index of the P in its lane, below kMaxProcs
  void* heap_cache = nullptr;   // owned by heap/
  void* barrier_buffer = nullptr;  // owned by gc/
};

inline constexpr uint32_t kMaxProcs = 1024;

// processor_local returns the slots of the native P that the caller runs on, or null.
ProcessorLocal* processor_local();

// for_each_processor_local visits every native P that exists or existed. REQUIRES: the world is stopped by the caller.
void for_each_processor_local(void (*visit)(void* context, ProcessorLocal&), void* context);

}  // namespace gort
