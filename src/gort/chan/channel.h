// Channel: Go's channel, for elements of any type (Go's hchan).
//
//   ChannelRef ch = Channel::make(element_type<int64_t>(), 3);
//   int64_t v = 42;
//   Outcome o = ch->send(&v);          // Fired: the bytes were taken
//   Received r = ch->recv(&v);         // Fired: v is the value, r.ok, or zero and !r.ok: closed
//
// Native code uses the typed face, Chan<T> (chan/typed_channel.h); this is what it and the bindings share.
//
// Thread safety: every method, from goroutines and plain threads. The caller holds a reference while it is inside a method.
//
// Design: Go's. One spin lock, a ring buffer in the allocation of the header, a FIFO of waiting senders and one of waiting
// receivers. A value goes straight from the party that comes to the one that waits (no barging); the waiter finds it in its own
// variable when it wakes. Closing wakes everybody.
//
// Invariants, all under lock_ (verify() asserts 1, 4 and 5):
//  1. count_ <= capacity_; send_index_ == recv_index_ + count_ modulo capacity_; the slots between are owned by the channel.
//  2. capacity_ > 0: a live receiver waits only if count_ == 0, a live sender only if count_ == capacity_. "Live": its wait may
//     still be claimed; those that gave up or fired elsewhere may linger until they take themselves out.
//  3. capacity_ == 0: live senders and receivers wait together only if all of one kind are arms of one select.
//  4. closed_: both queues are empty, and closed_ never goes back.
//  5. What was sent and not received is in the buffer: received == sent_ - count_, so nobody counts receives. count_ <= high_water_.
//
// An element that is not sent stays the caller's: a send that throws or returns another outcome than Fired has not touched it.
// A wait that ended otherwise (deadline, Ctrl-C, end of the run) has taken nothing and left nothing behind; if a partner was
// quicker, the outcome is Fired and the value counts.
//
// Rejected: Go's sudog cache (a waiter lives on the waiter's stack, stacks here do not move). A lock-free ring for buffered
// channels: it makes close and select's "all or nothing" several times as complicated, to save one exchange of the two that an
// item costs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "gort/base/clock.h"
#include "gort/base/ref.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/park.h"
#include "gort/types/element_type.h"

namespace gort {

class Channel;
using ChannelRef = Ref<Channel>;

struct Received {
  Outcome outcome;
  bool ok;  // false with Fired: the channel is closed and drained, the element is zero bytes
};

enum class TryReceived : uint8_t { WouldBlock, Value, Closed };

class alignas(16) Channel {
 public:
  // make returns an open channel. `type` outlives it. capacity: elements it holds without a receiver.
  // Throws Panic("makechan: size out of range") for a negative capacity or a buffer beyond 2^47 bytes, std::bad_alloc.
  static ChannelRef make(const ElementType& type, int64_t capacity);

  // send moves *element into the channel; parks until a receiver or a slot takes it. A deadline that has passed: tries once.
  // Throws Panic("send on closed channel"), also when the channel is closed during the wait. Wait reason: chan send.
  [[nodiscard]] Outcome send(const void* element, Nanos deadline = kForever);

  // recv moves the next value to *element (null: dropped; only for types without destructor). Wait reason: chan receive.
  [[nodiscard]] Received recv(void* element, Nanos deadline = kForever);

  // The same without ever waiting. A failure takes no lock (Go's fast path), so it may be a moment old; nor a call: a select of one with a default is
  // asked in loops.
  [[nodiscard]] bool try_send(const void* element) { return looks_sendable() && try_send_now(element); }
  [[nodiscard]] TryReceived try_recv(void* element) { return looks_receivable() ? try_recv_now(element) : TryReceived::WouldBlock; }

  // recv and send for a caller that leaves its stack if it must wait (park.h, park_stackless). w and *element are not on that stack, and live until the wait is
  // over. They return if there was no need to wait; else the caller begins again in G::entry, and recv_ended or send_ended gives what they would have
  // returned, or thrown. REQUIRES: may_leave_stack(), no deadline is wanted.
  [[nodiscard]] Received recv_stackless(void* element, Waiter& w);
  [[nodiscard]] Received recv_ended(Waiter& w, Outcome outcome);
  [[nodiscard]] Outcome send_stackless(const void* element, Waiter& w);
  [[nodiscard]] Outcome send_ended(Waiter& w, Outcome outcome);

  // close throws Panic("close of closed channel"). Waiting receivers get zero and !ok, waiting senders the Panic of send.
  void close();

  int64_t length() const { return int64_t(count_.load(std::memory_order_relaxed)); }
  int64_t capacity() const { return int64_t(capacity_); }
  bool closed() const { return closed_.load(std::memory_order_acquire); }
  const ElementType& type() const { return *type_; }

  // stats: what has happened since the channel was made, all of one instant. Takes the lock, does not park.
  struct Stats {
    uint64_t sent;      // completed sends
    uint64_t received;  // completed receives of values (not of "closed")
    Nanos blocked;      // how long sends and receives have waited, all together; a select's wait counts for the channel that ended it. Waits
                        // are timed by a clock that costs a load and stands still for up to 10 ms: of one short wait it says nothing, of many
                        // the right sum. Waits that still go on are not in it.
    size_t high_water;  // the most values that the buffer ever held
  };
  Stats stats();

  // for_each_buffered calls visit(void* element) on each value in the buffer, oldest first; for_each_waiting_sender on the
  // value that each parked sender offers (owned by that sender). Under the lock: visit does nothing that may wait or call back.
  template <class F>
  void for_each_buffered(F visit) {
    lock_.lock();
    for (size_t i = 0, n = count_.load(std::memory_order_relaxed); i < n; i++) visit(slot((recv_index_ + i) % capacity_));
    lock_.unlock();
  }
  template <class F>
  void for_each_waiting_sender(F visit) {
    lock_.lock();
    for (Waiter* w = senders_.front(); w; w = w->next) visit(w->element);
    lock_.unlock();
  }

  // For dumps: a name that its owner has given it, null if none. The owner keeps the text for the channel's life.
  const char* name() const { return name_.load(std::memory_order_acquire); }
  void set_name(const char* name) { name_.store(name, std::memory_order_release); }

  // For dumps: how many wait on either side (those that are about to leave included).
  size_t waiting_senders();
  size_t waiting_receivers();

  // References are counted. The last release destroys the channel and the values left in its buffer (ElementType::destroy).
  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  bool shared() const { return references_.load(std::memory_order_relaxed) > 1; }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(this);
  }

  // verify aborts with the equation that does not hold. For tests.
  void verify();

 private:
  friend class Selection;  // select.cpp: several channels under their locks at once

  Channel(const ElementType& type, size_t capacity) : type_(&type), size_(type.size), capacity_(capacity) {}
  static void destroy(Channel* channel);

  void* slot(size_t index) { return reinterpret_cast<char*>(this + 1) + buffer_offset_ + index * size_; }

  // Racy looks from outside the lock: may the operation go on without waiting?
  // The order matters: who saw it empty and then not closed saw one instant at which it was both.
  bool looks_sendable() const {
    return !receivers_.empty() || count_.load(std::memory_order_acquire) < capacity_ || closed_.load(std::memory_order_acquire);
  }
  bool looks_receivable() const {
    return count_.load(std::memory_order_acquire) > 0 || !senders_.empty() || closed_.load(std::memory_order_acquire);
  }
  void set_count(size_t count) { count_.store(count, std::memory_order_release); }  // under lock_

  // One attempt under lock_ (attempt.h). `wake`: set to whom the caller must ready after unlocking.
  enum class Attempt : uint8_t { Blocked, Done, Closed };
  Attempt send_locked(const void* element, G*& wake);
  Attempt recv_locked(void* element, G*& wake);

  bool try_send_now(const void* element);
  TryReceived try_recv_now(void* element);
  Outcome send_wait(const void* element, Nanos deadline);
  Received recv_wait(void* element, Nanos deadline);
  void queue(Waiter& w, void* element, bool is_send);   // under lock_: the caller parks next
  void unqueue(Waiter& w);                              // its wait has ended otherwise

  // Stats::blocked, under lock_: time_wait when somebody queues up, count_wait by whoever takes him out (attempt.h).
  static void time_wait(Waiter& w);
  void count_wait(const Waiter& w);
  [[gnu::cold]] void add_blocked(Nanos began, Nanos ended);

  SpinLock lock_{LockRank::Channel};  // guards all below that changes, except references_
  std::atomic<bool> closed_{false};
  std::atomic<uint32_t> references_{1};
  const ElementType* const type_;
  const uint32_t size_;
  uint32_t buffer_offset_ = 0;  // from the end of the header to slot 0, for large alignments
  const size_t capacity_;
  std::atomic<size_t> count_{0};
  size_t send_index_ = 0;
  size_t recv_index_ = 0;
  WaitQueue senders_;
  WaitQueue receivers_;
  uint64_t sent_ = 0;
  size_t high_water_ = 0;
  Nanos blocked_ = 0;
  std::atomic<const char*> name_{nullptr};
};

// A nil channel: both ways block for ever, which a deadline, Ctrl-C or the end of the run may end. Never Fired.
// Wait reasons: chan send (nil chan), chan receive (nil chan).
[[nodiscard]] Outcome nil_send(Nanos deadline = kForever);
[[nodiscard]] Outcome nil_recv(Nanos deadline = kForever);

// close_nil throws Panic("close of nil channel").
[[noreturn]] void close_nil();

}  // namespace gort
