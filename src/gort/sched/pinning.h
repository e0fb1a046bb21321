// Pinning: on some lanes a goroutine that has started stays on its machine; only those that have not are stolen.
//
// CPython without the GIL ties memory and reference counts to OS threads, so a Python function that has begun cannot go on on another one. Such a
// lane (Lane::pins) has Go's queues for goroutines that have not started, and for the others a queue in each machine:
//
//   started and readied here        its machine's next or tail, without a lock
//   readied elsewhere               its machine's inbox; the machine gets an idle P, or *wants* one
//
// Invariants
//  1. No P is idle while a machine wants one (both under the lane's lock): who frees a P gives it to the machine that has wanted one longest.
//  2. A machine that sleeps has an empty PinnedQueue or wants a P. Who posts looks at `idle` after it has posted, who goes idle looks
//     at the queue after it has said so; both sequentially consistent, so one of them sees the other.
//  3. Within one machine the order is that of one queue: an entry carries a number of its P's, and the smaller one of the two heads is next (G::order).
//  4. A machine on which goroutines live is not ended.
//
// What pinning costs: while a goroutine blocks or computes, the others of its machine wait, whatever other machines do. sysmon counts that and names who
// it was (Stalls). One that computes is asked to yield, once a time slice until it does (LaneHooks::end_slice): only a machine with its hooks'
// state can ask, so one is sent for it, without a P. For one that blocks there is no remedy.
//
// Rejected: a P for each machine, for ever (a goroutine that blocks would take its P out of use); one queue with holes that thieves pass over.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include "gort/base/clock.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/run_queue.h"

namespace gort {

class PinnedQueue {
 public:
  // --- the machine itself
  void push_tail(G* g, uint32_t order) {
    g->order.store(order, std::memory_order_relaxed);
    mine_.push(g);
    size_.fetch_add(1, std::memory_order_relaxed);
  }
  void put_next(G* g) {   // REQUIRES: there is none
    next_ = g;
    size_.fetch_add(1, std::memory_order_relaxed);
  }
  G* take_next() {
    if (!next_) return nullptr;
    size_.fetch_sub(1, std::memory_order_relaxed);
    return std::exchange(next_, nullptr);
  }
  G* front() const { return mine_.front(); }
  G* pop() {
    G* g = mine_.pop();
    if (!g) return nullptr;
    size_.fetch_sub(1, std::memory_order_relaxed);
    popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return g;
  }
  G* take() {   // the next one, else the oldest
    G* g = take_next();
    return g ? g : pop();
  }
  bool has_post() const { return inbox_.size() != 0; }
  void collect(uint32_t order) {
    std::lock_guard hold(lock_);
    while (G* g = inbox_.pop()) {
      g->order.store(order, std::memory_order_relaxed);
      mine_.push(g);
    }
  }

  // --- any thread
  void post(G* g) {
    size_.fetch_add(1, std::memory_order_seq_cst);   // first, so that it never falls below 0
    std::lock_guard hold(lock_);
    inbox_.push(g);
  }
  bool empty() const { return size_.load(std::memory_order_seq_cst) == 0; }
  uint32_t size() const { return size_.load(std::memory_order_relaxed); }
  uint32_t popped() const { return popped_.load(std::memory_order_relaxed); }

  void after_fork_in_child() {
    new (&lock_) SpinLock;
    new (&inbox_) GlobalQueue;
    new (&mine_) GlobalQueue;
    next_ = nullptr;
    size_.store(0, std::memory_order_relaxed);
  }

 private:
  GlobalQueue mine_;
  G* next_ = nullptr;
  SpinLock lock_;
  GlobalQueue inbox_;                      // guarded by lock_
  std::atomic<uint32_t> size_{0};          // of all three; one more while somebody posts
  std::atomic<uint32_t> popped_{0};
};

// What a machine has besides on a lane that pins.
struct Pinning {
  PinnedQueue queue;
  std::atomic<uint32_t> alive{0};          // goroutines that live here
  uint32_t locked = 0;                     // of them, those that called lock_os_thread. Machine only
  Nanos processor_since = 0;               // when it got its P. Guarded by the lane's lock, read by the machine
  bool wants = false;                      // a P. Guarded by the lane's lock
  Nanos wants_since = 0;                   // likewise

  // sysmon only
  uint32_t seen_popped = 0;
  Nanos stalled_since = 0;                 // since then the queue's head stands; 0: it moves
  Nanos asked_at = 0;                      // when the goroutine that computes there was last asked to yield
  bool told = false;                       // this stall is counted
};

// How often goroutines stood behind another one of their machine for longer than a time slice, and who was the last of those. Written by sysmon.
struct Stalls {
  std::atomic<uint64_t> count{0};
  std::atomic<uint64_t> culprit{0};        // goroutine id
  std::atomic<bool> blocked{false};        // it was in foreign code; else it computed
};

}  // namespace gort
