// Monotonic time. Every deadline in the core is a nanotime value; 0 means "none", kForever is the largest.
#pragma once

#include <time.h>

#include <cstdint>

namespace gort {

using Nanos = int64_t;
inline constexpr Nanos kForever = INT64_MAX;
inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

inline Nanos nanotime() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Nanos(t.tv_sec) * kSecond + t.tv_nsec;
}

// deadline_after is now + d, held within [1, kForever] so that an overflow means "never" and not "long ago".
inline Nanos deadline_after(Nanos d) {
  Nanos now = nanotime();
  if (d <= 0) return now;
  return d > kForever - now ? kForever : now + d;
}

// has_passed reads the clock only if there is a deadline.
inline bool has_passed(Nanos deadline) { return deadline != kForever && deadline <= nanotime(); }

}  // namespace gort
