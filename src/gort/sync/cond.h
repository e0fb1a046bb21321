// Cond: waiting for a condition that a lock guards. NotifyList: its queue, for any kind of lock.
//
//   std::unique_lock lock(mu);
//   while (items.empty()) cond.wait();          // gort::Cond cond(mu);
//
// Thread safety: any goroutine or thread. notify without holding the lock is allowed. No spurious wake-ups; waiters are woken
// in the order in which they began to wait.
//
// A waiter takes its place in the list before it unlocks, so a notify between the unlock and the sleep is not lost. Rejected:
// Go's ticket numbers. There a ticket whose owner gave up (deadline, Ctrl-C) would swallow a signal; here the place itself is
// on the list, on its owner's stack, and leaves with it.
#pragma once

#include <cstddef>

#include "gort/base/clock.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/park.h"
#include "gort/sync/mutex.h"

namespace gort {

class NotifyList {
 public:
  // A place in the list. Lives on the waiting party's stack from add to the end of wait. Destroyed without a wait (the unlock
  // between failed) it leaves the list; a notification that it had got goes to the next one.
  class Place : private Waiter {
   public:
    Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      if (list_) list_->withdraw(*this);
    }

   private:
    friend class NotifyList;
    NotifyList* list_ = nullptr;  // null once the wait is over
    bool waiting_ = false;        // guarded by the list's lock, as the next
    bool notified_ = false;
  };

  // add puts a fresh place at the end of the list.
  void add(Place& place);

  // wait parks until the place is notified; returns at once if it was already. Wait reason: sync.Cond.Wait.
  // A deadline that has passed: no wait. Other outcomes than Fired have taken no notification.
  [[nodiscard]] Outcome wait(Place& place, Nanos deadline = kForever);

  void notify_one();
  void notify_all();

  // How many places are on the list.
  size_t size();

 private:
  void withdraw(Place& place);

  SpinLock lock_{LockRank::Sync};
  WaitQueue places_;  // guarded by lock_
};

// Cond is a NotifyList with a Mutex.
class Cond {
 public:
  // mutex outlives the Cond.
  explicit Cond(Mutex& mutex) : mutex_(&mutex) {}
  Cond(const Cond&) = delete;
  Cond& operator=(const Cond&) = delete;

  // wait unlocks the mutex, parks until notified, and locks it again.
  // REQUIRES: the mutex is held (else Fatal("sync: unlock of unlocked mutex")). It is held on return, also by exception.
  void wait() {
    Outcome o = wait_until(kForever);
    if (o != Outcome::Fired) [[unlikely]] throw_outcome(o);
  }
  [[nodiscard]] Outcome wait_until(Nanos deadline = kForever);

  void signal() { list_.notify_one(); }
  void broadcast() { list_.notify_all(); }

 private:
  Mutex* mutex_;
  NotifyList list_;
};

}  // namespace gort
