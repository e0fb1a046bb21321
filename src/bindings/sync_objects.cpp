#include "sync_objects.h"

#include "atomic_objects.h"
#include "register.h"

namespace gort::python {

bool register_sync(PyObject* module) {
  return add_mutex(module) && add_rwmutex(module) && add_wait_group(module) && add_once(module) && add_cond(module) && add_pool(module) &&
         add_spin_lock(module) && add_lock_free_queue(module) && add_map(module) && add_atomic_integers(module) && add_atomic_references(module);
}

}  // namespace gort::python
