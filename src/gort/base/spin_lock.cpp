#include "gort/base/spin_lock.h"

#include <sched.h>

#include <cstdio>
#include <cstdlib>

#include "gort/base/cpu.h"

namespace gort {

// The pauses grow, so that of two threads that want it all the time one gets on for a while, with the line in its cache, and they do not hand it over
// each time (a channel that four goroutines use at P=2: 17 ns an item instead of 47).
void SpinLock::lock_slow() {
  constexpr int kLongest = 32;
  for (;;) {
    for (int pauses = 1; pauses <= kLongest; pauses *= 2) {
      for (int i = 0; i < pauses; i++) cpu_relax();
      if (!held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_acquire)) return;
    }
    sched_yield();
  }
}

#ifdef GORT_DEBUG_TIER
namespace lock_rank {
namespace {
struct Held {
  const void* lock[16];
  LockRank rank[16];
  int count = 0;
};
thread_local Held held;

// A lock is never held over a switch, so the list belongs to the OS thread; the address must still not be cached.
[[gnu::noinline, gnu::noipa]] Held& mine() {
  asm volatile("");
  return held;
}
}  // namespace

void acquire(const void* lock, LockRank rank) {
  Held& h = mine();
  if (h.count > 0 && h.count < 16) {
    LockRank top = h.rank[h.count - 1];
    bool select_order = rank == top && rank == LockRank::Channel && h.lock[h.count - 1] < lock;
    bool tree_order = rank == top && rank == LockRank::Context;
    bool heap_order = rank == top && rank == LockRank::Timers && h.lock[h.count - 1] < lock;
    if (rank <= top && !select_order && !tree_order && !heap_order) {
      std::fprintf(stderr, "gort: lock rank %d taken while rank %d is held\n", int(rank), int(top));
      std::abort();
    }
  }
  if (h.count < 16) {
    h.lock[h.count] = lock;
    h.rank[h.count] = rank;
    h.count++;
  }
}

void release(const void* lock) {
  Held& h = mine();
  for (int i = h.count - 1; i >= 0; i--) {
    if (h.lock[i] != lock) continue;
    for (int j = i; j + 1 < h.count; j++) {
      h.lock[j] = h.lock[j + 1];
      h.rank[j] = h.rank[j + 1];
    }
    h.count--;
    return;
  }
}
}  // namespace lock_rank
#endif

}  // namespace gort
