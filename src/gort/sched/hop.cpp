#include "gort/sched/hop.h"

#include "gort/base/errors.h"
#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"

namespace gort {
namespace {

void take_thread_along(M* m, G* g, Lane& to) {
  RuntimeScope inside(m);
  Lane& from = *m->lane;
  if (m->p) from.hand_off(m, nullptr);
  m->keeps_processor = false;
  from.detach_machine(m);
  if (LaneHooks* hooks = from.hooks()) hooks->release(m);
  m->lane = &to;
  g->lane.store(&to, std::memory_order_relaxed);
  if (LaneHooks* hooks = to.hooks()) hooks->acquire(m);
  to.attach_machine(m);
  if (&to != g->home || Runtime::get().main() != g) return;
  m->keeps_processor = true;
  to.acquire_processor(m);
}

}  // namespace

const void* hop(Lane& to, const void* outside_from) {
  M* m = this_machine();
  G* g = m->current;
  const void* before = g->outside_from.load(std::memory_order_relaxed);
  Lane& from = *m->lane;
  if (&from == &to) return before;
  if (LaneHooks* hooks = from.hooks()) hooks->leaving(g);
  if (g->is_plain_thread()) {
    take_thread_along(m, g, to);
    return before;
  }
  if (g->own_machine || g->thread_locks != 0) throw Fatal("gort: a goroutine that called lock_os_thread cannot leave its thread, and so not its lane");
  if (from.hooks() && from.hooks()->slice_ended(m, g)) {
    throw Fatal("gort: a goroutine inside a function that pybind11 called cannot leave its thread, and so not its lane");
  }
  enter_runtime(m);
  if (to.hooks()) g->outside_from.store(outside_from, std::memory_order_release);
  g->lane.store(&to, std::memory_order_relaxed);
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  to.enqueue(g);
  m = from.leave(m, g);
  if (!to.hooks()) g->outside_from.store(nullptr, std::memory_order_relaxed);
  leave_runtime(m);
  return before;
}

}  // namespace gort
