#include "register.h"

namespace gort::python {

bool register_all(pybind11::module_& m) {
  return register_channels(m) &&
         register_sync(m) &&
         register_context(m) &&
         register_heap(m) &&
         register_gc(m) &&
         register_sched(m) &&
         register_observe(m) &&
         register_extension(m) &&
         register_layout(m);
}

}  // namespace gort::python
