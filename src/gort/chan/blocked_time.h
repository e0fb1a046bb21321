// The clock of Channel::Stats::blocked, for the files of this folder: where it looks at the time is libgort's own (coarse_now).
//
// Two loads and a comparison a wait. Rejected: the real clock, 40 ns of a wait that takes 100. Waits that are shorter than the coarse clock's step are
// nearly always 0 and now and then a whole step, in proportion to their length, so sums are right.
// Whoever wakes the waiter may give up the last other reference to the channel, so a wait that is timed has one of its own. Not those of selects: it would
// be one for each arm.
#pragma once

#include "gort/chan/channel.h"
#include "gort/sched/runtime.h"

namespace gort {

// A wait of the caller's for a channel, while it lives. No lock is held at its end.
class Channel::Waited {
 public:
  explicit Waited(Channel* channel) : channel_(channel), began_(coarse_now.load(std::memory_order_relaxed)) {
    channel->retain();
    if (began_ == 0) began_ = nanotime();   // nobody looks at the clock for all: it may be a long wait
  }
  ~Waited() {
    Nanos now = coarse_now.load(std::memory_order_relaxed);
    if (now != began_) [[unlikely]] channel_->add_blocked(began_, now);
    channel_->release();
  }
  Waited(const Waited&) = delete;
  Waited& operator=(const Waited&) = delete;

 private:
  Channel* const channel_;
  Nanos began_;
};

}  // namespace gort
