// What most cases are made of: a few bodies, each in a goroutine of its own, and the time until all have ended.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "gort/base/clock.h"

namespace bench {

using Body = std::function<void()>;

// together starts the bodies in their order, waits for all and returns the time that took.
gort::Nanos together(const std::vector<Body>& bodies);

// per_operation is the time of one of n operations in ns.
inline double per_operation(gort::Nanos elapsed, int64_t n) { return double(elapsed) / double(n); }

}  // namespace bench
