// LockFreeQueue is a first-in first-out queue of values that any number may push to and pop from without a lock (Boost.Lockfree's queue, which
// is Michael and Scott's).
//
//   gort::LockFreeQueueOf<std::unique_ptr<Job>> jobs;
//   jobs.push(std::make_unique<Job>());
//   while (std::optional<std::unique_ptr<Job>> job = jobs.try_pop()) run(std::move(*job));
//
// Thread safety: any goroutine or thread; whoever is stopped in the middle of an operation holds up nobody. Who must wait for values uses a channel: here
// nobody is woken. Values pushed by one caller come out in the order in which it pushed them.
//
// Bounded or not, memory is taken as the queue grows (64 bytes a value), used again, and given back at the queue's end: a bound in
// Boost's way (all nodes made at first) would take that of the longest queue at once.
//
//   size_ == values in the queue + pushes that have a place and have not put their value there yet + pops that have theirs and have not counted it out yet
//   size_ <= capacity
// So size() is exact while nobody is inside, and never too small.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "gort/sched/park.h"
#include "gort/types/element_type.h"

namespace gort {

class LockFreeQueue {
 public:
  static constexpr size_t kUnbounded = SIZE_MAX;

  // type.size is at most 8 and type outlives the queue. Throws std::bad_alloc.
  explicit LockFreeQueue(const ElementType& type, size_t capacity = kUnbounded);
  ~LockFreeQueue();   // destroys what is in it
  LockFreeQueue(const LockFreeQueue&) = delete;
  LockFreeQueue& operator=(const LockFreeQueue&) = delete;

  // try_push moves *element in; false, with nothing moved, if the queue is full. Throws std::bad_alloc with nothing moved. Never parks, except
  // as every operation at a safe point.
  [[nodiscard]] bool try_push(const void* element);

  // push moves *element in as soon as there is room: in an unbounded queue at once, in a full one after it has let others run and slept (backoff.h;
  // may park). Moved iff Fired. Throws std::bad_alloc.
  [[nodiscard]] Outcome push(const void* element);

  // try_pop moves the first value to *element; false if there is none. Never parks, as try_push.
  [[nodiscard]] bool try_pop(void* element);

  // clear destroys what is in it, without a safe point (for destructors, tp_clear).
  void clear();

  size_t capacity() const { return capacity_; }
  size_t size() const { return size_.load(std::memory_order_relaxed); }

  // for_each calls visit(context, &value) on all values, first to last. REQUIRES: nobody is inside meanwhile (tp_traverse, with the GIL held or the world
  // stopped). If somebody is, no value is lost or seen twice in the queue, but their order may change, and the queue looks shorter to them.
  void for_each(void (*visit)(void* context, void* element), void* context);

 private:
  struct Nodes;   // Boost's queue, which one translation unit sees

  bool take_place();

  const ElementType* const type_;
  const size_t capacity_;
  std::atomic<size_t> size_{0};
  std::unique_ptr<Nodes> nodes_;
};

// LockFreeQueueOf<T> holds T, of at most 8 bytes that may be moved by copying them (element_type.h); what is bigger goes into a std::unique_ptr.
template <class T>
class LockFreeQueueOf {
  static_assert(sizeof(T) <= 8, "put it into a std::unique_ptr");

 public:
  explicit LockFreeQueueOf(size_t capacity = LockFreeQueue::kUnbounded) : queue_(element_type<T>(), capacity) {}

  // try_push: value is moved from only if true. push: throws what throw_outcome says if the runtime ends its wait.
  [[nodiscard]] bool try_push(T&& value) {
    if (!queue_.try_push(&value)) return false;
    moved(value);
    return true;
  }
  [[nodiscard]] bool try_push(const T& value) {
    T copy(value);
    return try_push(std::move(copy));
  }
  void push(T value) {
    Outcome outcome = queue_.push(&value);
    if (outcome != Outcome::Fired) throw_outcome(outcome);
    moved(value);
  }

  std::optional<T> try_pop() {
    alignas(T) unsigned char bytes[8];
    if (!queue_.try_pop(bytes)) return std::nullopt;
    T* value = std::launder(reinterpret_cast<T*>(bytes));
    std::optional<T> result(std::move(*value));
    value->~T();
    return result;
  }

  size_t capacity() const { return queue_.capacity(); }
  size_t size() const { return queue_.size(); }

 private:
  // Its bytes belong to the queue now: nothing is run on them, and its place gets a value that may be destroyed.
  static void moved(T& value) {
    if constexpr (!std::is_trivially_destructible_v<T>) new (&value) T();
  }

  LockFreeQueue queue_;
};

}  // namespace gort
