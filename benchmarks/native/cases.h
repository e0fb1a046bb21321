// The cases of benchmarks/cases.py that are not about Python. Each function does about n operations and returns what one of them took.
//
// REQUIRES for all: called in a goroutine that nothing else runs beside. The cases with ns in their unit allow repeated calls; parked and
// bintrees measure from a fresh process.
#pragma once

#include <cstdint>

namespace bench {

// scheduling.cpp, in ns
double yield(int64_t n);
double spawn_wait(int64_t n);
double spawn_batch(int64_t n);

// channels.cpp, in ns
double round_trip(int64_t n);
double buffered(int64_t n);
double select2(int64_t n);

// networks.cpp, in ns; negative: a number got lost
double skynet(int64_t n);
double ring(int64_t n);

// latency.cpp, in ns
double sleep_late(int64_t n);
double sleep_late_hogs(int64_t n);
double stop_world(int64_t n);
double stop_world_hogs(int64_t n);

// locks.cpp, in ns
double mutex(int64_t n);
double mutex_contended(int64_t n);
double mutex_handoff(int64_t n);

// parked.cpp
struct Parked {
  double nanoseconds_each;
  double bytes_each;  // 0: unknown
};
Parked parked(int64_t n);

// bintrees.cpp, in seconds. Throws std::logic_error if a node got lost.
double bintrees(int64_t n);

}  // namespace bench
