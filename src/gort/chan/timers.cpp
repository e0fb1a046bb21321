#include "gort/chan/timers.h"

#include "gort/base/errors.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"

namespace gort {
namespace {

TimerChan running(Nanos when, Nanos period) {
  Ref<TimerChannel> timer = TimerChannel::make();
  timer->reset(when, period);
  return TimerChan(std::move(timer));
}

}  // namespace

double TimerChan::recv() const {
  double when;
  if (!recv_until(&when, kForever)) __builtin_unreachable();
  return when;
}

bool TimerChan::recv_until(double* when, Nanos deadline) const {
  SelectCase arm = receive(when);
  Outcome outcome = select(&arm, 1, false, deadline).outcome;
  if (outcome == Outcome::Fired) return true;
  if (outcome == Outcome::TimedOut) return false;
  throw_outcome(outcome);
}

bool TimerChan::try_recv(double* when) const {
  world::safe_point();   // who tries in a loop ends its slice too
  SelectCase arm = receive(when);
  return select(&arm, 1, true).index == 0;
}

TimerChan after(Nanos d) { return running(deadline_after(d), 0); }

TimerChan tick(Nanos d) { return d > 0 ? running(deadline_after(d), d) : TimerChan(); }

Ticker::Ticker(Nanos period) : c_(tick(period)) {
  if (!c_) throw Panic("non-positive interval for NewTicker");
}

bool Ticker::reset(Nanos period) const {
  if (period <= 0) throw Panic("non-positive interval for Ticker.Reset");
  return c_.ref()->reset(deadline_after(period), period);
}

}  // namespace gort
