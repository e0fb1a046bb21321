// Fiber: a stack and the machine state to go on with it.
//
//   prepare(fiber, entry, argument);             // the first switch to it calls entry(argument) on its stack
//   switch_fiber(exceptions, from, to);          // returns when somebody switches back to from
//
// A Fiber can also stand for an OS thread's own stack (describe_thread): its sp is filled in by switching away from it.
// entry must never return. A fiber may be continued on another OS thread than the one it was left on; so nothing that
// belongs to a thread (addresses of thread_local variables above all) may be kept over a switch.
//
// What travels with a fiber besides registers: the C++ runtime's list of exceptions being handled (two words per OS
// thread; without it a switch inside a catch block makes `throw;` raise another fiber's exception).
#pragma once

#include <cstddef>

#include "gort/fiber/stack.h"

#if defined(GORT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GORT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

extern "C" {
void gort_switch(void** save_sp, void* load_sp);
void gort_fiber_start();
}

namespace gort {

// The layout of __cxa_eh_globals in libstdc++ and libc++abi.
struct ExceptionGlobals {
  void* caught = nullptr;
  unsigned uncaught = 0;
};

// The calling OS thread's own globals; fetched once per thread.
ExceptionGlobals* thread_exception_globals();

struct Fiber {
  void* sp = nullptr;  // valid while nobody runs it
  Stack stack;
  ExceptionGlobals exceptions;
#if defined(GORT_ASAN)
  void* fake_stack = nullptr;
#endif
#if defined(GORT_TSAN)
  void* tsan = nullptr;
  uint32_t tsan_lives = 0;   // goroutines that it has been
#endif
};

// prepare makes the next switch to fiber call entry(argument) at the top of its stack.
void prepare(Fiber& fiber, void (*entry)(void*), void* argument);

// describe_thread fills a Fiber that stands for the calling thread's own stack.
void describe_thread(Fiber& fiber);

// release_sanitizer_state forgets what sanitizers keep for a fiber that will not run again for long.
void release_sanitizer_state(Fiber& fiber);

// finish_switch is called first thing on a stack that was switched to (also by entry functions).
inline void finish_switch([[maybe_unused]] Fiber& self) {
#if defined(GORT_ASAN)
  __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#endif
}

// switch_fiber leaves `from`, the running fiber, for `to`. `dying`: from will never be continued.
[[gnu::always_inline]] inline void switch_fiber(ExceptionGlobals* thread, Fiber& from, Fiber& to,
                                                [[maybe_unused]] bool dying = false) {
  from.exceptions = *thread;
  *thread = to.exceptions;
#if defined(GORT_ASAN)
  __sanitizer_start_switch_fiber(dying ? nullptr : &from.fake_stack, to.stack.low, to.stack.size());
#endif
#if defined(GORT_TSAN)
  __tsan_switch_to_fiber(to.tsan, 0);
#endif
  gort_switch(&from.sp, to.sp);
  finish_switch(from);
}

}  // namespace gort
