#include "gort/chan/channel.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "gort/base/errors.h"
#include "gort/chan/attempt.h"
#include "gort/sched/machine.h"
#include "gort/sched/world.h"

namespace gort {
namespace {

constexpr size_t kMaxBuffer = size_t(1) << 47;

[[noreturn, gnu::cold]] void throw_closed() { throw Panic("send on closed channel"); }

}  // namespace

ChannelRef Channel::make(const ElementType& type, int64_t capacity) {
  size_t bytes = 0;
  size_t slack = type.align > alignof(Channel) ? type.align : 0;
  if (capacity < 0 || __builtin_mul_overflow(size_t(capacity), size_t(type.size), &bytes) || bytes > kMaxBuffer)
    throw Panic("makechan: size out of range");
  void* memory = ::operator new(sizeof(Channel) + slack + bytes, std::align_val_t(alignof(Channel)));
  Channel* channel = new (memory) Channel(type, size_t(capacity));
  if (slack) {
    uintptr_t end = reinterpret_cast<uintptr_t>(channel + 1);
    channel->buffer_offset_ = uint32_t((end + type.align - 1) / type.align * type.align - end);
  }
  return ChannelRef::adopt(channel);
}

void Channel::destroy(Channel* channel) {
  if (channel->type_->has_destructor) {
    for (size_t i = 0, n = channel->count_.load(std::memory_order_relaxed); i < n; i++)
      channel->type_->destroy(channel->slot((channel->recv_index_ + i) % channel->capacity_));
  }
  channel->~Channel();
  ::operator delete(channel, std::align_val_t(alignof(Channel)));
}

// --- waiting

namespace {
void release_lock(void* lock) { static_cast<SpinLock*>(lock)->unlock(); }
}  // namespace

void Channel::queue(Waiter& w, void* element, bool is_send) {
  w.element = element;
  w.channel = this;
  w.is_send = is_send;
  time_wait(w);
  (is_send ? senders_ : receivers_).push(&w);
}

void Channel::unqueue(Waiter& w) {
  lock_.lock();
  (w.is_send ? senders_ : receivers_).remove(&w);
  count_wait(w);
  lock_.unlock();
}

Outcome Channel::send_ended(Waiter& w, Outcome outcome) {
  if (outcome != Outcome::Fired) [[unlikely]] unqueue(w);
  else if (!w.ok) throw_closed();
  return outcome;
}

Received Channel::recv_ended(Waiter& w, Outcome outcome) {
  if (outcome == Outcome::Fired) [[likely]] return {outcome, w.ok};
  unqueue(w);
  return {outcome, false};
}

// --- send

// The safe points of send and recv stand at their ends: a load in front of the lock's atomic exchange is waited for by it (1.5 ns).
Outcome Channel::send(const void* element, Nanos deadline) {
  lock_.lock();
  G* wake = nullptr;
  Attempt attempt = send_locked(element, wake);
  if (attempt == Attempt::Blocked) return send_wait(element, deadline);
  lock_.unlock();
  if (attempt == Attempt::Closed) throw_closed();
  if (wake) ready(wake);
  world::safe_point();
  return Outcome::Fired;
}

// send_wait is called, and retried from the beginning, under the lock.
Outcome Channel::send_wait(const void* element, Nanos deadline) {
  if (has_passed(deadline)) {
    lock_.unlock();
    return Outcome::TimedOut;
  }
  M* m = this_machine();
  if (!m || !m->current) [[unlikely]] {  // a plain thread's first wait: becoming a goroutine takes locks of lower rank
    lock_.unlock();
    current_to_wait();
    return send(element, deadline);
  }
  Waiter w(m->current);
  queue(w, const_cast<void*>(element), true);
  return send_ended(w, park(&lock_, {.reason = WaitReason::ChanSend, .on = this, .deadline = deadline}));
}

Outcome Channel::send_stackless(const void* element, Waiter& w) {
  lock_.lock();
  G* wake = nullptr;
  Attempt attempt = send_locked(element, wake);
  if (attempt == Attempt::Blocked) {
    w = Waiter(this_machine()->current);
    queue(w, const_cast<void*>(element), true);
    return send_ended(w, park_stackless(release_lock, &lock_, {.reason = WaitReason::ChanSend, .on = this}));
  }
  lock_.unlock();
  if (attempt == Attempt::Closed) throw_closed();
  if (wake) ready(wake);
  return Outcome::Fired;
}

bool Channel::try_send_now(const void* element) {
  lock_.lock();
  G* wake = nullptr;
  Attempt attempt = send_locked(element, wake);
  lock_.unlock();
  if (attempt == Attempt::Closed) throw_closed();
  if (wake) ready(wake);
  return attempt == Attempt::Done;
}

// --- receive

Received Channel::recv(void* element, Nanos deadline) {
  lock_.lock();
  G* wake = nullptr;
  Attempt attempt = recv_locked(element, wake);
  if (attempt == Attempt::Blocked) return recv_wait(element, deadline);
  lock_.unlock();
  if (wake) ready(wake);
  world::safe_point();
  return {Outcome::Fired, attempt == Attempt::Done};
}

Received Channel::recv_wait(void* element, Nanos deadline) {
  if (has_passed(deadline)) {
    lock_.unlock();
    return {Outcome::TimedOut, false};
  }
  M* m = this_machine();
  if (!m || !m->current) [[unlikely]] {
    lock_.unlock();
    current_to_wait();
    return recv(element, deadline);
  }
  Waiter w(m->current);
  queue(w, element, false);
  return recv_ended(w, park(&lock_, {.reason = WaitReason::ChanReceive, .on = this, .deadline = deadline}));
}

Received Channel::recv_stackless(void* element, Waiter& w) {
  lock_.lock();
  G* wake = nullptr;
  Attempt attempt = recv_locked(element, wake);
  if (attempt == Attempt::Blocked) {
    w = Waiter(this_machine()->current);
    queue(w, element, false);
    return recv_ended(w, park_stackless(release_lock, &lock_, {.reason = WaitReason::ChanReceive, .on = this}));
  }
  lock_.unlock();
  if (wake) ready(wake);
  return {Outcome::Fired, attempt == Attempt::Done};
}

TryReceived Channel::try_recv_now(void* element) {
  lock_.lock();
  G* wake = nullptr;
  Attempt attempt = recv_locked(element, wake);
  lock_.unlock();
  if (wake) ready(wake);
  switch (attempt) {
    case Attempt::Done: return TryReceived::Value;
    case Attempt::Closed: return TryReceived::Closed;
    default: return TryReceived::WouldBlock;
  }
}

// --- close

void Channel::close() {
  lock_.lock();
  if (closed_.load(std::memory_order_relaxed)) {
    lock_.unlock();
    throw Panic("close of closed channel");
  }
  closed_.store(true, std::memory_order_release);
  // Claimed waiters are ours until they are readied, so their links may chain them: last claimed, first readied (as Go).
  Waiter* claimed = nullptr;
  while (Waiter* w = receivers_.pop_claimed()) {
    if (w->element && size_ != 0) std::memset(w->element, 0, size_);
    w->ok = false;
    count_wait(*w);
    w->next = claimed;
    claimed = w;
  }
  while (Waiter* w = senders_.pop_claimed()) {
    w->ok = false;
    count_wait(*w);
    w->next = claimed;
    claimed = w;
  }
  lock_.unlock();
  while (claimed) {
    Waiter* w = claimed;
    claimed = w->next;
    ready(w->g);
  }
}

// --- looking

Channel::Stats Channel::stats() {
  lock_.lock();
  Stats stats{sent_, sent_ - count_.load(std::memory_order_relaxed), blocked_, high_water_};
  lock_.unlock();
  return stats;
}

void Channel::add_blocked(Nanos began, Nanos ended) {
  if (ended == 0) ended = nanotime();
  if (ended > began) blocked_ += ended - began;
}

size_t Channel::waiting_senders() {
  lock_.lock();
  size_t n = senders_.size();
  lock_.unlock();
  return n;
}

size_t Channel::waiting_receivers() {
  lock_.lock();
  size_t n = receivers_.size();
  lock_.unlock();
  return n;
}

void Channel::verify() {
  lock_.lock();
  size_t count = count_.load(std::memory_order_relaxed);
  bool closed = closed_.load(std::memory_order_relaxed);
  const char* broken = nullptr;
  if (count > capacity_) broken = "count_ <= capacity_";
  if (capacity_ > 0 && (recv_index_ + count) % capacity_ != send_index_) broken = "send_index_ == recv_index_ + count_";
  if (count > high_water_) broken = "count_ <= high_water_";
  if (closed && !(senders_.empty() && receivers_.empty())) broken = "closed_: both queues are empty";
  lock_.unlock();
  if (!broken) return;
  std::fprintf(stderr, "gort: channel %p breaks: %s\n", static_cast<void*>(this), broken);
  std::abort();
}

// --- nil channels

namespace {
Outcome nil_wait(WaitReason reason, Nanos deadline) {
  if (has_passed(deadline)) return Outcome::TimedOut;
  begin_wait(current_to_wait());
  return park(static_cast<SpinLock*>(nullptr), {.reason = reason, .deadline = deadline});
}
}  // namespace

Outcome nil_send(Nanos deadline) { return nil_wait(WaitReason::ChanSendNil, deadline); }
Outcome nil_recv(Nanos deadline) { return nil_wait(WaitReason::ChanReceiveNil, deadline); }

void close_nil() { throw Panic("close of nil channel"); }

}  // namespace gort
