// The clock of Channel::Stats::blocked, for the files of this folder: where it looks at the time is libgort's own (coarse_now).
//
// Two loads and a comparison a wait. Rejected: the real clock, 40 ns of a wait that takes 100. Waits that are shorter than the coarse clock's step are
// nearly always 0 and now and then a whole step, in proportion to their length, so sums are right.
#pragma once

#include "gort/chan/channel.h"
#include "gort/sched/runtime.h"

namespace gort {

// While nobody looks at the clock for all (0) it is looked at here: such a wait may be a long one.
inline Nanos Channel::wait_begins() {
  Nanos now = coarse_now.load(std::memory_order_relaxed);
  return now != 0 ? now : nanotime();
}

inline void Channel::wait_ended(Nanos began) {
  Nanos now = coarse_now.load(std::memory_order_relaxed);
  if (now != began) [[unlikely]] add_blocked(began, now);
}

}  // namespace gort
