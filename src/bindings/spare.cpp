#include "spare.h"

#include <new>
#include <utility>

#include "gort/sched/run_group.h"

namespace gort::python {

G* new_spare(void (*entry)(G*)) {
  G* g;
  try {
    g = lane().new_goroutine();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return nullptr;
  }
  if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();
  if (!prepare_frame(g)) {
    lane().discard(g);
    return nullptr;
  }
  g->status.store(Status::Dead, std::memory_order_relaxed);
  g->system = true;
  g->parent_id = 0;
  g->entry = entry;
  frame_of(g)->object = nullptr;
  frame_of(g)->record = nullptr;
  Runtime::get().count_system_goroutine(1);
  return g;
}

void discard_spare(G* spare) {
  if (!spare) return;
  Runtime::get().count_system_goroutine(-1);
  lane().discard(spare);
}

void end_spare(G* g) {
  if (!clean_state(frame_of(g)->state)) frame_of(g)->spoiled = true;
  Runtime::get().count_system_goroutine(-1);
}

}  // namespace gort::python
