// What a goroutine waits for, in words, and who holds it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gort/sched/goroutine.h"

namespace gort::python {

struct Wait {
  std::vector<std::string> on;   // `chan 0x7f12 "results" (len 0, cap 3)`; of a select one for each arm: `recv chan ...`
  uint64_t holder = 0;           // the goroutine that has the lock; 0: none, or not known
};

// wait_of looks into what g waits for. Attached. For goroutines of the Python lane it is safe while none of them gets out of its wait, so that what it
// waits for is there: with the GIL held, and without a GIL in a while_all_stand. Of native ones it says only the address, unless `asleep`: nobody runs at all.
Wait wait_of(G* g, bool asleep = false);

// wait_text is one line of it: "waiting for Mutex 0x7f12, held by goroutine 3"; "" if it waits for nothing.
std::string wait_text(G* g, bool asleep = false);

}  // namespace gort::python
