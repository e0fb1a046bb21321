#include "gort/sync/yielding_spin_lock.h"

#include "gort/base/cpu.h"
#include "gort/base/errors.h"
#include "gort/sched/go.h"
#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"
#include "gort/sync/backoff.h"

namespace gort {
namespace {

constexpr int kPauses = 100;
const bool several_cpus = num_cpu() > 1;   // as in mutex.cpp

// With one P, so with the GIL, nobody who could unlock it runs meanwhile.
bool may_spin() {
  M* m = this_machine();
  RuntimeScope inside(m);
  return several_cpus && m && m->lane->processors() > 1;
}

}  // namespace

Outcome YieldingSpinLock::lock_slow() {
  if (may_spin()) {
    for (int i = 0; i < kPauses; i++) {
      cpu_relax();
      if (!held_.load(std::memory_order_relaxed) && try_lock()) return Outcome::Fired;
    }
  }
  Backoff backoff;
  do {
    Outcome outcome = backoff.pause();
    if (outcome != Outcome::Fired) return outcome;
  } while (!try_lock());
  return Outcome::Fired;
}

void YieldingSpinLock::unlock_failed() { throw Fatal("sync: unlock of unlocked SpinLock"); }

}  // namespace gort
