// The algorithm is Go's selectgo, with a first pass added:
//
//   0. In random order: the first case that looks ready from outside is tried under its channel's lock alone. That is as good a
//      choice as any other (it was ready at that instant, the order is random), and costs one lock instead of all.
//   1. All channels are locked in address order, each once. The first case in the random order that is ready is done.
//   2. Nothing is ready: the default, or a waiter is queued on every channel, and the goroutine parks.
//   3. Woken through one of them: that channel's partner has done the work; the other waiters leave their queues, one lock at a time.
//
// Only pass 1 may conclude that nothing is ready: it sees all channels at one instant.
#include "gort/chan/select.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

#include "gort/base/errors.h"
#include "gort/chan/attempt.h"
#include "gort/chan/timer_channel.h"
#include "gort/sched/choice.h"
#include "gort/sched/goroutine.h"
#include "gort/sched/machine.h"
#include "gort/sched/world.h"

namespace gort {
namespace {
constexpr size_t kOnStack = 8;  // so many cases need no allocation
}

class Selection {
 public:
  // REQUIRES: count >= 2; the three arrays have room for count entries; waiters is raw memory. stackless: it parks so, and nothing of this is on the stack.
  Selection(SelectCase* cases, size_t count, uint16_t* poll_order, uint16_t* lock_order, Waiter* waiters, bool stackless = false)
      : cases_(cases), poll_(poll_order), locks_(lock_order), waiters_(waiters), stackless_(stackless) {
    // Fisher-Yates, inside out, over the cases that have a channel.
    for (size_t i = 0; i < count; i++) {
      if (!cases[i].channel) continue;
      uint32_t at = n_ == 0 ? 0 : choice::below(n_ + 1);
      poll_[n_] = poll_[at];
      poll_[at] = uint16_t(i);
      n_++;
    }
  }

  Selected run(bool has_default, Nanos deadline) {
    for (uint32_t i = 0; i < n_; i++) {
      SelectCase& c = cases_[poll_[i]];
      if (!(c.dir == SelectCase::Send ? c.channel->looks_sendable() : c.channel->looks_receivable())) continue;
      G* wake = nullptr;
      c.channel->lock_.lock();
      Channel::Attempt attempt = try_locked(c, wake);
      c.channel->lock_.unlock();
      if (attempt != Channel::Attempt::Blocked) return finish(poll_[i], attempt, wake);
    }

    sort_locks();
    for (;;) {
      lock_all();
      for (uint32_t i = 0; i < n_; i++) {
        G* wake = nullptr;
        Channel::Attempt attempt = try_locked(cases_[poll_[i]], wake);
        if (attempt == Channel::Attempt::Blocked) continue;
        unlock_all();
        return finish(poll_[i], attempt, wake);
      }
      if (has_default) {
        unlock_all();
        return {Outcome::Fired, -1, false};
      }
      if (has_passed(deadline)) {
        unlock_all();
        return {Outcome::TimedOut};
      }
      if (M* m = this_machine(); m && m->current) [[likely]] return wait(m->current, deadline);
      unlock_all();  // a plain thread's first wait: becoming a goroutine takes locks of lower rank
      current_to_wait();
    }
  }

  // After the wait.
  Selected ended(G* g, Outcome outcome) {
    g->arms = nullptr;
    g->arm_count = 0;
    Waiter* fired = outcome == Outcome::Fired ? fired_waiter(g) : nullptr;
    for (uint32_t i = 0; i < n_; i++) {
      Waiter* w = &waiters_[i];
      if (w == fired) continue;
      w->channel->lock_.lock();
      (w->is_send ? w->channel->senders_ : w->channel->receivers_).remove(w);
      w->channel->lock_.unlock();
    }
    if (!fired) return {outcome};
    if (fired->is_send && !fired->ok) throw Panic("send on closed channel");
    return {Outcome::Fired, int(fired->index), !fired->is_send && fired->ok};
  }

 private:
  static Channel::Attempt try_locked(SelectCase& c, G*& wake) {
    return c.dir == SelectCase::Send ? c.channel->send_locked(c.element, wake) : c.channel->recv_locked(c.element, wake);
  }

  // No lock is held.
  Selected finish(int index, Channel::Attempt attempt, G* wake) {
    if (wake) ready(wake);
    bool is_send = cases_[index].dir == SelectCase::Send;
    if (is_send && attempt == Channel::Attempt::Closed) throw Panic("send on closed channel");
    return {Outcome::Fired, index, !is_send && attempt == Channel::Attempt::Done};
  }

  Selected wait(G* g, Nanos deadline) {
    for (uint32_t i = 0; i < n_; i++) {
      SelectCase& c = cases_[locks_[i]];
      Waiter* w = i == 0 ? new (&waiters_[0]) Waiter(g) : new (&waiters_[i]) Waiter(waiters_[0], nullptr, 0);
      w->element = c.element;
      w->index = locks_[i];
      w->channel = c.channel;
      w->is_send = c.dir == SelectCase::Send;
      Channel::time_wait(*w);
      (w->is_send ? c.channel->senders_ : c.channel->receivers_).push(w);
    }
    if (n_ == 0) begin_wait(g);  // nil channels only
    g->arms = waiters_;
    g->arm_count = n_;
    ParkOptions options{.reason = WaitReason::Select, .deadline = deadline};
    auto unlock = [](void* self) { static_cast<Selection*>(self)->unlock_all(); };
    return ended(g, stackless_ ? park_stackless(unlock, this, options) : park(unlock, this, options));
  }

  void sort_locks() {
    std::copy(poll_, poll_ + n_, locks_);
    auto before = [this](uint16_t a, uint16_t b) { return std::less<Channel*>()(cases_[a].channel, cases_[b].channel); };
    if (n_ == 2) {
      if (before(locks_[1], locks_[0])) std::swap(locks_[0], locks_[1]);
    } else {
      std::sort(locks_, locks_ + n_, before);
    }
  }
  void lock_all() {
    Channel* last = nullptr;
    for (uint32_t i = 0; i < n_; i++) {
      Channel* channel = cases_[locks_[i]].channel;
      if (channel != last) channel->lock_.lock();
      last = channel;
    }
  }
  void unlock_all() {
    Channel* last = nullptr;
    for (uint32_t i = n_; i-- > 0;) {
      Channel* channel = cases_[locks_[i]].channel;
      if (channel != last) channel->lock_.unlock();
      last = channel;
    }
  }

  SelectCase* const cases_;
  uint16_t* const poll_;   // indices of cases, in the order in which they are tried
  uint16_t* const locks_;  // the same, by address of the channel
  Waiter* const waiters_;  // parallel to locks_
  const bool stackless_;
  uint32_t n_ = 0;         // cases with a channel
};

namespace {

Selected select_one(SelectCase& c, Nanos deadline) {
  if (c.dir == SelectCase::Send) {
    Outcome outcome = c.channel ? c.channel->send(c.element, deadline) : nil_send(deadline);
    return {outcome, outcome == Outcome::Fired ? 0 : -1, false};
  }
  Received r = c.channel ? c.channel->recv(c.element, deadline) : Received{nil_recv(deadline), false};
  return {r.outcome, r.outcome == Outcome::Fired ? 0 : -1, r.ok};
}

Selected select_none(Nanos deadline) {
  if (has_passed(deadline)) return {Outcome::TimedOut};
  begin_wait(current_to_wait());
  return {park(static_cast<SpinLock*>(nullptr), {.reason = WaitReason::SelectNoCases, .deadline = deadline})};
}

void check_count(size_t count) {
  if (count > kMaxSelectCases) throw Panic("reflect.Select: too many cases (max 65536)");
}

// What a Selection needs, on the heap.
struct Room {
  explicit Room(size_t n) : waiters(std::allocator<Waiter>().allocate(n)), orders(new (std::nothrow) uint16_t[2 * n]), n(n) {
    if (orders) return;
    std::allocator<Waiter>().deallocate(waiters, n);
    throw std::bad_alloc();
  }
  ~Room() {
    std::allocator<Waiter>().deallocate(waiters, n);
    delete[] orders;
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  Waiter* waiters;
  uint16_t* orders;
  size_t n;
};

Selected select_cases(SelectCase* cases, size_t count, bool has_default, Nanos deadline) {
  if (count == 0) return has_default ? Selected{Outcome::Fired, -1, false} : select_none(deadline);
  if (!has_default) world::safe_point();
  if (count == 1) return has_default ? detail::select_one_or_default(cases[0]) : select_one(cases[0], deadline);
  if (count <= kOnStack) {
    uint16_t poll[kOnStack], locks[kOnStack];
    alignas(Waiter) unsigned char waiters[kOnStack * sizeof(Waiter)];
    return Selection(cases, count, poll, locks, reinterpret_cast<Waiter*>(waiters)).run(has_default, deadline);
  }
  check_count(count);
  Room room(count);
  return Selection(cases, count, room.orders, room.orders + count, room.waiters).run(has_default, deadline);
}

// The timers among the cases, looked at and kept armed for as long as it lives.
class Receivings {
 public:
  Receivings(SelectCase* cases, size_t count) : cases_(cases), count_(count) {
    for (size_t i = 0; i < count_; i++) {
      if (cases_[i].timer) cases_[i].timer->enter();
    }
  }
  ~Receivings() {
    for (size_t i = 0; i < count_; i++) {
      if (cases_[i].timer) cases_[i].timer->exit();
    }
  }
  Receivings(const Receivings&) = delete;
  Receivings& operator=(const Receivings&) = delete;

 private:
  SelectCase* const cases_;
  const size_t count_;
};

}  // namespace

struct StacklessSelect::Parts {
  Parts(SelectCase* cases, size_t count)
      : receivings(cases, count), room(count), selection(cases, count, room.orders, room.orders + count, room.waiters, true) {}
  Receivings receivings;
  Room room;
  Selection selection;
};

StacklessSelect::StacklessSelect(SelectCase* cases, size_t count) {
  check_count(count);
  parts_ = std::make_unique<Parts>(cases, count);
}

StacklessSelect::~StacklessSelect() = default;

Selected StacklessSelect::run(Nanos deadline) { return parts_->selection.run(false, deadline); }

Selected StacklessSelect::ended(Outcome outcome) { return parts_->selection.ended(this_machine()->current, outcome); }

Selected detail::select_any(SelectCase* cases, size_t count, bool has_default, Nanos deadline) {
  for (size_t i = 0; i < count; i++) {
    if (!cases[i].timer) [[likely]] continue;
    Receivings receivings(cases, count);
    return select_cases(cases, count, has_default, deadline);
  }
  return select_cases(cases, count, has_default, deadline);
}

}  // namespace gort
