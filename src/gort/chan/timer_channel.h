// TimerChannel: the channel of a timer or ticker, with the rules of Go 1.23.
//
//   Ref<TimerChannel> t = TimerChannel::make();
//   t->reset(deadline_after(kSecond), 0);
//   { TimerChannel::Receiving r(*t); t->channel().recv(&when); }      // when: seconds of the monotonic clock, a double
//
// The native face is chan/timers.h; this is what it and the bindings share.
//
// A value is there from the time on, but it can be taken only by a receive that looks; nobody sees it in len. So stop and reset
// can promise that nothing stale is received afterwards, and that they return true whenever the value has not been received.
//
// As in Go the timer is armed only while somebody waits for the channel; others look at the clock (Receiving). A ticker that nobody
// listens to costs nothing, hides no deadlock, and goes away with its last reference.
//
// Thread safety: every method, any goroutine or thread. lock_ ranks as a context's: before the channel's.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/ref.h"
#include "gort/base/spin_lock.h"
#include "gort/chan/channel.h"
#include "gort/time/timer.h"

namespace gort {

class TimerChannel {
 public:
  static Ref<TimerChannel> make() { return Ref<TimerChannel>::adopt(new TimerChannel); }

  // Carries double: the time for which it was set, in seconds of the monotonic clock, however late anybody looks. Receive only inside a
  // Receiving.
  Channel& channel() { return *channel_; }

  // reset arms it for `when` (a nanotime), and with a period > 0 for every period after. Returns whether it was active: set and, without
  // a period, its value not yet received.
  bool reset(Nanos when, Nanos period);
  // stop disarms it and returns the same.
  bool stop();

  // Receiving brackets every look at the channel by a receive or select: makes the value that is due, and keeps the timer armed meanwhile.
  class Receiving {
   public:
    explicit Receiving(TimerChannel& t) : t_(t) { t_.enter(); }
    ~Receiving() { t_.exit(); }
    Receiving(const Receiving&) = delete;
    Receiving& operator=(const Receiving&) = delete;

   private:
    TimerChannel& t_;
  };
  void enter();
  void exit();

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  TimerChannel() : channel_(Channel::make(element_type<double>(), 1)) {}
  static void fire(void* self, uint64_t sequence);
  void make_value_locked(Nanos now);
  void arm_locked();
  bool disarm_locked();
  bool set(Nanos when, Nanos period);

  SpinLock lock_{LockRank::Context};
  std::atomic<uint32_t> references_{1};
  ChannelRef channel_;
  // Guarded by lock_:
  Timer timer_;            // armed: owns a reference
  Nanos when_ = 0;         // next time; 0: none
  Nanos period_ = 0;
  uint32_t receivers_ = 0; // parties inside Receiving
  uint64_t sequence_ = 0;  // of the present arming
};

}  // namespace gort
