#include "gort/fiber/fiber.h"

#include <cxxabi.h>
#include <pthread.h>

#include <cstdint>
#include <cstring>

namespace gort {

ExceptionGlobals* thread_exception_globals() {
  return reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
}

void prepare(Fiber& fiber, void (*entry)(void*), void* argument) {
#if defined(GORT_ASAN)
  // The stack's last user left it by a switch, with its frames' red zones still marked.
  ASAN_UNPOISON_MEMORY_REGION(fiber.stack.low, fiber.stack.size());
#endif
  uintptr_t top = reinterpret_cast<uintptr_t>(fiber.stack.high) & ~uintptr_t(63);
#if defined(__x86_64__)
  auto* frame = reinterpret_cast<uint64_t*>(top - 16 - 64);
  uint32_t mxcsr;
  uint16_t control;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
  frame[0] = uint64_t(mxcsr & 0xffc0) | uint64_t(control) << 32;
  frame[1] = frame[2] = 0;                            // r15 r14
  frame[3] = reinterpret_cast<uint64_t>(argument);    // r13
  frame[4] = reinterpret_cast<uint64_t>(entry);       // r12
  frame[5] = frame[6] = 0;                            // rbx rbp
  frame[7] = reinterpret_cast<uint64_t>(&gort_fiber_start);
  frame[8] = frame[9] = 0;
#elif defined(__aarch64__)
  auto* frame = reinterpret_cast<uint64_t*>(top - 16 - 176);
  std::memset(frame, 0, 176);
  uint64_t control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  frame[0] = reinterpret_cast<uint64_t>(entry);       // x19
  frame[1] = reinterpret_cast<uint64_t>(argument);    // x20
  frame[11] = reinterpret_cast<uint64_t>(&gort_fiber_start);  // x30
  frame[20] = control;
#else
#error "gort: no fiber switch for this processor"
#endif
  fiber.sp = frame;
  fiber.exceptions = {};
#if defined(GORT_ASAN)
  fiber.fake_stack = nullptr;
#endif
#if defined(GORT_TSAN)
  // A goroutine leaves its last calls by a switch, and TSan never sees them return: its own stack of calls, of 64 Ki, would overflow.
  constexpr uint32_t kMostLives = 1000;
  if (++fiber.tsan_lives % kMostLives == 0) release_sanitizer_state(fiber);
  if (!fiber.tsan) fiber.tsan = __tsan_create_fiber(0);
#endif
}

void describe_thread(Fiber& fiber) {
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
  }
  fiber.stack = {static_cast<char*>(low), static_cast<char*>(low) + size};
#if defined(GORT_TSAN)
  fiber.tsan = __tsan_get_current_fiber();
#endif
}

void release_sanitizer_state([[maybe_unused]] Fiber& fiber) {
#if defined(GORT_TSAN)
  if (fiber.tsan) __tsan_destroy_fiber(fiber.tsan);
  fiber.tsan = nullptr;
#endif
}

}  // namespace gort
