// Guests: what pybind11 keeps in other people's modules per OS thread, though it follows the calls of a goroutine. Two records:
//
//  1. Which thread state its GIL guards take: a key of pthread's, set once on the thread that imported the first module. Where it
//     names another goroutine's state, gil_scoped_acquire waits for ever for the GIL that its own thread holds. Without a value it asks
//     PyGILState, which is right on every goroutine: so the value is taken away (forget_state).
//  2. The bound calls under way ("loader_life_support"): a list through the stack whose head is in a key of pthread's (before 3.0.2), or
//     in a thread_local of each module. A call that does not find itself at the head when it returns ends the process. So a goroutine that
//     parks inside such a call (a callback, an overridden method) stays on its thread, and the thread waits with it (Lane::wait_with_thread).
//     Without the GIL it stays on its thread anyway, and others run there meanwhile: the heads are exchanged as it leaves and comes back.
//
// Rejected: taking the heads along from thread to thread; compilers keep the address of a thread_local over the call.
// Rejected: reading pybind11's structures; they differ from version to version. The record of a call has had one shape since 2.7.
//
// Thread safety: any thread whose state is attached.
#pragma once

#include "cpython.h"
#include "without_gil.h"

#ifdef GORT_WITHOUT_GIL
#include <vector>
#endif

namespace gort::python::guests {

// forget_state takes `state` out of all keys of the calling thread. About 2 us.
void forget_state(PyThreadState* state);

// look_for_modules finds the modules that came since its last call. Slow; to be called when something was imported.
void look_for_modules();

// Whether modules of others were found. Then a waiting plain thread runs no goroutines: one that must stay on its thread would hold it up.
bool present();

#ifdef GORT_WITHOUT_GIL

// Where goroutines stay on their thread anyway, the thread need not wait with them: their records are taken from it while they do.
struct Head {
  size_t module;      // of the dynamic linker; 0: a key of pthread's
  size_t place;       // its word there, or the key
  void* value;
};
using Calls = std::vector<Head>;

// lift takes the heads of the calling goroutine's lists from the thread; put_back gives them back to it, and leaves calls empty.
void lift(const char* high, Calls& calls);
void put_back(Calls& calls);

#else

// in_bound_call tells whether the calling goroutine, whose stack ends at `high`, is inside a call of a pybind11 function.
bool in_bound_call(const char* high);

#endif

}  // namespace gort::python::guests
