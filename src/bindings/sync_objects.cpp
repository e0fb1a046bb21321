#include "sync_objects.h"

#include "register.h"

namespace gort::python {

bool register_sync(pybind11::module_& m) {
  return add_mutex(m.ptr()) && add_wait_group(m.ptr()) && add_once(m.ptr()) && add_cond(m.ptr()) && add_pool(m.ptr());
}

}  // namespace gort::python
