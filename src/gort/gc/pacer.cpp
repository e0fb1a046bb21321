#include "gort/gc/pacer.h"

#include <algorithm>
#include <mutex>

#include "gort/heap/heap.h"

namespace gort::gc {

void Pacer::begin(uint64_t live) {
  background_credit.store(0, std::memory_order_relaxed);
  revise(live, 0);
}

void Pacer::revise(uint64_t live, uint64_t scanned) {
  // Once more is found than the last cycle had, everything that is there may have to be scanned.
  uint64_t expected = scanned_ > scanned ? scanned_ - scanned : std::max<uint64_t>(live, scanned) - scanned;
  uint64_t goal = this->goal();
  // Behind the goal already: catch up over the next tenth of the heap.
  double room = live < goal ? double(goal - live) : double(std::max<uint64_t>(live / 10, 64 << 10));
  assist_ratio_.store(std::max<double>(double(expected), 1000) / std::max(room, 1.0), std::memory_order_relaxed);
}

void Pacer::end(uint64_t live_at_begin, uint64_t live_at_end, uint64_t marked, uint64_t scanned, uint64_t stack_bytes) {
  std::lock_guard hold(lock_);
  double allocated = live_at_end > live_at_begin ? double(live_at_end - live_at_begin) : 0;
  cons_mark_[cycles_++ % 4] = allocated * kUtilization / (double(std::max<uint64_t>(scanned, 1)) * (1 - kUtilization));
  marked_.store(marked, std::memory_order_relaxed);
  stack_bytes_ = stack_bytes;
  scanned_ = scanned;
  commit();
}

void Pacer::commit() {
  int percent = percent_.load(std::memory_order_relaxed);
  if (percent < 0) {
    goal_.store(UINT64_MAX, std::memory_order_relaxed);
    heap::heap.trigger.store(INT64_MAX, std::memory_order_relaxed);
    return;
  }
  double marked = double(marked_.load(std::memory_order_relaxed));
  double goal = marked + (marked + double(stack_bytes_)) * percent / 100;
  goal = std::min(std::max(goal, double(kMinimumHeap) * percent / 100), 0x1p60);
  goal = std::max(goal, marked);
  double runway = *std::max_element(cons_mark_, cons_mark_ + 4) * (1 - kUtilization) / kUtilization * double(scanned_ + stack_bytes_);
  double low = marked + (goal - marked) * 0.7;
  double high = std::max(marked + (goal - marked) * 0.95, goal - double(kMinimumHeap));
  double trigger = std::clamp(goal - runway, low, std::max(low, high));
  goal_.store(uint64_t(goal), std::memory_order_relaxed);
  heap::heap.trigger.store(int64_t(trigger), std::memory_order_relaxed);
}

int Pacer::set_percent(int percent) {
  std::lock_guard hold(lock_);
  int before = percent_.exchange(percent < 0 ? -1 : percent, std::memory_order_relaxed);
  commit();
  return before;
}

}  // namespace gort::gc
