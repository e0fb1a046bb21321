// Once runs a function once, whoever comes first; the others wait until that call is over.
//
//   static gort::Once once;
//   once.do_([] { load_tables(); });
//
// Thread safety: any goroutine or thread. A call that throws, or is ended by goexit, counts as done: only its caller sees the
// exception. A do_ inside the function on the same Once waits for itself, as in Go.
#pragma once

#include <atomic>

#include "gort/base/clock.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"
#include "gort/sync/mutex.h"

namespace gort {

class Once {
 public:
  template <class F>
  void do_(F&& fn) {
    world::safe_point();
    if (is_done()) [[likely]] return;
    Begun b = begin();
    if (b.outcome != Outcome::Fired) throw_outcome(b.outcome);
    if (!b.first) return;
    struct Finish {
      Once* once;
      ~Finish() { once->finish(); }
    } finish{this};
    fn();
  }

  bool is_done() const { return done_.load(std::memory_order_acquire); }

  // The same in pieces, for callers that cannot pass a function: iff outcome is Fired and first, the caller runs the function and
  // then calls finish (also if the function failed).
  struct Begun {
    Outcome outcome;
    bool first;
  };
  [[nodiscard]] Begun begin(Nanos deadline = kForever);
  void finish();

 private:
  std::atomic<bool> done_{false};
  Mutex mutex_;  // held from begin to finish
};

}  // namespace gort
