// schedtrace: the state of the scheduler in the lines that Go prints for GODEBUG=schedtrace=N,scheddetail=1.
//
// Two lanes in Go's format: the native lane comes first, word for word as Go prints it; then the same for each further lane, whose first line ends with
// " lane=NAME". In the detailed form the P, M and G lines follow the first line of their lane. P numbers count from 0 in
// each lane; M and G numbers are the process's. What we have no counterpart of is printed as it is in Go when nothing is
// going on (needspinning=0, mallocing=0, ...). A plain thread is an M locked to its G.
//
// Thread safety: any thread. The world is not stopped, so the parts of a text may be microseconds apart.
#pragma once

#include <string>

#include "gort/base/clock.h"

namespace gort {

// The lines of this moment, each ended by a newline.
std::string schedtrace(bool detail);

// set_schedtrace makes sysmon write them to standard error once every `period`, which is at least a millisecond; 0: never. While it is on
// sysmon does not sleep, and a program with nothing to do is traced too.
void set_schedtrace(Nanos period, bool detail);
bool schedtrace_wanted();

// sysmon's, in each round.
void schedtrace_round(Nanos now);

}  // namespace gort
