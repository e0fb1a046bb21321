// Parking: how a goroutine waits and how anybody ends that wait. Every blocking primitive is built on these few calls.
//
// A goroutine G here is any party that can wait: a goroutine on a fiber (native or Python) or a plain OS thread that uses
// gort (a goroutine locked to its own thread). Primitives never ask which.
//
// One wait, from the waiter's side (the caller holds the primitive's lock and has found that it must block):
//
//   G* g = current();
//   Waiter w(g);                          // opens a new wait: takes a ticket
//   queue.push(&w);                       // under lock
//   Outcome o = park(&lock, {.reason = WaitReason::ChanReceive, .on = this, .deadline = deadline});
//                                         // releases the lock, sleeps; on return the lock is NOT held
//   if (o != Outcome::Fired) { lock.lock(); queue.remove(&w); lock.unlock(); }
//   ... w.ok, *w.element are valid if o == Fired
//
// and from the waker's side (under the primitive's lock):
//
//   Waiter* w = queue.pop();
//   if (w->claim()) { move the value to *w->element; w->ok = true; after unlocking: w->g ... ready(g) }
//
// Invariants
//  1. The decision who ends a wait is one compare-and-swap on G::wait_word, which holds (ticket, outcome). Tickets are never
//     reused by a G and G memory is type-stable, so a late timer, interrupt or second select arm fails harmlessly.
//  2. Exactly one claimer wins and must call ready(g) exactly once, after its last access to the Waiter: the Waiter lives
//     on the waiter's stack and dies when g runs.
//  3. A loser of the claim touches nothing else of the Waiter.
//  4. A G may be readied before it has left its stack. Whoever runs it next waits for G::on_cpu to clear, which the
//     successor on that stack's machine does first thing. So a lock can be released before the switch and no
//     wake-up is lost. Rejected: Go's unlock-after-switch, because on the Python lane there is a wait for the GIL between
//     the stack switch and the point where the old goroutine is fully gone, and no lock may be held over that.
//  5. park never returns Outcome::Pending.
//
// What ends a wait besides the primitive: the deadline (TimedOut), Ctrl-C for goroutine 1 (Interrupted), the end of a run
// (Exit) and a detected deadlock (Deadlock). A primitive that gets one of those takes its Waiter out of its queue and
// returns the outcome to its caller; throw_outcome() turns it into the C++ exception of the native face.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "gort/base/clock.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/wait_reason.h"

namespace gort {

struct G;
class Channel;

enum class Outcome : uint8_t { Pending = 0, Fired, TimedOut, Interrupted, Exit, Deadlock };

// current returns the calling goroutine. A plain OS thread that has none becomes one (native lane, locked to the thread).
// Null only where current_to_wait throws. Not cached across anything that may park.
G* current();

// current_to_wait is current for a caller that is about to wait. Throws Fatal where a thread runs code between two goroutines: a Python
// signal handler while goroutine 1 waits, an audit hook. Nothing can wait there. Call it before anything is changed.
G* current_to_wait();

// Waiter: one entry in one wait queue (Go's sudog). A select has one per arm, all with the same G and ticket.
// Owned by the waiting goroutine's stack; its links are guarded by the lock of the queue that it is in.
struct Waiter {
  Waiter() = default;
  // Opens a new wait of g and makes this its first arm. REQUIRES: g == current().
  explicit Waiter(G* g);
  // A further arm of the wait that first opened.
  explicit Waiter(const Waiter& first, void* element_, uint32_t index_)
      : g(first.g), ticket(first.ticket), element(element_), index(index_) {}

  // claim tries to end the wait with Outcome::Fired through this arm. True exactly once for all arms and other claimers
  // of one wait. On success the caller fills element/ok and then calls ready(g).
  bool claim();

  Waiter* next = nullptr;
  Waiter* prev = nullptr;
  bool queued = false;
  G* g = nullptr;
  uint64_t ticket = 0;
  Nanos since = 0;           // of a lock's waiter, while contention is measured: since when it has not been charged to a releaser (observe::Release);
                             // of a channel's: since when it waits (chan/attempt.h)
  void* element = nullptr;   // where the value is taken from or goes to; null: dropped
  Channel* channel = nullptr;
  uint32_t index = 0;        // which case of a select
  bool is_send = false;
  bool ok = false;           // false: woken by close
};

// WaitQueue: FIFO of Waiters, intrusive, not synchronised (guarded by its primitive's lock).
class WaitQueue {
 public:
  // empty may be called without the lock, for a look that need not be exact.
  bool empty() const { return head_.load(std::memory_order_acquire) == nullptr; }
  Waiter* front() const { return head_.load(std::memory_order_relaxed); }
  void push(Waiter* w) {
    w->next = nullptr;
    w->prev = tail_;
    if (tail_) tail_->next = w; else set_front(w);
    tail_ = w;
    w->queued = true;
  }
  void push_front(Waiter* w) {
    w->prev = nullptr;
    w->next = front();
    if (w->next) w->next->prev = w; else tail_ = w;
    set_front(w);
    w->queued = true;
  }
  // remove does nothing if w is not queued (a claimer popped it).
  void remove(Waiter* w) {
    if (!w->queued) return;
    if (w->prev) w->prev->next = w->next; else set_front(w->next);
    if (w->next) w->next->prev = w->prev; else tail_ = w->prev;
    w->next = w->prev = nullptr;
    w->queued = false;
  }
  // pop_claimed pops until a Waiter could be claimed; null if none could. The caller must ready it.
  Waiter* pop_claimed();
  size_t size() const;

 private:
  void set_front(Waiter* w) { head_.store(w, std::memory_order_release); }

  std::atomic<Waiter*> head_{nullptr};
  Waiter* tail_ = nullptr;
};

struct ParkOptions {
  WaitReason reason = WaitReason::None;
  const void* on = nullptr;    // what is waited for, shown in dumps
  Nanos deadline = kForever;   // nanotime; a deadline in the past still gives a pending claim its chance
};

// park ends the caller's time slice until its open wait is claimed and readied. REQUIRES: a Waiter or begin_wait opened the
// wait; `lock`, if not null, is held and is the only lock held. Returns with lock released.
Outcome park(SpinLock* lock, const ParkOptions& options);
// The same with a function that releases what is held (a select holds several locks).
Outcome park(void (*unlock)(void* argument), void* argument, const ParkOptions& options);

// park_stackless: park for a goroutine that needs nothing of its stack any more. The stack, and what its lane keeps with it, goes to others while it waits; when
// the wait is over the goroutine begins again in G::entry, on another one, and end_stackless gives the outcome. So nothing on its stack may be left to do: no
// Waiter, no destructor. Returns the outcome, as park does, only if the wait was over before the stack was left.
// REQUIRES: may_leave_stack(g); it is in a lane with hooks, whose goroutines have no heap pointers on their stacks (world.h). Rejected: copying the stack away and back (greenlet): wakers write to what lies on it.
bool may_leave_stack(G* g);
Outcome park_stackless(void (*unlock)(void* argument), void* argument, const ParkOptions& options);
Outcome end_stackless(G* g);

// The same for waits without a queue (sleep): begin_wait opens the wait and returns the ticket.
uint64_t begin_wait(G* g);

// claim for those who hold (g, ticket) instead of a Waiter (timers).
bool claim(G* g, uint64_t ticket, Outcome outcome);

// fired_waiter is the arm through which the last wait of g ended (select needs to know which). Valid after Fired.
Waiter* fired_waiter(G* g);

// ready makes a claimed goroutine runnable: next on this P when the caller runs on g's lane, else through g's lane's
// global queue. May be called from any thread, with or without the GIL, also while g is still leaving its stack; a core lock may be held
// (rank below Lane), but calling after unlocking is better.
void ready(G* g);

// yield puts the caller at the end of the line (Go's Gosched).
void yield();

// sleep_until parks the caller until the deadline. Returns TimedOut (the normal case), Interrupted, Exit or Deadlock.
Outcome sleep_until(Nanos deadline);

// throw_outcome raises what an outcome other than Fired means on the native face: Timeout, Interrupted, GoExit, Deadlock
// (gort/base/errors.h). TimedOut is returned to the caller instead when it asked with a deadline.
[[noreturn]] void throw_outcome(Outcome outcome);

}  // namespace gort
