#include "gort/time/timer.h"

#include "gort/sched/runtime.h"

namespace gort {

void Timer::start(Nanos when, void (*function)(void*, uint64_t), void* argument, uint64_t sequence) {
  M* m = this_machine();
  Lane& lane = m ? *m->lane : Runtime::get().native();
  lane.add_timer(this, when < 1 ? 1 : when, function, argument, sequence);
}

bool Timer::stop() {
  while (TimerHeap* heap = heap_.load(std::memory_order_acquire)) {
    if (heap->remove(this)) return true;   // else it fired, or went to another heap
  }
  return false;
}

}  // namespace gort
