#include "gort/sched/preempt.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "gort/base/cpu.h"

namespace gort::preempt {

// No static that is made at its first use: after a fork while sysmon makes it, the child's sysmon would wait for ever for that to end.
bool available() {
  static std::atomic<int> registered{0};   // 1: yes; -1: no
  int known = registered.load(std::memory_order_relaxed);
  if (known == 0) {
    known = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 1 : -1;
    registered.store(known, std::memory_order_relaxed);
  }
  return known > 0;
}

bool barrier() { return available() && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0; }

bool try_lock(M* m) {
  if (!available()) return false;
  m->retake.store(true, std::memory_order_relaxed);
  if (barrier() && !m->inside.load(std::memory_order_acquire)) return true;
  unlock(m);
  return false;
}

void unlock(M* m) { m->retake.store(false, std::memory_order_release); }

void wait_while_locked(M* m) {
  for (int spins = 0; m->retake.load(std::memory_order_acquire); spins++) {
    if (spins < 1000) cpu_relax();
    else sched_yield();
  }
}

void out_of_order(const char* what) {
  std::fprintf(stderr, "fatal error: %s\n", what);
  std::abort();
}

}  // namespace gort::preempt
