#include "gort/sched/machine.h"

#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"

namespace gort {
namespace {
thread_local M* machine = nullptr;
}

// A goroutine may continue on another thread after any call that parks, so neither the value nor the address of `machine` may be
// kept by the optimiser. noinline alone is not enough: g++ 12 proves such a function const and merges calls.
#if defined(__clang__)
[[gnu::noinline]] M* this_machine() {
  asm volatile("" ::: "memory");
  return machine;
}
#else
[[gnu::noinline, gnu::noipa]] M* this_machine() { return machine; }
#endif

#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noinline, gnu::noipa]]
#endif
void set_this_machine(M* m) {
  asm volatile("" ::: "memory");
  machine = m;
}

// Here, beside the variable: every allocation asks, and this makes it one call.
#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noinline, gnu::noipa]]
#endif
ProcessorPin::ProcessorPin() {
  asm volatile("" ::: "memory");
  M* m = machine;
  if (!m || m->lane->hooks()) return;
  if (!m->inside.load(std::memory_order_relaxed)) {
    inside_ = &m->inside;
    enter_runtime(m);
  }
  if (m->p) local_ = &m->p->local;
}

bool has_processor() { return ProcessorPin().local() != nullptr; }

}  // namespace gort
