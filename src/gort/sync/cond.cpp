#include "gort/sync/cond.h"

namespace gort {

void NotifyList::add(Place& place) {
  current_to_wait();   // here and not in wait: a place in the list must not outlive its caller's frame
  place.list_ = this;
  place.waiting_ = place.notified_ = false;
  lock_.lock();
  places_.push(&place);
  lock_.unlock();
}

Outcome NotifyList::wait(Place& place, Nanos deadline) {
  G* g = current();
  lock_.lock();
  Outcome outcome = Outcome::Fired;
  if (!place.notified_) {
    if (has_passed(deadline)) {
      outcome = Outcome::TimedOut;
    } else {
      place.g = g;
      place.ticket = begin_wait(g);
      place.waiting_ = true;
      outcome = park(&lock_, {.reason = WaitReason::CondWait, .on = this, .deadline = deadline});
      if (outcome == Outcome::Fired) {
        place.list_ = nullptr;
        return outcome;
      }
      lock_.lock();
    }
    places_.remove(&place);  // gone already if a notification met us and went on to the next
  }
  lock_.unlock();
  place.list_ = nullptr;
  return outcome;
}

void NotifyList::notify_one() {
  if (places_.empty()) return;
  G* wake = nullptr;
  lock_.lock();
  while (Waiter* w = places_.front()) {
    Place* place = static_cast<Place*>(w);
    places_.remove(place);
    place->notified_ = true;
    if (!place->waiting_) break;
    if (!place->claim()) continue;
    wake = place->g;
    break;
  }
  lock_.unlock();
  if (wake) ready(wake);
}

void NotifyList::notify_all() {
  if (places_.empty()) return;
  Waiter* first = nullptr;
  Waiter** end = &first;
  lock_.lock();
  while (Waiter* w = places_.front()) {
    Place* place = static_cast<Place*>(w);
    places_.remove(place);
    place->notified_ = true;
    if (!place->waiting_ || !place->claim()) continue;
    *end = place;
    end = &place->next;
  }
  lock_.unlock();
  while (first) {
    Waiter* w = first;
    first = w->next;
    ready(w->g);
  }
}

size_t NotifyList::size() {
  lock_.lock();
  size_t n = places_.size();
  lock_.unlock();
  return n;
}

void NotifyList::withdraw(Place& place) {
  lock_.lock();
  bool notified = place.notified_;
  places_.remove(&place);
  lock_.unlock();
  place.list_ = nullptr;
  if (notified) notify_one();
}

Outcome Cond::wait_until(Nanos deadline) {
  NotifyList::Place place;
  list_.add(place);
  mutex_->unlock();
  Outcome outcome = list_.wait(place, deadline);
  Outcome locked = mutex_->lock_for_sure();
  if (outcome != Outcome::Fired || locked == Outcome::Fired) return outcome;
  list_.notify_one();  // the caller will not act on the notification
  return locked;
}

}  // namespace gort
