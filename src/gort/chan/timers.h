// after, tick, ChanTimer, Ticker: times as channels, for native goroutines.
//
//   TimerChan timeout = after(2 * kSecond);
//   int64_t v;
//   if (select(recv(results, &v), recv(timeout)) == 1) give_up();   // chan/typed_select.h
//
//   Ticker ticker(kSecond);
//   for (;;) redraw(ticker.c().recv());
//
// What is received is the time for which the timer was set, in seconds of the monotonic clock (CLOCK_MONOTONIC), however late the
// receive is: of several ticks that nobody took the first one. Rules of Go 1.23: nothing stale is received after stop or reset, and a
// timer that nobody waits for costs no more than its memory and goes away with its last reference.
//
// All of them are references: copies mean the same timer. Durations are nanoseconds; zero and less is now, what is beyond the clock's
// end never comes.
//
// Thread safety: every function and method, any goroutine or thread. Only the receives park.
#pragma once

#include <utility>

#include "gort/base/clock.h"
#include "gort/base/ref.h"
#include "gort/chan/select.h"
#include "gort/chan/timer_channel.h"

namespace gort {

// TimerChan is the receiving end of a timer. A default-made one is nil: it blocks for ever.
class TimerChan {
 public:
  TimerChan() = default;
  explicit TimerChan(Ref<TimerChannel> timer) : timer_(std::move(timer)) {}

  // recv parks until the time has come. Wait reason: chan receive. A wait that the runtime ends throws what throw_outcome says.
  double recv() const;
  // recv_until returns false if the deadline passed first; *when is untouched then.
  [[nodiscard]] bool recv_until(double* when, Nanos deadline) const;
  // try_recv returns false if the time has not come or the value was taken. Never parks.
  [[nodiscard]] bool try_recv(double* when) const;

  // receive is an arm of select; when: null drops the time. The caller keeps the timer for as long as the select lasts.
  SelectCase receive(double* when = nullptr) const {
    return {timer_ ? &timer_->channel() : nullptr, SelectCase::Recv, when, timer_.get()};
  }

  explicit operator bool() const { return bool(timer_); }   // false: nil
  const Ref<TimerChannel>& ref() const { return timer_; }

 private:
  Ref<TimerChannel> timer_;
};

// after gives the time once, d from now. Throws std::bad_alloc, as all that makes a timer here.
TimerChan after(Nanos d);

// tick gives the time every d; ticks that nobody takes are lost. Nil if d is not positive.
TimerChan tick(Nanos d);

// ChanTimer is Go's Timer with a channel (Timer is the core's own, time/timer.h).
class ChanTimer {
 public:
  explicit ChanTimer(Nanos d) : c_(after(d)) {}
  const TimerChan& c() const { return c_; }

  // stop and reset (to d from now) return whether the timer was active: its value not received yet.
  bool stop() const { return c_.ref()->stop(); }
  bool reset(Nanos d) const { return c_.ref()->reset(deadline_after(d), 0); }

 private:
  TimerChan c_;
};

// Ticker ticks until it is stopped or its last reference is gone.
class Ticker {
 public:
  // Throws Panic("non-positive interval for NewTicker").
  explicit Ticker(Nanos period);
  const TimerChan& c() const { return c_; }

  // stop returns whether it was running. The channel stays open.
  bool stop() const { return c_.ref()->stop(); }
  // reset: the next tick is a period from now. Returns whether it was running. Throws Panic("non-positive interval for Ticker.Reset")
  // and leaves it as it was.
  bool reset(Nanos period) const;

 private:
  TimerChan c_;
};

}  // namespace gort
