// What allocators owe the collector: they start it, and help it while they allocate faster than it marks.
//
// Debt is kept per cache, in bytes of scan work: taking fresh slots costs bytes * ratio. A debtor first uses up
// the worker's credit, then marks, at least 64 KiB at a time so that the start-up is worth it. If there is nothing to mark although it is
// in debt, others hold the rest or marking is over: it yields, so that the worker gets to end the cycle even on one P with
// goroutines that never yield, and tries again. After kPatience times it parks until marking has ended: the worker is on another P
// whose thread the system does not run just now. What is allocated while marking is born black, so an allocator that went on instead
// would raise the next goal with every cycle. Go parks at once, which costs a wake-up where a yield mostly does.
//
// Likewise an allocator beyond the trigger yields to let the requested cycle begin, and parks when it is kHeadroom above the goal.
//
// A thread without a P (Python, plain threads) neither yields nor waits: it is in mutator state and may hold the GIL. It helps by
// marking alone.
#include <algorithm>

#include "gort/gc/state.h"
#include "gort/heap/cache.h"
#include "gort/heap/hooks.h"
#include "gort/sched/park.h"
#include "gort/sched/processor_local.h"

namespace gort::gc {
namespace {

constexpr int64_t kOverAssist = 64 << 10;
constexpr int kPatience = 8;
constexpr uint64_t kHeadroom = 4 << 20;  // above the goal, or an eighth of the goal if that is more

std::atomic<int64_t>& account() {
  ProcessorPin pin;
  heap::Cache* cache = heap::local_cache(pin);
  return cache ? cache->assist_credit : state.shared_account;   // a cache is never freed: its account outlives the pin
}

// take_credit returns how much of `want` the worker has done in advance.
int64_t take_credit(int64_t want) {
  std::atomic<int64_t>& credit = state.pacer.background_credit;
  int64_t have = credit.load(std::memory_order_relaxed);
  while (have > 0) {
    int64_t taken = std::min(have, want);
    if (credit.compare_exchange_weak(have, have - taken, std::memory_order_relaxed)) return taken;
  }
  return 0;
}

// assist charges the caller. True if it is still in debt, for want of work.
bool assist(std::atomic<int64_t>& charged, size_t bytes) {
  auto cost = int64_t(double(bytes) * state.pacer.assist_ratio());
  int64_t balance = charged.load(std::memory_order_relaxed) - cost;
  if (balance < 0) balance += take_credit(-balance);
  if (balance < 0) {
    Nanos began = nanotime();
    {
      Marker marker;
      balance += int64_t(marker.drain(uint64_t(std::max(-balance, kOverAssist))));
    }
    state.assist_time.fetch_add(nanotime() - began, std::memory_order_relaxed);
  }
  charged.store(balance, std::memory_order_relaxed);
  return balance < 0;
}

}  // namespace
}  // namespace gort::gc

namespace gort::heap {

void before_refill(size_t bytes) {
  if (marking.load(std::memory_order_relaxed) != 0) {
    for (int tries = 0; gc::assist(gc::account(), bytes); tries++) {
      if (!has_processor()) return;
      if (tries == gc::kPatience) {
        gc::wait_for_mark_end();
        return;
      }
      yield();
      if (marking.load(std::memory_order_relaxed) == 0) return;
      bytes = 0;  // charged once
    }
  } else if (heap.live.load(std::memory_order_relaxed) >= heap.trigger.load(std::memory_order_relaxed)) {
    if (!gc::state.requested.load(std::memory_order_relaxed)) gc::request(gc::Reason::Heap);
    if (!has_processor()) return;
    auto live = uint64_t(heap.live.load(std::memory_order_relaxed));
    uint64_t goal = gc::state.pacer.goal();
    if (live > goal && live - goal > std::max(gc::kHeadroom, goal / 8))
      gc::wait_for_mark_end();
    else
      yield();
  }
}

}  // namespace gort::heap
