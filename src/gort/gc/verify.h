// Checks of the collector's invariants, run in debug tiers at the end of marking. Internal to gc/.
#pragma once

#include <string>

namespace gort::gc {

// verify_colours checks that no black object points to a white one. Returns the first offender in words, or "".
// REQUIRES: stopped world, phase Mark, nothing grey.
std::string verify_colours();

}  // namespace gort::gc
