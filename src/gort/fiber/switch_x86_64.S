// gort_switch(void** save_sp, void* load_sp): saves the callee-saved state of the System V ABI on the current stack, stores
// its stack pointer, and continues on the other stack.
//
// Frame, from the saved stack pointer up:
//   0 mxcsr (4) | 4 x87 control word (2) | 8 r15 | 16 r14 | 24 r13 | 32 r12 | 40 rbx | 48 rbp | 56 return address
//
// The control bits of MXCSR and the x87 control word are callee-saved, their sticky status bits are not. Reloading them
// costs 70 ns when status bits differ, so they are reloaded only when control bits differ.
// The jump through a register instead of RET spares the return predictor a sure miss.
  .text
  .p2align 5
  .globl gort_switch
  .type gort_switch, @function
gort_switch:
  .cfi_startproc
  endbr64
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movl (%rsp), %eax
  movzwl 4(%rsp), %ecx
  movq %rsi, %rsp
  xorl (%rsp), %eax
  testl $0xffc0, %eax
  jne 2f
1:
  cmpw 4(%rsp), %cx
  jne 3f
4:
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
2:
  ldmxcsr (%rsp)
  jmp 1b
3:
  fldcw 4(%rsp)
  jmp 4b
  .cfi_endproc
  .size gort_switch, .-gort_switch

// First frame of a fiber: r12 = entry function, r13 = its argument. The undefined return address ends every unwind here.
  .p2align 4
  .globl gort_fiber_start
  .type gort_fiber_start, @function
gort_fiber_start:
  .cfi_startproc
  .cfi_undefined rip
  endbr64
  movq %r13, %rdi
  xorl %ebp, %ebp
  callq *%r12
  ud2
  .cfi_endproc
  .size gort_fiber_start, .-gort_fiber_start

  .section .note.GNU-stack,"",@progbits
