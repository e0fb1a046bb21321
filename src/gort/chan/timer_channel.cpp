#include "gort/chan/timer_channel.h"

#include <mutex>

namespace gort {

// Puts the value that is due into the channel, and moves on to the next period, keeping the phase. Of several ticks that are due it is the
// first: that is the one which would be in the channel had somebody looked at its time.
void TimerChannel::make_value_locked(Nanos now) {
  if (when_ == 0 || now < when_) return;
  double seconds = double(when_) / double(kSecond);
  if (!channel_->try_send(&seconds)) {}   // the former tick was not taken: this one is lost, as in Go
  if (period_ == 0) {
    when_ = 0;
  } else {
    Nanos behind = (now - when_) / period_;
    Nanos step;
    if (__builtin_mul_overflow(period_, behind + 1, &step) || __builtin_add_overflow(when_, step, &when_)) when_ = kForever;
  }
}

void TimerChannel::arm_locked() {
  if (receivers_ == 0 || when_ == 0 || when_ == kForever || timer_.armed()) return;
  retain();
  timer_.start(when_, &TimerChannel::fire, this, ++sequence_);
}

// True: the armed timer's reference is the caller's to release, under no lock.
bool TimerChannel::disarm_locked() {
  sequence_++;
  return timer_.stop();
}

void TimerChannel::fire(void* self, uint64_t sequence) {
  auto own = Ref<TimerChannel>::adopt(static_cast<TimerChannel*>(self));
  std::lock_guard hold(own->lock_);
  if (sequence != own->sequence_) return;
  own->make_value_locked(nanotime());
  own->arm_locked();
}

void TimerChannel::enter() {
  std::lock_guard hold(lock_);
  make_value_locked(nanotime());
  receivers_++;
  arm_locked();
}

void TimerChannel::exit() {
  lock_.lock();
  bool stopped = --receivers_ == 0 && disarm_locked();
  lock_.unlock();
  if (stopped) release();
}

bool TimerChannel::set(Nanos when, Nanos period) {
  lock_.lock();
  bool active = when_ != 0;
  bool stopped = disarm_locked();
  double stale;
  if (channel_->try_recv(&stale) == TryReceived::Value) active = true;
  when_ = when;
  period_ = period;
  if (when != 0) make_value_locked(nanotime());
  arm_locked();
  lock_.unlock();
  if (stopped) release();
  return active;
}

bool TimerChannel::reset(Nanos when, Nanos period) { return set(when < 1 ? 1 : when, period); }
bool TimerChannel::stop() { return set(0, 0); }

}  // namespace gort
