// gort_switch(void** save_sp, void* load_sp) for AAPCS64: x19-x30, sp, the low halves of v8-v15, and FPCR when it differs.
//
// Frame, from the saved stack pointer up:
//   0 x19 x20 | 16 x21 x22 | 32 x23 x24 | 48 x25 x26 | 64 x27 x28 | 80 x29 x30 | 96 d8 d9 | 112 d10 d11 | 128 d12 d13 |
//   144 d14 d15 | 160 fpcr, padding
// x18 belongs to the platform and is left alone.
  .text
  .p2align 5
  .globl gort_switch
  .type gort_switch, %function
gort_switch:
  .cfi_startproc
  hint #34
  sub sp, sp, #176
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mrs x9, fpcr
  str x9, [sp, #160]
  mov x10, sp
  str x10, [x0]
  mov sp, x1
  ldr x11, [sp, #160]
  cmp x9, x11
  b.eq 1f
  msr fpcr, x11
1:
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #176
  mov x16, x30
  br x16
  .cfi_endproc
  .size gort_switch, .-gort_switch

// First frame of a fiber: x19 = entry function, x20 = its argument.
  .p2align 4
  .globl gort_fiber_start
  .type gort_fiber_start, %function
gort_fiber_start:
  .cfi_startproc
  .cfi_undefined x30
  hint #36
  mov x0, x20
  mov x29, xzr
  mov x30, xzr
  blr x19
  brk #1
  .cfi_endproc
  .size gort_fiber_start, .-gort_fiber_start

  .section .note.GNU-stack,"",%progbits
