#include "gort/sched/cooling.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "gort/sched/go.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort::cooling {
namespace {

// The number of its wait, 0 if it does not wait.
uint64_t wait_of(G* g) {
  uint64_t word = g->wait_word.load(std::memory_order_acquire);
  bool open = Outcome(word & 0xff) == Outcome::Pending && g->status.load(std::memory_order_acquire) == Status::Waiting;
  return open ? word >> 8 : 0;
}

bool is_to_be_looked_at(G* g) {
  uint64_t wait = wait_of(g);
  return wait != 0 && wait != g->cooled_wait.load(std::memory_order_relaxed);
}

void give_back_below(G* g) {
  uintptr_t low = uintptr_t(g->fiber.stack.low);
  // No static: preempt::available says why.
  uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE));   // madvise rounds the length up: into the frames, were it a smaller one
  uintptr_t end = uintptr_t(world::below_frame(g->fiber.sp)) & ~(page - 1);
  if (low != 0 && low < end) madvise(reinterpret_cast<void*>(low), end - low, MADV_DONTNEED);
}

void cool_native(std::vector<G*> waiting) {
  go_system([waiting = std::move(waiting)]() mutable {
    while (!waiting.empty()) {
      world::stop("stack cooling");
      cool(Runtime::get().native(), waiting);
      world::start();
      yield();
    }
  });
}

}  // namespace

void cool(Lane& lane, std::vector<G*>& waiting) {
  for (size_t i = 0; i < kBatch && !waiting.empty(); i++) {
    G* g = waiting.back();
    waiting.pop_back();
    if (!is_to_be_looked_at(g) || g->lane.load(std::memory_order_relaxed) != &lane) continue;
    g->cooled_wait.store(wait_of(g), std::memory_order_relaxed);
    if (!g->on_cpu.load(std::memory_order_acquire) && !g->own_machine) give_back_below(g);
  }
}

bool look(Nanos now) {
  static size_t next = 0;   // sysmon's own
  Runtime& runtime = Runtime::get();
  std::vector<G*> seen = runtime.goroutines(next, kLooked), native, python;
  bool unsettled = seen.size() == kLooked;
  next = unsettled ? next + kLooked : 0;
  for (G* g : seen) {
    if (g->on_thread_stack || !is_to_be_looked_at(g)) continue;
    unsettled = true;
    runtime.note_wait(g, now);
    if (now - g->wait_since.load(std::memory_order_relaxed) < runtime.options.stack_idle) continue;
    (g->lane.load(std::memory_order_relaxed) == &runtime.native() ? native : python).push_back(g);
  }
  try {
    if (!native.empty()) cool_native(std::move(native));
  } catch (const std::bad_alloc&) {
    // no stack for one more goroutine: the next look finds them again
  }
  if (!python.empty()) runtime.python()->cool_waiting(std::move(python));
  return unsettled;
}

}  // namespace gort::cooling
