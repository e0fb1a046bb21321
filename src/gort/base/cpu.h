// One-instruction differences between processors.
#pragma once

namespace gort {

// cpu_relax tells the processor that this is a spin loop (PAUSE, YIELD).
inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace gort
