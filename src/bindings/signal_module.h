// gort.signal: OS signals delivered to channels (Go's os/signal).
//
// The table says which channel wants which signals; it is guarded by the GIL, or by Exclusive (without_gil.h). signal/signals.h catches them; its forwarder starts a spare goroutine of
// the Python lane, which sends each signal to all who want it without ever waiting, and ends. So delivery needs only a turn on the lane: it does
// not matter what the main thread does. What a run's goroutines have asked for ends with the run.
#pragma once

#include "python_lane.h"

namespace gort::python {

bool add_signal_functions(PyObject* module);

// end_signals undoes every notify of goroutines of the group; null: of everybody, and the dumps. GIL held.
void end_signals(RunGroup* group);

// After fork, in the child: the table is empty, and every signal does what it did before.
void forget_signals();

}  // namespace gort::python
