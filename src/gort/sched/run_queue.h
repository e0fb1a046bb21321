// The two kinds of queues of runnable goroutines (Go's runq, runnext and sched.runq).
//
// LocalQueue: a ring of 256 with one owner who pushes and pops, and any number of thieves. head and tail only grow; slots are
// atomics because a thief may read one that the owner overwrites, and then loses its compare-and-swap on head.
// A lane of one P has no thieves, and its owner needs no atomic exchanges (about 3 ns each, measured): set_shared.
// Invariant: tail - head <= 256. runnext is one extra slot for the goroutine to run next (it inherits the time slice: Lane::take_local).
// GlobalQueue: an intrusive FIFO, guarded by its lane's lock.
// Rejected for runnables: Boost.Lockfree's queue (4x slower uncontended, no stealing of halves), Chase-Lev (LIFO is unfair).
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/sched/goroutine.h"

namespace gort {

class GlobalQueue {
 public:
  void push(G* g) {
    g->next = nullptr;
    if (tail_) tail_->next = g; else head_ = g;
    tail_ = g;
    size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void push_front(G* g) {
    g->next = head_;
    head_ = g;
    if (!tail_) tail_ = g;
    size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  G* pop() {
    G* g = head_;
    if (!g) return nullptr;
    head_ = g->next;
    if (!head_) tail_ = nullptr;
    g->next = nullptr;
    size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    return g;
  }
  G* front() const { return head_; }
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }  // exact under the lane's lock only

 private:
  friend struct LayoutAccess;   // layout.h

  G* head_ = nullptr;
  G* tail_ = nullptr;
  std::atomic<uint32_t> size_{0};
};

class LocalQueue {
 public:
  static constexpr uint32_t kSize = 256;

  // Whether there may be thieves from now on. REQUIRES: nobody uses the queue meanwhile.
  void set_shared(bool shared) { shared_ = shared; }

  // Owner only. push_tail returns false when the ring is full.
  bool push_tail(G* g) {
    uint32_t head = head_.load(std::memory_order_acquire), tail = tail_.load(std::memory_order_relaxed);
    if (tail - head >= kSize) return false;
    ring_[tail % kSize].store(g, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  // Owner only. put_next returns the goroutine that was next before (the caller moves it to the tail), or null.
  G* put_next(G* g) {
    if (shared_) return next_.exchange(g, std::memory_order_acq_rel);
    G* before = next_.load(std::memory_order_relaxed);
    next_.store(g, std::memory_order_release);
    return before;
  }
  // Owner only: runnext, or null.
  G* take_next() {
    G* g = next_.load(std::memory_order_relaxed);
    if (!g) return nullptr;
    if (shared_) return next_.compare_exchange_strong(g, nullptr, std::memory_order_acq_rel) ? g : nullptr;
    next_.store(nullptr, std::memory_order_release);
    return g;
  }
  // The oldest of the ring, or null. A thief may have it by the time.
  G* front() const {
    uint32_t head = head_.load(std::memory_order_acquire);
    return head == tail_.load(std::memory_order_acquire) ? nullptr : ring_[head % kSize].load(std::memory_order_relaxed);
  }
  // How many have left the ring. It stands still while runnext after runnext is run.
  uint32_t head() const { return head_.load(std::memory_order_relaxed); }
  // Owner only: runnext first.
  G* pop() {
    G* g = take_next();
    return g ? g : pop_front();
  }
  // Owner only: the oldest of the ring.
  G* pop_front() {
    for (;;) {
      uint32_t head = head_.load(std::memory_order_acquire), tail = tail_.load(std::memory_order_relaxed);
      if (head == tail) return nullptr;
      G* g = ring_[head % kSize].load(std::memory_order_relaxed);
      if (!shared_) {
        head_.store(head + 1, std::memory_order_release);
        return g;
      }
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel)) return g;
    }
  }
  // Owner only: takes the older half out when the ring is full. Returns how many were written to out (up to 128).
  uint32_t take_half(G** out);

  // Any thread: steals half (rounded up) of the ring into out (room for 128); when the ring is empty and take_next, runnext.
  uint32_t steal(G** out, bool take_next);

  uint32_t size() const {   // without runnext; a snapshot
    uint32_t head = head_.load(std::memory_order_acquire), tail = tail_.load(std::memory_order_acquire);
    return tail - head;
  }
  bool empty() const { return size() == 0 && next_.load(std::memory_order_acquire) == nullptr; }
  G* peek_next() const { return next_.load(std::memory_order_acquire); }

 private:
  friend struct LayoutAccess;   // layout.h

  std::atomic<uint32_t> head_{0};
  std::atomic<uint32_t> tail_{0};
  std::atomic<G*> next_{nullptr};
  bool shared_ = true;
  std::atomic<G*> ring_[kSize]{};
};

}  // namespace gort
