// The one door through which every random or arbitrary choice of the runtime goes: select order, steal victims, tickets.
// With a seed and one machine a schedule replays exactly.
#pragma once

#include <cstdint>

namespace gort::choice {

// seed makes all generators start from the given value; 0 takes a fresh random one. Call while nothing runs.
void seed(uint64_t value);

// below returns a number in [0, n). REQUIRES: n > 0. Uses the calling thread's P's generator.
uint32_t below(uint32_t n);
uint64_t next();

}  // namespace gort::choice
