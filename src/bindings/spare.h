// A spare: a goroutine of the Python lane that is made beforehand, with the GIL, and started by somebody who may have none.
//
//   G* spare = new_spare(entry);          // with the GIL
//   lane().start(spare);                  // any thread
//
// Nobody sees it: it is a system goroutine in no run, and dead for everybody who looks until it is started.
#pragma once

#include "python_lane.h"

namespace gort::python {

// new_spare returns null with an exception set on failure. entry runs with the GIL and calls end_spare last.
G* new_spare(void (*entry)(G*));

// discard_spare undoes new_spare; nothing for null. Never for one that was started, or that was made before a fork.
void discard_spare(G* spare);

void end_spare(G* g);

}  // namespace gort::python
