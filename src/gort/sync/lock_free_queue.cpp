#include "gort/sync/lock_free_queue.h"

#include <boost/lockfree/queue.hpp>

#include "gort/base/races_allowed.h"
#include "gort/sched/world.h"
#include "gort/sync/backoff.h"

namespace gort {

// Boost reads the value and the successor of a node that another thread may be using again by then; if so its exchange fails, by the tag in the pointer.
struct LockFreeQueue::Nodes {
  void push(uint64_t bits) {
    RacesAllowed allowed;
    queue.push(bits);
  }
  bool pop(uint64_t* bits) {
    RacesAllowed allowed;
    return queue.pop(*bits);
  }

  boost::lockfree::queue<uint64_t> queue{0};
};

LockFreeQueue::LockFreeQueue(const ElementType& type, size_t capacity) : type_(&type), capacity_(capacity), nodes_(std::make_unique<Nodes>()) {}

LockFreeQueue::~LockFreeQueue() { clear(); }

void LockFreeQueue::clear() {
  uint64_t bits;
  while (nodes_->pop(&bits)) {
    size_.fetch_sub(1, std::memory_order_relaxed);
    if (type_->has_destructor) type_->destroy(&bits);
  }
}

bool LockFreeQueue::take_place() {
  size_t size = size_.load(std::memory_order_relaxed);
  do {
    if (size >= capacity_) return false;
  } while (!size_.compare_exchange_weak(size, size + 1, std::memory_order_relaxed));
  return true;
}

bool LockFreeQueue::try_push(const void* element) {
  world::safe_point();
  if (!take_place()) return false;
  uint64_t bits = 0;
  move_element(&bits, element, type_->size);
  try {
    nodes_->push(bits);
  } catch (...) {
    size_.fetch_sub(1, std::memory_order_relaxed);
    throw;
  }
  return true;
}

Outcome LockFreeQueue::push(const void* element) {
  Backoff backoff;
  while (!try_push(element)) {
    Outcome outcome = backoff.pause();
    if (outcome != Outcome::Fired) return outcome;
  }
  return Outcome::Fired;
}

bool LockFreeQueue::try_pop(void* element) {
  world::safe_point();
  uint64_t bits;
  if (!nodes_->pop(&bits)) return false;
  size_.fetch_sub(1, std::memory_order_relaxed);
  move_element(element, &bits, type_->size);
  return true;
}

// Once round: each value goes from the front to the back, into the node that its pop has given back, so nothing is allocated.
void LockFreeQueue::for_each(void (*visit)(void*, void*), void* context) {
  uint64_t bits;
  for (size_t left = size(); left > 0 && nodes_->pop(&bits); left--) {
    visit(context, &bits);
    nodes_->push(bits);
  }
}

}  // namespace gort
