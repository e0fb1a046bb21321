// Stack overflow of a goroutine: reported as Go words it, then the process ends with Go's status, 2.
//
//   runtime: goroutine stack exceeds 262144-byte limit
//   runtime: sp=0x7f31c2000fd8 stack=[0x7f31c2001000, 0x7f31c2041000]
//   fatal error: stack overflow
//
//   goroutine 7 [running]:
//
// A full stack has no room for the frame of a signal handler, so each thread that runs fibers gets an alternate signal stack for as long as
// it lives (one that it already has is left alone). The process-wide handler of SIGSEGV is installed with the first such
// thread. It takes a fault for an overflow if the address lies in the guard page of the goroutine that its thread runs. Every other
// SIGSEGV, real or sent, goes to the handler that was there before (faulthandler, the program's own) or to the default
// action, with the faulting instruction to be executed again, so that a core dump shows the right place.
//
// Invariants: the handler calls only what is async-signal-safe. It reports once; a second thread that overflows meanwhile waits for the end.
// Limits: a handler that the program installs later replaces this one. A plain thread's own stack (goroutine 1's too) is none of ours:
// its overflow is an ordinary SIGSEGV. A frame that is larger than the guard page may jump over it, as in any C program.
// Under AddressSanitizer all of this is off: it has handlers of its own.
// Rejected: SIGBUS as well (guard pages never raise it on Linux); throwing from the handler (no unwind tables at arbitrary instructions).
#pragma once

namespace gort {

struct G;

namespace stack_overflow {

// watch_this_thread gives the calling thread an alternate stack until its end; further calls do nothing. Call before it runs a fiber.
void watch_this_thread();

// set_describe: what else there is to say about a goroutine, called on the alternate stack of its thread after the header line.
// describe writes to the descriptor and calls only what is async-signal-safe. Null: nothing.
void set_describe(void (*describe)(G* g, int descriptor));

}  // namespace stack_overflow
}  // namespace gort
