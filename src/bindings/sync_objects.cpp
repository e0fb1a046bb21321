#include "sync_objects.h"

#include "register.h"

namespace gort::python {

bool register_sync(PyObject* module) {
  return add_mutex(module) && add_rwmutex(module) && add_wait_group(module) && add_once(module) && add_cond(module) && add_pool(module);
}

}  // namespace gort::python
