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

// save_registers copies the callee-saved registers, as they are where it is called, to memory: so that a scan of the
// stack that the memory lies on sees pointers which live in registers alone.
struct SavedRegisters {
#if defined(__x86_64__)
  void* at[6];
#else
  void* at[10];
#endif
};
[[gnu::always_inline]] inline void save_registers(SavedRegisters& to) {
#if defined(__x86_64__)
  asm volatile(
      "movq %%rbx, (%0)\n\tmovq %%rbp, 8(%0)\n\tmovq %%r12, 16(%0)\n\t"
      "movq %%r13, 24(%0)\n\tmovq %%r14, 32(%0)\n\tmovq %%r15, 40(%0)"
      :
      : "r"(to.at)
      : "memory");
#elif defined(__aarch64__)
  asm volatile(
      "stp x19, x20, [%0]\n\tstp x21, x22, [%0, #16]\n\tstp x23, x24, [%0, #32]\n\t"
      "stp x25, x26, [%0, #48]\n\tstp x27, x28, [%0, #64]"
      :
      : "r"(to.at)
      : "memory");
#endif
}

}  // namespace gort
