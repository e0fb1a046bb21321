// GOMAXPROCS: how many native Ps there are. Until somebody sets it, it follows the CPUs that the process may use (base/cpu_limit.h), as
// Go's does since 1.25: sysmon looks once a second, and a system goroutine stops the world when the number has changed.
//
// Thread safety: every function may be called from any thread. Only explicit settings and the follower resize the lane, one at a time.
#pragma once

#include "gort/base/clock.h"
#include "gort/base/cpu_limit.h"

namespace gort {

// gomaxprocs sets the number of native Ps by stopping the world and returns the former number; n < 1 only asks. From then on the
// number stands, until set_default_gomaxprocs.
int gomaxprocs(int n = 0);
void set_default_gomaxprocs();

// gomaxprocs_follows tells whether the number follows the CPUs.
bool gomaxprocs_follows();

namespace procs {

// What follows: the control group's quota (GORT_DEBUG=containermaxprocs=0: only the affinity mask), and changes (updatemaxprocs=0: not after the start).
void configure(bool container, bool update);

int wanted();            // the default at this moment
void look(Nanos now);    // sysmon, in each round

}  // namespace procs
}  // namespace gort
