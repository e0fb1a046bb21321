#include "gort/sched/lane.h"

#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#include "gort/base/cpu.h"
#include "gort/observe/latency.h"
#include "gort/sched/choice.h"
#include "gort/sched/preempt.h"
#include "gort/sched/run_group.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

constexpr uint32_t kFreeHigh = 64, kFreeLow = 32;
constexpr uint64_t kIdBatch = 16;

}  // namespace

void notify_own(M* t) {
  t->own_ready.store(true);   // first: see count_idle
  if (t->counted_idle.exchange(false)) Runtime::get().machine_active();
  t->attention.store(true, std::memory_order_release);
  t->wake.set();
}

void Lane::clear_left(M* m) {
  G* left = m->left;
  if (!left) return;
  m->left = nullptr;
  bool dead = left->status.load(std::memory_order_relaxed) == Status::Dead;
  if (left->stackless || (dead && left->borrows_stack)) [[unlikely]] take_stack(left);   // before: whoever runs it next gives it another one
  left->on_cpu.store(false, std::memory_order_release);
  if (dead) free_goroutine(m, left);
}

Lane::Lane(const char* name, size_t stack_size, LaneHooks* hooks, size_t kept_above, bool pins)
    : name_(name), hooks_(hooks), pins_(pins), stacks_(stack_size, kept_above) {}

// ---------------------------------------------------------------- goroutines

// Gives g a stack of the size if it has none or one of another.
void Lane::provide_stack(G* g, size_t size) {
  if (g->fiber.stack.low) {
    if (stacks_.size_of(g->fiber.stack) == size) [[likely]] return;
    stacks_.give_back(std::exchange(g->fiber.stack, {}));
  }
  if (size == stacks_.stack_size() && take_spare_stack(g)) return;
  try {
    g->fiber.stack = stacks_.take(size);
  } catch (...) {
    std::lock_guard hold(lock_);
    keep_locked(g);
    throw;
  }
}

void Lane::take_stack(G* g) {
  g->stackless = g->borrows_stack = false;
  g->fiber.sp = nullptr;
  SpareStack spare{std::exchange(g->fiber.stack, {}), hooks_->take_state(g)};
  {
    std::lock_guard hold(lock_);
    if (spare_stacks_.size() < kSpareStacks && stacks_.is_usual(spare.stack)) {
      spare_stacks_.push_back(spare);
      return;
    }
  }
  hooks_->drop_state(spare.state);
  stacks_.give_back(spare.stack);
}

bool Lane::take_spare_stack(G* g) {
  if (!hooks_) return false;
  SpareStack spare;
  {
    std::lock_guard hold(lock_);
    if (spare_stacks_.empty()) return false;
    spare = spare_stacks_.back();
    spare_stacks_.pop_back();
  }
  g->fiber.stack = spare.stack;
  hooks_->give_state(g, spare.state);
  return true;
}

bool Lane::give_spare_stack(G* g) {
  if (!take_spare_stack(g)) return false;
  g->borrows_stack = true;
  prepare(g->fiber, fiber_main, g);
  return true;
}

void Lane::give_stack(G* g) {
  if (give_spare_stack(g)) return;
  try {
    g->fiber.stack = stacks_.take();
    hooks_->make_state(g);
  } catch (const std::bad_alloc&) {
    std::fputs("fatal error: gort: out of memory (stack of a goroutine)\n", stderr);
    std::abort();
  }
  g->borrows_stack = true;
  prepare(g->fiber, fiber_main, g);
}

void Lane::drop_spare_stacks() {
  std::vector<SpareStack> spares;
  {
    std::lock_guard hold(lock_);
    spares.swap(spare_stacks_);
  }
  for (const SpareStack& spare : spares) {
    hooks_->drop_state(spare.state);
    stacks_.give_back(spare.stack);
  }
}

void Lane::keep_locked(G* g) {
  g->next = free_;
  free_ = g;
  free_count_++;
}

// make_goroutines returns a new one and keeps some more, without stacks, for p or everybody: one by one they cost three locks each, and a system call
// for each page of them, in glibc's arenas of other threads than the first.
G* Lane::make_goroutines(P* p) {
  constexpr uint32_t kTogether = 32;
  G* all[kTogether];
  auto take = [&](auto* block) { for (uint32_t i = 0; i < kTogether; i++) all[i] = &block[i]; };
  if (hooks_) take(new G[kTogether]);
  else take(new NativeG[kTogether]);
  for (uint32_t i = 0; i < kTogether; i++) {
    all[i]->home = this;
    all[i]->lane.store(this, std::memory_order_relaxed);
    all[i]->status.store(Status::Dead, std::memory_order_relaxed);
    all[i]->next = i + 1 < kTogether ? all[i + 1] : nullptr;
  }
  Runtime::get().register_goroutines(all, kTogether);
  if (p) {
    p->free = all[1];
    count(p->free_count, kTogether - 1);
  } else {
    std::lock_guard hold(lock_);
    all[kTogether - 1]->next = cold_;
    cold_ = all[1];
  }
  return all[0];
}

G* Lane::new_goroutine(size_t stack_size) {
  M* m = this_machine();
  RuntimeScope inside(m);
  P* p = m && m->lane == this ? m->p : nullptr;
  G* g = nullptr;
  if (p && p->free) {
    g = p->free;
    p->free = g->next;
    count(p->free_count, uint32_t(-1));
  } else {
    std::lock_guard hold(lock_);
    if ((g = free_)) {
      free_ = g->next;
      free_count_--;
      if (free_least_ > free_count_) free_least_ = free_count_;
    } else if ((g = cold_)) {
      cold_ = g->next;
    }
  }
  if (!g) g = make_goroutines(p);
  if (stack_size != kNoStack) provide_stack(g, stack_size ? stack_size : stacks_.stack_size());
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
  g->preemptible.store(false, std::memory_order_relaxed);
  g->pin = nullptr;
  g->switches.clear();
  g->group = m && m->current ? m->current->group : nullptr;
  if (g->group) g->group->add();
  g->scan_word.store(world::current_epoch() << 1, std::memory_order_relaxed);
  g->outside_from.store(hooks_ ? kNoFrames : nullptr, std::memory_order_relaxed);
  return g;
}

void Lane::fiber_main(void* argument) {
  G* g = static_cast<G*>(argument);
  finish_switch(g->fiber);
  M* m = this_machine();
  Lane* lane = g->lane.load(std::memory_order_relaxed);
  if (LaneHooks* hooks = lane->hooks()) hooks->switched(m, g);
  if (lane->pins_ && !g->pin) lane->pin(m, g);
  lane->clear_left(m);
  leave_runtime(m);
  g->entry(g);
  m = this_machine();
  enter_runtime(m);
  g->home->finish(m, g);
}

void Lane::start(G* g) {
  if (g->fiber.stack.low) [[likely]] prepare(g->fiber, fiber_main, g);
  else g->fiber.sp = nullptr;   // as it left it when it had one
  observe::note_ready(g);
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  M* m = this_machine();
  RuntimeScope inside(m);
  if (m && m->p && m->lane == this) enqueue_next(m, g);
  else enqueue(g);
}

void Lane::discard(G* g) {
  M* m = this_machine();
  RuntimeScope inside(m);
  if (m && m->lane == this && m->p) count(m->p->counters.ends);
  else loose_ends_.fetch_add(1, std::memory_order_relaxed);
  g->status.store(Status::Dead, std::memory_order_relaxed);
  if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();
  std::lock_guard hold(lock_);
  keep_locked(g);
}

void Lane::finish(M* m, G* g) {
  if (m->p) count(m->p->counters.ends);
  else loose_ends_.fetch_add(1, std::memory_order_relaxed);
  g->status.store(Status::Dead, std::memory_order_relaxed);
  if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();
  if (g->pin) m->pinning.alive.fetch_sub(1, std::memory_order_relaxed);
  if (std::exchange(g->thread_locks, 0) != 0) {
    if (g->pin) m->pinning.locked--;
    g->own_machine = nullptr;
    m->retiring = true;
    m->attention.store(true, std::memory_order_relaxed);   // to the loop, which ends
  }
  (void)leave(m, g);
  __builtin_unreachable();
}

void Lane::free_goroutine(M* m, G* g) {
  if (g->fiber.stack.low && !stacks_.is_usual(g->fiber.stack)) [[unlikely]] stacks_.give_back(std::exchange(g->fiber.stack, {}));
  P* p = m->p;
  if (!p) {
    std::lock_guard hold(lock_);
    keep_locked(g);
    return;
  }
  g->next = p->free;
  p->free = g;
  count(p->free_count);
  if (p->free_count < kFreeHigh) return;
  std::lock_guard hold(lock_);
  while (p->free_count > kFreeLow) {
    G* moved = p->free;
    p->free = moved->next;
    count(p->free_count, uint32_t(-1));
    keep_locked(moved);
  }
}

// Last in, first out: those that nobody has needed since the last call are at the end of the list.
void Lane::cool_stacks() {
  constexpr uint32_t kLongest = 10'000;   // a walk under the lock; whoever has so many coming and going is not idle
  G* idle = nullptr;
  {
    std::lock_guard hold(lock_);
    uint32_t needed = free_count_ - free_least_;
    if (free_least_ != 0 && needed <= kLongest) {
      G** link = &free_;
      for (uint32_t i = 0; i < needed; i++) link = &(*link)->next;
      idle = std::exchange(*link, nullptr);
      free_count_ = needed;
    }
    free_least_ = free_count_;
  }
  if (!idle) return;
  G* last = idle;
  for (G* g = idle; g; g = g->next) {
    if (g->fiber.stack.low) stacks_.drop_memory(g->fiber.stack);
    release_sanitizer_state(g->fiber);
    last = g;
  }
  std::lock_guard hold(lock_);
  last->next = cold_;
  cold_ = idle;
}

void Lane::enqueue(G* g) {
  if (g->own_machine) {
    notify_own(g->own_machine);
    return;
  }
  if (pins_ && g->pin) enqueue_pinned(g);   // another lane may run it wherever it likes (hop.h)
  else push_global(g);
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
  if (!g->own_machine && !choice::exploring() && m->p->random.below(2) == 0) {
    enqueue(g);
    return;
  }
#endif
  if (pins_) {
    if (g->pin && g->pin != m) {
      enqueue_pinned(g);
      return;
    }
    if (G* before = m->pinning.queue.take_next()) push_back(m, before);
    if (G* before = m->p->queue.take_next()) push_back(m, before);
    if (g->pin) {
      m->pinning.queue.put_next(g);
      return;
    }
  }
  G* kicked = m->p->queue.put_next(g);
  if (kicked && !m->p->queue.push_tail(kicked)) overflow(m, kicked);
  ensure_machine_for_work();
}

// To the end of what m runs. REQUIRES: m has a P; g is m's if it is pinned. False: the P's queue is full, and half of it went to the global one.
bool Lane::push_back(M* m, G* g) {
  P* p = m->p;
  if (pins_) {
    if (g->pin) {
      m->pinning.queue.push_tail(g, p->order++);
      return true;
    }
    g->order.store(p->order++, std::memory_order_relaxed);
  }
  if (p->queue.push_tail(g)) [[likely]] return true;
  overflow(m, g);
  return false;
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

void Lane::give_up_slice(M* m, G* g, bool by_signal) {
  enter_runtime(m);
  if (m->p) count(by_signal ? m->p->counters.preempt_signal : m->p->counters.preempt_call);
  count(by_signal ? g->switches.preempt_signal : g->switches.preempt_call);
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  enqueue(g);
  leave_runtime(leave(m, g));
}

M* Lane::leave_lent_thread(M* m, G* g) {
  hooks_->seen_blocked(g);   // not lendable any more: whoever lends a thread hands it on
  enter_runtime(m);
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  push_global(g);
  m = leave(m, g);
  leave_runtime(m);
  return m;
}

void Lane::yield(M* m, G* g) {
  if (world::safe_point()) m = this_machine();
  let_others(m, g);
}

void Lane::let_others(M* m, G* g) {
  enter_runtime(m);
  P* p = m->p;
  if (!p) {
    if (g->is_plain_thread() && !m->keeps_processor) {
      if (hooks_) hooks_->relax(m);
      else sched_yield();
      leave_runtime(m);
      return;
    }
    if (!g->is_plain_thread() || !acquire_processor(m)) {
      // The P was taken while g was in foreign code, or computed for too long: it waits for its turn.
      g->status.store(Status::Runnable, std::memory_order_relaxed);
      enqueue(g);
      leave_runtime(leave(m, g));
      return;
    }
    p = m->p;
  }
  count(p->counters.yields);
  count(g->switches.yields);
  Nanos due = p->timers.next();
  bool others = !p->queue.empty() || global_.size() != 0;
  if (!(others || (pins_ && pinned_wait(m))) && due == 0 && !m->attention.load(std::memory_order_relaxed)) {
    count(p->tick);
    leave_runtime(m);
    return;
  }
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  // Go's Gosched goes to the end of the global queue. While that is empty the end of the local one is the same place, and costs no lock.
  if (global_.size() == 0) [[likely]] {
    push_back(m, g);
  } else if (pins_ && g->pin) {
    draw_global(m);   // it cannot leave this machine, so those who were there before it come here
    push_back(m, g);
  } else {
    push_global(g);
  }
  leave_runtime(leave(m, g));
}

// The next of this P's queue. Goroutines that ready each other for ever, each the other's runnext, share one time slice, as in Go: when it is over
// the next of them goes to the end of the queue. Go's sysmon ends it by preempting one; ours sets chain_over, which the Python lane can hear too.
G* Lane::take_local(M* m) {
  P* p = m->p;
  if (pins_ && m->pinning.queue.has_post()) m->pinning.queue.collect(p->order++);
  if (choice::exploring()) return choice::take(m);
  if (p->chain_over.load(std::memory_order_relaxed)) [[unlikely]] {
    p->chain_over.store(false, std::memory_order_relaxed);
    G* next = p->queue.take_next();
    if (!next && pins_) next = m->pinning.queue.take_next();
    if (next) push_back(m, next);
  }
  return pins_ ? take_merged(m) : p->queue.pop();
}

// What this P would run next, if that needs nothing but a switch; else null, and the loop decides.
[[gnu::always_inline]] inline G* Lane::next_here(M* m) {
  P* p = m->p;
  if (!p || m->attention.load(std::memory_order_relaxed) || world::wanted.load(std::memory_order_relaxed) != 0) return nullptr;
  uint64_t tick = p->tick.load(std::memory_order_relaxed);
  if (tick % kGlobalCheck == 0 && global_.size() != 0) return nullptr;
  if (tick % 16 == 0) {
    Nanos due = p->timers.next();
    if (due != 0 && due <= nanotime()) return nullptr;
  }
  if (pins_) [[unlikely]] {
    if (m->pinning.queue.has_post()) m->pinning.queue.collect(p->order++);
    if (tick % kGlobalCheck == 0 && wanting_.load(std::memory_order_relaxed) != 0) return nullptr;
  }
  G* g = pins_ ? take_merged(m) : p->queue.pop();
  if (!g) return nullptr;
  if (g->own_machine || g->on_cpu.load(std::memory_order_acquire) || world::resume_scan_wanted(g) ||
      (m->own && hooks_ && !hooks_->lendable(g))) [[unlikely]] {
    if (m->current == g && !m->own) return g;
    m->handed = g;
    return nullptr;
  }
  if (!g->fiber.sp && !give_spare_stack(g)) [[unlikely]] {
    m->handed = g;   // to make one may let go of the GIL, and here that would be in the middle of a switch
    return nullptr;
  }
  return g;
}

[[gnu::always_inline]] inline M* Lane::arrive(G* g) {
  M* m = this_machine();
  if (hooks_) hooks_->switched(m, g);
  if (pins_ && !g->pin) pin(m, g);   // it began in the native lane
  clear_left(m);
  return m;
}

M* Lane::leave(M* m, G* g) {
  if (g->is_plain_thread()) {
    wait_for_own(m, g);
    return m;
  }
  if ((hooks_ && hooks_->slice_ended(m, g)) || (g->thread_locks != 0 && !pins_)) [[unlikely]] {
    wait_with_thread(m, g);
    return m;
  }
  G* next = next_here(m);
  bool dying = g->status.load(std::memory_order_relaxed) == Status::Dead || g->stackless;   // here, that is: it does not come back to this stack
  if (next == g) {
    if (pins_) hooks_->switched(m, g);   // undoes what slice_ended did
    g->status.store(Status::Running, std::memory_order_relaxed);
    observe::note_running(m, g);
    count(m->p->tick);
    return m;
  }
  m->left = g;
  if (next) {
    next->status.store(Status::Running, std::memory_order_relaxed);
    next->on_cpu.store(true, std::memory_order_relaxed);
    next->started.store(true, std::memory_order_relaxed);
    observe::note_running(m, next);
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
  return g->lane.load(std::memory_order_relaxed)->arrive(g);   // another lane after a hop
}

}  // namespace gort
