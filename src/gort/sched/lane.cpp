#include "gort/sched/lane.h"

#include <sched.h>

#include <mutex>

#include "gort/base/cpu.h"
#include "gort/sched/choice.h"
#include "gort/sched/run_group.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

constexpr uint32_t kGlobalCheck = 61;    // every 61st slice looks at the global queue first
constexpr uint32_t kFreeHigh = 64, kFreeLow = 32;
constexpr uint64_t kIdBatch = 16;

}  // namespace

void notify_own(M* t) {
  if (t->counted_idle.exchange(false)) Runtime::get().machine_active();
  t->own_ready.store(true, std::memory_order_release);
  t->attention.store(true, std::memory_order_release);
  t->wake.set();
}

void Lane::clear_left(M* m) {
  G* left = m->left;
  if (!left) return;
  m->left = nullptr;
  bool dead = left->status.load(std::memory_order_relaxed) == Status::Dead;
  left->on_cpu.store(false, std::memory_order_release);
  if (dead) free_goroutine(m, left);
}

Lane::Lane(const char* name, size_t stack_size, LaneHooks* hooks) : name_(name), hooks_(hooks), stacks_(stack_size) {}

// ---------------------------------------------------------------- goroutines

G* Lane::new_goroutine() {
  M* m = this_machine();
  P* p = m && m->lane == this ? m->p : nullptr;
  G* g = nullptr;
  if (p && p->free) {
    g = p->free;
    p->free = g->next;
    p->free_count--;
  } else {
    std::lock_guard hold(lock_);
    g = free_;
    if (g) {
      free_ = g->next;
      free_count_--;
    }
  }
  if (!g) {
    g = new G;
    g->lane = this;
    g->fiber.stack = stacks_.take();
    Runtime::get().register_goroutine(g);
  } else if (!g->fiber.stack.low) {
    g->fiber.stack = stacks_.take();
  }
  uint64_t id;
  if (p) {
    if (p->next_id == p->last_id) {
      p->next_id = Runtime::get().next_ids(kIdBatch);
      p->last_id = p->next_id + kIdBatch;
    }
    id = p->next_id++;
    count(p->counters.spawns);
  } else {
    id = Runtime::get().next_ids(1);
    loose_spawns_.fetch_add(1, std::memory_order_relaxed);
  }
  g->next = nullptr;
  g->id.store(id, std::memory_order_relaxed);
  g->parent_id = m && m->current ? m->current->id.load(std::memory_order_relaxed) : 0;
  g->requests.store(0, std::memory_order_relaxed);
  g->self_claimed = false;
  g->started.store(false, std::memory_order_relaxed);
  g->system = false;
  g->group = m && m->current ? m->current->group : nullptr;
  if (g->group) g->group->add();
  g->scan_word.store(world::current_epoch() << 1, std::memory_order_relaxed);
  return g;
}

void Lane::fiber_main(void* argument) {
  G* g = static_cast<G*>(argument);
  finish_switch(g->fiber);
  M* m = this_machine();
  if (LaneHooks* hooks = g->lane->hooks()) hooks->switched(m, g);
  g->lane->clear_left(m);
  g->entry(g);
  m = this_machine();
  g->lane->finish(m, g);
}

void Lane::start(G* g) {
  prepare(g->fiber, fiber_main, g);
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  M* m = this_machine();
  if (m && m->p && m->lane == this) enqueue_next(m, g);
  else enqueue(g);
}

void Lane::discard(G* g) {
  M* m = this_machine();
  if (m && m->lane == this && m->p) count(m->p->counters.ends);
  else loose_ends_.fetch_add(1, std::memory_order_relaxed);
  g->status.store(Status::Dead, std::memory_order_relaxed);
  if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();
  std::lock_guard hold(lock_);
  g->next = free_;
  free_ = g;
  free_count_++;
}

void Lane::finish(M* m, G* g) {
  if (m->p) count(m->p->counters.ends);
  else loose_ends_.fetch_add(1, std::memory_order_relaxed);
  g->status.store(Status::Dead, std::memory_order_relaxed);
  if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();
  m = this_machine();
  leave(m, g);
  __builtin_unreachable();
}

void Lane::free_goroutine(M* m, G* g) {
  P* p = m->p;
  if (!p) {
    std::lock_guard hold(lock_);
    g->next = free_;
    free_ = g;
    free_count_++;
    return;
  }
  g->next = p->free;
  p->free = g;
  if (++p->free_count < kFreeHigh) return;
  std::lock_guard hold(lock_);
  while (p->free_count > kFreeLow) {
    G* moved = p->free;
    p->free = moved->next;
    p->free_count--;
    moved->next = free_;
    free_ = moved;
    free_count_++;
  }
}

void Lane::enqueue(G* g) {
  if (g->own_machine) {
    notify_own(g->own_machine);
    return;
  }
  push_global(g);
}

void Lane::push_global(G* g) {
  bool wake;
  {
    std::lock_guard hold(lock_);
    global_.push(g);
    wake = idle_processors_ != nullptr;
  }
  if (wake) ensure_machine_for_work();
}

void Lane::enqueue_next(M* m, G* g) {
#ifdef GORT_DEBUG_TIER
  // Force migration: through the global queue, where any machine may pick it up. A plain thread's own G must not be lost there.
  if (!g->own_machine && m->p->random.below(2) == 0) {
    enqueue(g);
    return;
  }
#endif
  G* kicked = m->p->queue.put_next(g);
  if (kicked && !m->p->queue.push_tail(kicked)) overflow(m, kicked);
  ensure_machine_for_work();
}

void Lane::overflow(M* m, G* g) {
  G* batch[LocalQueue::kSize / 2 + 1];
  uint32_t n = m->p->queue.take_half(batch);
  batch[n++] = g;
  {
    std::lock_guard hold(lock_);
    for (uint32_t i = 0; i < n; i++) global_.push(batch[i]);
  }
  ensure_machine_for_work();
}

// Go's Gosched uses the global queue; ours the local tail: the same order on one P, and no lock.
void Lane::yield(M* m, G* g) {
  world::safe_point();
  P* p = m->p;
  if (!p) {
    if (g->own_machine && !m->keeps_processor) {
      if (hooks_) hooks_->relax(m);
      else sched_yield();
      return;
    }
    if (!g->own_machine || !acquire_processor(m)) {
      // The P was taken while g was in foreign code: it waits for its turn.
      g->status.store(Status::Runnable, std::memory_order_relaxed);
      push_global(g);
      leave(m, g);
      return;
    }
    p = m->p;
  }
  count(p->counters.yields);
  Nanos due = p->timers.next();
  if (p->queue.empty() && global_.size() == 0 && due == 0 && !m->attention.load(std::memory_order_relaxed)) {
    count(p->tick);
    return;
  }
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  if (!p->queue.push_tail(g)) overflow(m, g);
  leave(m, g);
}

// What this P would run next, if that needs nothing but a switch; else null, and the loop decides.
G* Lane::next_here(M* m) {
  P* p = m->p;
  if (!p || m->attention.load(std::memory_order_relaxed) || world::stop_flag.load(std::memory_order_relaxed)) return nullptr;
  uint64_t tick = p->tick.load(std::memory_order_relaxed);
  if (tick % kGlobalCheck == 0 && global_.size() != 0) return nullptr;
  if (tick % 16 == 0) {
    Nanos due = p->timers.next();
    if (due != 0 && due <= nanotime()) return nullptr;
  }
  G* g = p->queue.pop();
  if (!g) return nullptr;
  if (g->own_machine || g->on_cpu.load(std::memory_order_acquire) || world::resume_scan_wanted(g) ||
      (m->own && hooks_ && !hooks_->lendable(g))) [[unlikely]] {
    if (m->current == g && !m->own) return g;
    m->handed = g;
    return nullptr;
  }
  return g;
}

void Lane::arrive(G* g) {
  M* m = this_machine();
  if (hooks_) hooks_->switched(m, g);
  clear_left(m);
}

void Lane::leave(M* m, G* g) {
  if (g->own_machine) {
    wait_for_own(m, g);
    return;
  }
  if (hooks_) hooks_->slice_ended(m, g);
  G* next = next_here(m);
  bool dying = g->status.load(std::memory_order_relaxed) == Status::Dead;
  if (next == g) {
    g->status.store(Status::Running, std::memory_order_relaxed);
    count(m->p->tick);
    return;
  }
  m->left = g;
  if (next) {
    next->status.store(Status::Running, std::memory_order_relaxed);
    next->on_cpu.store(true, std::memory_order_relaxed);
    next->started.store(true, std::memory_order_relaxed);
    m->current = next;
    m->running.store(next, std::memory_order_relaxed);
    count(m->p->tick);
    if (dying) {
      switch_fiber(m->exceptions, g->fiber, next->fiber, true);
      __builtin_unreachable();
    }
    switch_fiber(m->exceptions, g->fiber, next->fiber);
  } else {
    if (dying) {
      switch_fiber(m->exceptions, g->fiber, m->scheduler, true);
      __builtin_unreachable();
    }
    switch_fiber(m->exceptions, g->fiber, m->scheduler);
  }
  arrive(g);
}

}  // namespace gort
