// Times as Go prints them.
#pragma once

#include <string>

#include "gort/base/clock.h"

namespace gort::context {

// duration_text is Go's Duration.String: "1h2m3.5s", "1.5ms", "-2s", "0s".
std::string duration_text(Nanos duration);

// time_text is Go's Time.String of the wall clock time at which nanotime() is t, with its monotonic part:
// "2009-11-10 23:00:00.5 +0000 UTC m=+1.200000000", m counting from the start of the process.
std::string time_text(Nanos t);

}  // namespace gort::context
