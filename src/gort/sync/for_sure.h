// for_sure takes a lock that its caller must hold on return, whatever comes meanwhile: Cond::wait, which took it from the caller.
#pragma once

#include "gort/sched/go.h"
#include "gort/sched/lane.h"
#include "gort/sched/park.h"

namespace gort {

// for_sure calls lock_once(), which waits for a lock and returns the outcome, until it has the lock, or until a deadlock: then nobody is left to give
// it back. Returns Fired, or the first other outcome that it did not obey.
template <class F>
Outcome for_sure(F lock_once) {
  Outcome first = Outcome::Fired;
  for (;;) {
    Outcome outcome = lock_once();
    if (outcome == Outcome::Fired || outcome == Outcome::Deadlock) return first == Outcome::Fired ? outcome : first;
    if (first == Outcome::Fired) first = outcome;
    yield();  // a goroutine that is told to end cannot park any more
    // It may try for ever, and where nobody else is to run it would keep the GIL, or hold up who wants all threads of the interpreter to stand.
    M* m = this_machine();
    if (LaneHooks* hooks = m->lane->hooks()) hooks->relax(m);
  }
}

}  // namespace gort
