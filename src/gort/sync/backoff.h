// Backoff waits for what nobody will announce: a spin lock that is to come free, room in a lock-free queue.
//
//   Backoff backoff;
//   while (!try_lock()) {
//     if (Outcome outcome = backoff.pause(); outcome != Outcome::Fired) return outcome;
//   }
//
// Thread safety: one object a wait.
// It begins by letting others run, which is enough when those who will change something are goroutines of this lane or run on another CPU. Then it
// sleeps, longer each time up to a millisecond. The sleep is a park: a plain thread gets the GIL meanwhile, Ctrl-C and the end of a run end the wait, and one that
// waits for long costs no CPU. As a sleeper has a timer, a wait of this kind for ever is no deadlock that is reported; nor is it in Go.
//
// Rejected: yielding alone. A goroutine that yields in a loop of C keeps the GIL, so a plain thread that holds what it waits for would never go on.
#pragma once

#include "gort/base/clock.h"
#include "gort/sched/park.h"

namespace gort {

class Backoff {
 public:
  // pause lets time pass. Fired: look again. Anything else ended the wait (park.h). May park. No core lock is held.
  [[nodiscard]] Outcome pause();

 private:
  int yields_ = 0;
  Nanos sleep_ = 20 * kMicrosecond;
};

}  // namespace gort
