// OS signals for goroutines (Go's runtime/sigqueue.go): catches signals and tells somebody who is no signal handler that they came.
//
//   signals::set_sink([] { ... });      // called on a thread of ours after signals came: take_pending() says which
//   signals::take(SIGUSR1, true);       // from now on SIGUSR1 is caught
//   signals::give_back(SIGUSR1);        // what was there before is there again
//
// The handler may run on any thread in the middle of anything. It sets a bit, wakes one thread with a futex, and calls the handler
// that was there before (Python's own, above all), if it is to pass the signal on. The woken thread, the forwarder, calls the sink. It exists
// while any signal is taken, and counts as active: like in Go no deadlock is reported meanwhile, since a signal may come at any time.
//
// Invariants: a signal that comes several times before take_pending is there once (as in Go). A bit is set before the forwarder is
// woken, so no signal is lost between two calls of the sink.
// A handler that the program installs over ours takes the signal over; the next take() puts ours in front again. give_back leaves a handler that is
// not ours alone.
// Rejected: a self-pipe (two descriptors, for what a futex does without); signalfd and sigwait (they need the signal blocked in every
// thread, so no handler would ever see it); a goroutine in a BlockingScope as the forwarder (the same thread, and a stack).
//
// Thread safety: take, give_back, ignore, lower and lift are called one at a time (the bindings see to it); take_pending from anywhere.
#pragma once

#include <cstdint>

namespace gort::signals {

using Set = uint64_t;   // bit n - 1: signal n
inline constexpr int kMost = 64;
inline Set bit(int number) { return Set(1) << (number - 1); }

// can_be_taken: from 1 to 64, and neither SIGKILL nor SIGSTOP, nor one of those that a fault raises (its handler may not return), nor
// SIGURG, with which the runtime stops its own threads (sched/stop_signal.h).
bool can_be_taken(int number);

// take catches a signal. pass_on: the handler that was there before is called as well; it is never if it is the default action or none.
// REQUIRES: can_be_taken(number). Throws std::system_error if the forwarder's thread cannot be started; then nothing is changed.
void take(int number, bool pass_on);

// ignore makes the process ignore a signal until give_back or take. REQUIRES: can_be_taken(number).
void ignore(int number);

// give_back undoes take and ignore; nothing if neither was called.
void give_back(int number);

// Who wants to change what is there *before* ours puts ours aside for that: lower, change, lift. Nothing if the signal is not ours.
void lower(int number);
void lift(int number);

// set_sink: called by the forwarder when take_pending may have something new. Must not block for long. Once, before any take.
void set_sink(void (*sink)());

// take_pending returns the signals that have come since the last call.
Set take_pending();
bool any_pending();

// after_fork_in_child: nothing is taken or pending any more; every signal does what it did before take and ignore.
void after_fork_in_child();

}  // namespace gort::signals
