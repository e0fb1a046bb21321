// The cases of benchmarks/cases.py that are not about Python. Each function does about n operations and returns what one of them took.
//
// REQUIRES for all: called in a goroutine that nothing else runs beside. The cases with ns in their unit allow repeated calls; parked, sleepers
// and bintrees measure from a fresh process.
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
double select10(int64_t n);
double select_default(int64_t n);
double chan_contended(int64_t n);

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
double rwmutex_read(int64_t n);

// primitives.cpp, in ns
double wait_group(int64_t n);
double pool(int64_t n);
double map_load(int64_t n);
double map_mixed(int64_t n);
double context_cancel(int64_t n);
double timer_stop(int64_t n);

// parked.cpp
struct Parked {
  double nanoseconds_each;
  double bytes_each;  // 0: unknown
};
Parked parked(int64_t n);
double sleepers(int64_t n);  // in ns of processor time

// bintrees.cpp, in seconds. Throws std::logic_error if a node got lost.
double bintrees(int64_t n);

}  // namespace bench
