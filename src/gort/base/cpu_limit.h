// How many CPUs this process may use: its affinity mask, and what its control group grants it on average.
//
// A container that may use 2 CPUs' worth of time on a machine of 64 is stopped for the rest of each period if 64 threads use it up, so
// GOMAXPROCS follows the quota (Go 1.25's default; internal/runtime/cgroup, adjustCgroupGOMAXPROCS). Both versions of cgroups are read, each
// time anew: a quota may be changed, and the process moved. Unlike Go's, the quotas of the groups above count too; the smallest holds.
#pragma once

#include <optional>
#include <string>

namespace gort {

// The CPUs of the affinity mask of the process (of its first thread); at least 1.
int num_cpu();

// quota / period of the process's control group, or nothing if none is set or to be found. root stands before every path (tests).
std::optional<double> cgroup_cpu_limit(const std::string& root = "");

// Go's default for GOMAXPROCS: num_cpu, but not more than the limit rounded up, which counts as 2 at least.
int default_procs(int cpus, std::optional<double> limit);

}  // namespace gort
