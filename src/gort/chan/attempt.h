// What Channel and select do under a channel's lock, for the files of this folder: a header of its own because it looks at libgort's own clock.
//
// Stats::blocked goes by coarse_now: two loads and a comparison a wait. Rejected: the real clock, 40 ns of a wait that takes 100. Waits that are shorter
// than the coarse clock's step are nearly always 0 and now and then a whole step, in proportion to their length, so sums are right.
// A wait is counted by whoever ends it, under the lock. Rejected: by the waiter, once it runs again: the channel may be gone by then, as whoever
// woke it may have given up the last reference (a reply's channel on the stack of the one who asked).
#pragma once

#include "gort/chan/channel.h"
#include "gort/sched/runtime.h"

namespace gort {

inline void Channel::time_wait(Waiter& w) {
  w.since = coarse_now.load(std::memory_order_relaxed);
  if (w.since == 0) w.since = nanotime();   // nobody looks at the clock for all: it may be a long wait
}

inline void Channel::count_wait(const Waiter& w) {
  Nanos now = coarse_now.load(std::memory_order_relaxed);
  if (now != w.since) [[unlikely]] add_blocked(w.since, now);
}

[[gnu::always_inline]] inline Channel::Attempt Channel::send_locked(const void* element, G*& wake) {
  if (closed_.load(std::memory_order_relaxed)) [[unlikely]] return Attempt::Closed;
  if (!receivers_.empty()) {
    if (Waiter* w = receivers_.pop_claimed()) {
      if (w->element) move_element(w->element, element, size_);
      w->ok = true;
      count_wait(*w);
      wake = w->g;
      sent_++;
      return Attempt::Done;
    }
  }
  size_t count = count_.load(std::memory_order_relaxed);
  if (count == capacity_) return Attempt::Blocked;
  move_element(slot(send_index_), element, size_);
  if (++send_index_ == capacity_) send_index_ = 0;
  set_count(++count);
  if (count > high_water_) [[unlikely]] high_water_ = count;
  sent_++;
  return Attempt::Done;
}

[[gnu::always_inline]] inline Channel::Attempt Channel::recv_locked(void* element, G*& wake) {
  size_t count = count_.load(std::memory_order_relaxed);
  if (count > 0) {
    void* from = slot(recv_index_);
    if (element) move_element(element, from, size_);
    if (++recv_index_ == capacity_) recv_index_ = 0;
    // A sender waits only for a full buffer: its value takes the slot that has just become free, at the end of the line.
    if (Waiter* w = senders_.empty() ? nullptr : senders_.pop_claimed()) {
      move_element(from, w->element, size_);
      send_index_ = recv_index_;
      w->ok = true;
      count_wait(*w);
      wake = w->g;
      sent_++;
    } else {
      set_count(count - 1);
    }
    return Attempt::Done;
  }
  if (closed_.load(std::memory_order_relaxed)) {
    if (element && size_ != 0) std::memset(element, 0, size_);
    return Attempt::Closed;
  }
  if (Waiter* w = senders_.empty() ? nullptr : senders_.pop_claimed()) {
    if (element) move_element(element, w->element, size_);
    w->ok = true;
    count_wait(*w);
    wake = w->g;
    sent_++;
    return Attempt::Done;
  }
  return Attempt::Blocked;
}

}  // namespace gort
