#include "gort/sched/procs.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "gort/base/cpu_limit.h"
#include "gort/sched/go.h"
#include "gort/sched/processor_local.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"

namespace gort {
namespace {

constexpr Nanos kLookEvery = kSecond;

std::atomic<bool> follows{true};
std::atomic<bool> container{true};
std::atomic<bool> update{true};
std::atomic<Nanos> looked_at{0};

// REQUIRES: the caller may be stopped. `followed`: unless somebody has set the number meanwhile.
int resize(int n, bool followed) {
  Lane& lane = Runtime::get().native();
  world::stop("GOMAXPROCS");
  int before = lane.processors();
  if (n != before && (!followed || follows.load())) lane.resize(n, Runtime::get().seed());
  world::start();
  return before;
}

}  // namespace

int gomaxprocs(int n) {
  int before = Runtime::get().native().processors();
  if (n < 1) return before;
  follows.store(false);
  return n == before ? before : resize(std::min(n, int(kMaxProcs)), false);
}

void set_default_gomaxprocs() {
  follows.store(true);
  if (int n = procs::wanted(); n != Runtime::get().native().processors()) resize(n, true);
}

bool gomaxprocs_follows() { return follows.load(); }

namespace procs {

void configure(bool with_container, bool with_update) {
  container.store(with_container);
  update.store(with_update);
  if (follows.load()) set_default_gomaxprocs();
}

int wanted() { return std::min(default_procs(num_cpu(), container.load() ? cgroup_cpu_limit() : std::nullopt), int(kMaxProcs)); }

void look(Nanos now) {
  if (now - looked_at.load(std::memory_order_relaxed) < kLookEvery) return;
  if (!follows.load(std::memory_order_relaxed) || !update.load(std::memory_order_relaxed)) return;
  looked_at.store(now, std::memory_order_relaxed);
  int n = wanted();
  if (n == Runtime::get().native().processors()) return;
  try {
    go_system([n] { resize(n, true); });
  } catch (const std::bad_alloc&) {
    // no stack for one more goroutine: looked at again
  }
}

}  // namespace procs
}  // namespace gort
