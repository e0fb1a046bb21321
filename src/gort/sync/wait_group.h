// WaitGroup waits for a set of tasks to finish.
//
//   gort::WaitGroup wg;
//   for (auto& url : urls) wg.go([&] { fetch(url); });
//   wg.wait();
//
// Thread safety: every method may be called from any goroutine or thread. The counter and the number of waiters share one
// 64-bit word, so that the last done() sees exactly the waiters it must wake; a wait() that comes later returns at once.
// Waiters come and go under lock_, so a wait that ends early leaves exact counts.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "gort/base/clock.h"
#include "gort/base/errors.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"

namespace gort {

class WaitGroup {
 public:
  WaitGroup() = default;
  WaitGroup(const WaitGroup&) = delete;
  WaitGroup& operator=(const WaitGroup&) = delete;

  // add changes the counter by delta (may be negative).
  // Throws Panic("sync: negative WaitGroup counter") or Panic("sync: WaitGroup misuse: Add called concurrently with Wait")
  // and leaves the counter as it was.
  // REQUIRES: an add that raises the counter from zero happens before wait().
  void add(int32_t delta);
  void done() { add(-1); }

  // wait parks the caller until the counter is zero. Wait reason: sync.WaitGroup.Wait.
  // Throws Panic("sync: WaitGroup is reused before previous Wait has returned"), and what throw_outcome says if the runtime ends the wait.
  void wait() {
    Outcome o = wait_until(kForever);
    if (o != Outcome::Fired) [[unlikely]] throw_outcome(o);
  }
  [[nodiscard]] Outcome wait_until(Nanos deadline = kForever);

  // go runs fn in a new goroutine and counts it until it returns or is ended by goexit.
  // An exception that leaves fn ends the process before anybody sees the counter drop (as Go's panic does).
  template <class F>
  void go(F&& fn) {
    add(1);
    gort::go([this, fn = std::forward<F>(fn)]() mutable {
      try {
        fn();
      } catch (const GoExit&) {
        done();
        throw;
      }
      done();
    });
  }

  int32_t count() const { return int32_t(state_.load(std::memory_order_relaxed) >> 32); }
  uint32_t waiters() const { return uint32_t(state_.load(std::memory_order_relaxed)); }

 private:
  void wake_all();

  std::atomic<uint64_t> state_{0};    // counter << 32 | waiters; the lower half changes under lock_ only
  SpinLock lock_{LockRank::Sync};
  WaitQueue queue_;                   // guarded by lock_
};

}  // namespace gort
