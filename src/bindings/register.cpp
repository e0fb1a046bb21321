#include "register.h"

namespace gort::python {

bool register_all(PyObject* module) {
  return register_channels(module) &&
         register_sync(module) &&
         register_awaitables(module) &&
         register_coroutines(module) &&
         register_context(module) &&
         register_heap(module) &&
         register_gc(module) &&
         register_sched(module) &&
         register_observe(module) &&
         register_lock_check(module) &&
         register_extension(module) &&
         register_layout(module);
}

}  // namespace gort::python
