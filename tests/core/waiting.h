// What the tests of blocking primitives share: waiting for a state without sleeping, ending waits from outside, sizes.
//
// Assertions are made by the goroutine that runs the case only: Boost.Test is not made for several threads. Others leave what they
// saw in variables.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "gort/base/clock.h"
#include "gort/sched/go.h"
#include "gort/sched/goroutine.h"
#include "gort/sched/park.h"
#include "gort/sched/runtime.h"

namespace gort::testing {

#ifdef GORT_TSAN
inline constexpr int kManyGoroutines = 2'000;  // its fibers are few and large
inline constexpr int kRounds = 1;
#else
inline constexpr int kManyGoroutines = 10'000;
inline constexpr int kRounds = 10;  // repetitions of what races
#endif

// until yields until condition() holds.
template <class F>
void until(F condition) {
  while (!condition()) yield();
}

// someone_waits tells whether a goroutine is parked for that reason.
inline bool someone_waits(WaitReason reason) {
  for (G* g : Runtime::get().all_goroutines()) {
    if (g->status.load() == Status::Waiting && g->wait_reason.load() == reason) return true;
  }
  return false;
}

// interrupt ends the present wait of g, or its next one, as Ctrl-C would.
inline void interrupt(G* g) { Runtime::get().request(g, G::kInterrupt); }

// text_of returns what fn throws of type Error; a test failure's text if nothing.
template <class Error, class F>
std::string text_of(F fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "(nothing was thrown)";
}

// No time slice ends during its life. For what is exact only then: orders on one P, counts of switches, who has which P. A machine that halts
// for 10 ms ends a slice anywhere.
struct EndlessSlices {
  Interval before = Runtime::get().options.time_slice;
  EndlessSlices() { Runtime::get().options.time_slice = kForever / 2; }
  ~EndlessSlices() { Runtime::get().options.time_slice = before; }
  EndlessSlices(const EndlessSlices&) = delete;
  EndlessSlices& operator=(const EndlessSlices&) = delete;
};

// A deadline that is over, and one that is not far.
inline constexpr Nanos kPast = 1;
inline Nanos soon() { return deadline_after(kMillisecond); }

}  // namespace gort::testing
