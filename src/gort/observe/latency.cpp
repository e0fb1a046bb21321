#include "gort/observe/latency.h"

#include <mutex>

#include "gort/base/spin_lock.h"
#include "gort/sched/machine.h"

namespace gort::observe {

std::atomic<Nanos> latency_since{0};

namespace {
SpinLock sessions_lock{LockRank::Sync};
int sessions = 0;   // guarded by sessions_lock
LatencyHistogram loose;
}  // namespace

void note_ready_slow(G* g) { g->ready_at.store(nanotime(), std::memory_order_relaxed); }

void note_running_slow(M* m, G* g) {
  Nanos ready_at = g->ready_at.exchange(0, std::memory_order_relaxed);
  if (ready_at == 0 || ready_at < latency_since.load(std::memory_order_relaxed)) return;
  Nanos duration = nanotime() - ready_at;
  if (m->p) m->p->latencies.record(duration);
  else loose.record_shared(duration);
}

bool latency_measured() { return latency_since.load(std::memory_order_relaxed) != 0; }

void latency_start() {
  std::lock_guard guard(sessions_lock);
  if (sessions++ == 0) latency_since.store(nanotime(), std::memory_order_relaxed);
}

void latency_stop() {
  std::lock_guard guard(sessions_lock);
  if (sessions > 0 && --sessions == 0) latency_since.store(0, std::memory_order_relaxed);
}

const LatencyHistogram& loose_latencies() { return loose; }

}  // namespace gort::observe
