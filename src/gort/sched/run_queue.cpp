#include "gort/sched/run_queue.h"

namespace gort {

uint32_t LocalQueue::take_half(G** out) {
  for (;;) {
    uint32_t head = head_.load(std::memory_order_acquire), tail = tail_.load(std::memory_order_relaxed);
    uint32_t count = (tail - head) / 2;
    for (uint32_t i = 0; i < count; i++) out[i] = ring_[(head + i) % kSize].load(std::memory_order_relaxed);
    if (head_.compare_exchange_weak(head, head + count, std::memory_order_acq_rel)) return count;
  }
}

uint32_t LocalQueue::steal(G** out, bool take_next) {
  for (;;) {
    uint32_t head = head_.load(std::memory_order_acquire), tail = tail_.load(std::memory_order_acquire);
    uint32_t count = tail - head;
    count -= count / 2;
    if (count == 0) {
      if (!take_next) return 0;
      G* g = next_.load(std::memory_order_acquire);
      if (!g || !next_.compare_exchange_strong(g, nullptr, std::memory_order_acq_rel)) return 0;
      out[0] = g;
      return 1;
    }
    if (count > kSize / 2) continue;  // head and tail were read inconsistently
    for (uint32_t i = 0; i < count; i++) out[i] = ring_[(head + i) % kSize].load(std::memory_order_relaxed);
    if (head_.compare_exchange_weak(head, head + count, std::memory_order_acq_rel)) return count;
  }
}

}  // namespace gort
