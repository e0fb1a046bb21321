// Machines and Ps of a lane: starting, handing over, taking away, resizing, ending. Contract and invariants: lane.h.

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "gort/base/errors.h"
#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"
#include "gort/sched/stack_overflow.h"
#include "gort/sched/stop_signal.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

// Go's checkmcount. Plain threads count too.
void check_machine_count() {
  int count = 0;
  Runtime::get().for_each_lane([&](Lane& lane) { count += lane.machine_count(); });
  int limit = Runtime::get().max_machines.load(std::memory_order_relaxed);
  if (count < limit) return;
  std::fprintf(stderr, "runtime: program exceeds %d-thread limit\nfatal error: thread exhaustion\n", limit);
  std::_Exit(2);
}

}  // namespace

// ---------------------------------------------------------------- lists (under lock_)

void Lane::push_idle_processor_locked(P* p) {
  p->owner.store(nullptr, std::memory_order_release);
  p->next_idle = idle_processors_;
  p->idle = true;
  idle_processors_ = p;
  idle_count_.fetch_add(1, std::memory_order_seq_cst);
}

P* Lane::pop_idle_processor_locked() {
  P* p = idle_processors_;
  if (!p) return nullptr;
  idle_processors_ = p->next_idle;
  p->idle = false;
  idle_count_.fetch_sub(1, std::memory_order_seq_cst);
  Runtime::get().processor_taken();
  return p;
}

M* Lane::pop_idle_machine_locked(bool pool_only) {
  M* found = nullptr;
  for (M* m = idle_machines_; m; m = m->next_idle) {
    if ((pool_only && m->own) || (pins_ && m->keeps_to_its_own())) continue;
    found = m;
    if (m != timekeeper_) break;   // the timekeeper only if there is no other
  }
  if (found) remove_idle_machine_locked(found);
  return found;
}

void Lane::remove_idle_machine_locked(M* m) {
  for (M** link = &idle_machines_; *link; link = &(*link)->next_idle) {
    if (*link != m) continue;
    *link = m->next_idle;
    m->next_idle = nullptr;
    m->idle.store(false, std::memory_order_relaxed);
    if (std::exchange(m->pinning.wants, false)) wanting_.fetch_sub(1, std::memory_order_relaxed);
    idle_machines_count_.fetch_sub(1, std::memory_order_relaxed);
    if (timekeeper_ == m) timekeeper_ = nullptr;
    return;
  }
}

M* Lane::new_machine_locked() {
  check_machine_count();
  M* m = new M;
  m->lane = this;
  m->id = Runtime::get().next_machine_id();
  machines_.push_back(m);
  machine_count_.fetch_add(1, std::memory_order_relaxed);
  machines_started_.fetch_add(1, std::memory_order_relaxed);
  return m;
}

// ---------------------------------------------------------------- threads

void* Lane::machine_main(void* argument) {
  M* m = static_cast<M*>(argument);
  stack_overflow::watch_this_thread();
  set_this_machine(m);
  m->os_id = gettid();
  m->exceptions = thread_exception_globals();
  describe_thread(m->scheduler);
  Lane* lane = m->lane;
  if (!lane->hooks_) world::unblock_stop_signal();
  if (lane->hooks_) {
    Nanos before = nanotime();
    lane->hooks_->machine_start(m);
    m->acquire_wait = uint64_t(nanotime() - before);
  }
  lane->run(m);
  if (!lane->hooks_) world::leave(m);
  if (lane->hooks_) lane->hooks_->machine_stop(m);
  bool retired = m->retiring && lane->disown(m);
  Runtime::get().machine_idle(m);
  if (retired) {
    pthread_detach(m->thread);
    Runtime::get().retire(nullptr, m);
  }
  return nullptr;
}

// An idle machine, else a new one. `pool_only`: no plain thread's.
Lane::Heir Lane::take_machine_locked(bool pool_only) {
  if (M* m = explored_machine_locked()) return {m, false};
  if (M* m = longest_wanting_locked()) {
    remove_idle_machine_locked(m);
    return {m, false};
  }
  if (M* m = pop_idle_machine_locked(pool_only)) return {m, false};
  return {new_machine_locked(), true};
}

void Lane::set_going(Heir heir) {
  if (heir.fresh) {
    launch(heir.m);
    return;
  }
  if (heir.m->counted_idle.exchange(false)) Runtime::get().machine_active();
  heir.m->wake.set();
}

void Lane::give_processor_locked(M* m, P* p) {
  m->p = p;
  if (pins_) {
    m->pinning.processor_since = nanotime();
    if (!m->own) last_ = m;
  }
  p->owner.store(m, std::memory_order_release);
}

// The machine is counted active from before its thread exists, so that no deadlock is seen in between.
void Lane::launch(M* m) {
  Runtime::get().start_sysmon();
  Runtime::get().machine_active();
  // Signals of the program are served by its own threads. A fault is the thread's own: blocked, it would kill without asking a handler.
  sigset_t all, before;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&m->thread, nullptr, machine_main, m);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) {   // Go's newosproc: what was to run there would never run
    std::fprintf(stderr, "runtime: failed to create new OS thread (have %d already; errno=%d)\nfatal error: newosproc\n",
                 machine_count() - 1, error);
    std::_Exit(2);
  }
  m->launched.store(true, std::memory_order_release);
}

bool Lane::start_machine(bool spinning) {
  Heir heir;
  {
    std::lock_guard hold(lock_);
    P* p = pop_idle_processor_locked();
    if (!p) {
      // Under the lock: whoever makes a P idle later, and finds nobody looking, is not misled by this claim.
      if (spinning) spinning_.fetch_sub(1, std::memory_order_seq_cst);
      return false;
    }
    heir = take_machine_locked(false);
    heir.m->spinning = spinning;
    give_processor_locked(heir.m, p);
  }
  set_going(heir);
  return true;
}

// Go's wakep: at most one machine at a time is woken to look for work; it wakes the next one when it finds some.
void Lane::ensure_machine_for_work() {
  if (idle_count_.load(std::memory_order_seq_cst) == 0 || spinning_.load(std::memory_order_seq_cst) != 0) return;
  int none = 0;
  if (!spinning_.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) return;
  start_machine(true);
}

bool Lane::acquire_processor(M* m) {
  if (idle_count_.load(std::memory_order_relaxed) == 0) return false;
  std::lock_guard hold(lock_);
  P* p = pop_idle_processor_locked();
  if (!p) return false;
  give_processor_locked(m, p);
  return true;
}

// Go's handoffp. `first`, if not null, is a runnable goroutine that m cannot run itself; the other machine runs it first.
void Lane::hand_off(M* m, G* first) {
  Heir heir;
  {
    std::lock_guard hold(lock_);
    P* p = m->p;
    m->p = nullptr;
    if (m->spinning) {
      m->spinning = false;
      spinning_.fetch_sub(1, std::memory_order_seq_cst);
    }
    bool work = first || !p->queue.empty() || global_.size() != 0 || p->timers.next() != 0 || wanting_.load(std::memory_order_relaxed) != 0;
    if (!work) {
      push_idle_processor_locked(p);
      return;
    }
    heir = take_machine_locked(true);
    heir.m->handed = first;   // not through a queue: it is its turn
    give_processor_locked(heir.m, p);
  }
  hand_offs_.fetch_add(1, std::memory_order_relaxed);
  set_going(heir);
}

// Go's startlockedm: m took the goroutine of home's thread from the queue. Goroutine 1 takes turns with the others and needs the
// P for its turn; other plain threads go on without one.
void Lane::start_own(M* m, M* home) {
  if (home->keeps_processor) {
    std::lock_guard hold(lock_);
    if (pins_) {   // it waits, on no list, or is about to: then it still has a P, and with a second one the first would be nobody's for ever
      if (!home->p) give_processor_locked(home, std::exchange(m->p, nullptr));
    } else if (home->idle) {
      remove_idle_machine_locked(home);
      give_processor_locked(home, std::exchange(m->p, nullptr));
    }
  }
  notify_own(home);
}

// ---------------------------------------------------------------- blocking calls of native goroutines

void Lane::enter_blocking(M* m, void* stack) {
  m->current->status.store(Status::Syscall, std::memory_order_relaxed);
  RuntimeScope inside(m);
  P* p = m->p;
  m->blocked_p = p;
  m->p = nullptr;
  m->stopped_sp.store(stack, std::memory_order_release);  // in a stop it counts as standing here
  world::leave(m);
  if (p) {
    m->blocked_syscall = p->syscall.load(std::memory_order_relaxed) + 1;
    p->syscall.store(m->blocked_syscall, std::memory_order_seq_cst);
  }
}

void Lane::exit_blocking(M* m) {
  G* g = m->current;
  // First of all: a stop may be looking at this stack.
  world::enter(m);
  m->stopped_sp.store(nullptr, std::memory_order_release);
  enter_runtime(m);
  P* p = std::exchange(m->blocked_p, nullptr);
  uint32_t mine = m->blocked_syscall;
  if (p && p->syscall.compare_exchange_strong(mine, mine + 1, std::memory_order_seq_cst)) {
    m->p = p;
    g->status.store(Status::Running, std::memory_order_relaxed);
    leave_runtime(m);
    return;
  }
  if (p) count(g->switches.foreign_calls);
  if (!acquire_processor(m) && !g->own_machine) {
    g->status.store(Status::Runnable, std::memory_order_relaxed);
    enqueue(g);
    leave_runtime(leave(m, g));
    return;
  }
  g->status.store(Status::Running, std::memory_order_relaxed);
  leave_runtime(m);
}

// p has been taken from a machine that is in foreign code or computes, and goes to somebody who can use it: to heir.m, or to nobody.
Lane::Heir Lane::hand_over_orphan_locked(P* p) {
  if (p->queue.empty() && global_.size() == 0 && p->timers.next() == 0 && wanting_.load(std::memory_order_relaxed) == 0) {
    push_idle_processor_locked(p);
    return {nullptr, false};
  }
  Heir heir = take_machine_locked(true);
  give_processor_locked(heir.m, p);
  hand_offs_.fetch_add(1, std::memory_order_relaxed);
  return heir;
}

// ---------------------------------------------------------------- timers

Nanos Lane::next_timer() const {
  Nanos least = 0;
  for (P* p : processors_) {
    Nanos due = p->timers.next();
    if (due != 0 && (least == 0 || due < least)) least = due;
  }
  return least;
}

// Go's sysmon starts an M for timers that are late; so does a timekeeper that leaves without a P.
void Lane::appoint_timekeeper() {
  {
    std::lock_guard hold(lock_);
    if (timekeeper_ || next_timer() == 0) return;
  }
  start_machine(false);
}

void Lane::add_timer(Timer* timer, Nanos when, void (*function)(void*, uint64_t), void* argument, uint64_t sequence) {
  M* m = this_machine();
  RuntimeScope inside(m);
  P* p = m && m->lane == this && m->p ? m->p : processors_[0];
  p->timers.insert(timer, when, function, argument, sequence);
  if (m && m->p == p) return;   // its owner looks at it before it idles
  bool kick;
  {
    std::lock_guard hold(lock_);
    kick = idle_processors_ && (!timekeeper_ || when < keep_until_);
  }
  if (kick) start_machine(false);
}

// ---------------------------------------------------------------- size and end

void Lane::resize(int procs, uint64_t seed) {
  size_t before = change_processors(procs, seed);
  for (size_t i = active_; i < before; i++) processors_[0]->timers.take_all(processors_[i]->timers);
  serve_wanting();
}

size_t Lane::change_processors(int procs, uint64_t seed) {
  std::lock_guard hold(lock_);
  while (processors_.size() < size_t(procs)) {
    P* p = new P;
    p->local.id = uint32_t(processors_.size());
    p->random.reseed(seed + p->local.id);
    processors_.push_back(p);
  }
  // Idle Ps outside the new range leave the list; those inside that were unused join it.
  size_t before = active_;
  active_ = size_t(procs);
  P* kept = nullptr;
  for (P* p = idle_processors_; p;) {
    P* next = p->next_idle;
    if (p->local.id < active_) {
      p->next_idle = kept;
      kept = p;
    } else {
      p->idle = false;
      idle_count_.fetch_sub(1);
    }
    p = next;
  }
  idle_processors_ = kept;
  for (P* p : processors_) p->queue.set_shared(active_ > 1);
  for (size_t i = before; i < active_; i++) push_idle_processor_locked(processors_[i]);   // resize serves who wants one
  for (size_t i = active_; i < before; i++) {
    P* p = processors_[i];
    while (G* g = p->queue.pop()) global_.push(g);
    if (uint32_t s = p->syscall.load(); s % 2) p->syscall.compare_exchange_strong(s, s + 1);
    if (M* owner = p->owner.load()) {
      p->owner.store(nullptr);
      if (owner->p == p) owner->p = nullptr;
      owner->attention.store(true);
    }
  }
  return before;
}

// Machines without a goroutine are looking for one, or about to sleep.
void Lane::wait_for_idle_machines() {
  constexpr int kPatience = 100;
  for (int i = 0; i < kPatience; i++) {
    bool busy = false;
    for_each_machine([&](M& m) { busy = busy || (!m.own && !m.idle && !m.running.load(std::memory_order_relaxed)); });
    if (!busy) return;
    usleep(100);
  }
}

void Lane::stop_machines() {
  std::vector<M*> ended;
  if (pins_) wait_for_idle_machines();
  {
    std::lock_guard hold(lock_);
    last_ = nullptr;   // it may be among those that end
    for (M* m : machines_) {
      if (pins_ && (!m->idle || m->pinning.alive.load(std::memory_order_relaxed) != 0)) continue;   // or it might start somebody yet
      if (m->own || m->running.load(std::memory_order_acquire)) continue;   // abandoned in foreign code: ends by itself later
      if (m->ending.load(std::memory_order_relaxed)) continue;              // another thread ends it
      m->ending.store(true, std::memory_order_release);
      ended.push_back(m);
      if (m->idle) remove_idle_machine_locked(m);   // nobody may give it work or rely on its keeping time
    }
  }
  for (M* m : ended) {
    m->attention.store(true);
    if (m->counted_idle.exchange(false)) Runtime::get().machine_active();
    m->wake.set();
  }
  M* self = this_machine();
  LaneHooks* held = self ? self->lane->hooks() : nullptr;   // whoever is to end may be waiting for the GIL, in either lane
  if (held) held->release(self);
  for (M* m : ended) {
    while (!m->launched.load(std::memory_order_acquire)) sched_yield();   // another thread is just starting it
    pthread_join(m->thread, nullptr);
    detach_machine(m);            // not before: it runs what it has found yet, and stops of the world wait for it
    Runtime::get().retire(nullptr, m);   // a stop of the world may have it on its list
  }
  if (held) held->acquire(self);
}

void Lane::trim() {
  auto clear = [&](G* list) {
    for (G* g = list; g; g = g->next) {
      if (!g->fiber.stack.low) continue;
      if (hooks_) hooks_->dead(g);
      release_sanitizer_state(g->fiber);
      stacks_.give_back(g->fiber.stack);
      g->fiber.stack = {};
    }
  };
  drop_spare_stacks();
  std::vector<G*> lists;
  {
    std::lock_guard hold(lock_);
    lists.push_back(std::exchange(free_, nullptr));
    lists.push_back(std::exchange(cold_, nullptr));
    free_count_ = free_least_ = 0;
    for (P* p : processors_) {
      if (!p->idle && p->local.id < active_) continue;   // its owner still runs: the collector's worker, or somebody abandoned
      lists.push_back(std::exchange(p->free, nullptr));
      p->free_count = 0;
    }
  }
  for (G* list : lists) clear(list);
  {
    std::lock_guard hold(lock_);
    for (G* list : lists) {
      while (list) {
        G* next = list->next;
        keep_locked(list);
        list = next;
      }
    }
  }
  stacks_.trim();
}

int64_t Lane::live() const {
  int64_t n = int64_t(loose_spawns_.load()) - int64_t(loose_ends_.load());
  for (P* p : processors_) n += int64_t(p->counters.spawns.load()) - int64_t(p->counters.ends.load());
  return n;
}

Lane::Totals Lane::totals() const {
  return {hand_offs_.load(),           takeovers_.load(),    failed_takeovers_.load(), machines_started_.load(),
          loose_spawns_.load(), loose_ends_.load()};
}

bool Lane::disown(M* m) {
  std::lock_guard hold(lock_);
  if (m->ending.load(std::memory_order_relaxed)) return false;
  if (last_ == m) last_ = nullptr;
  std::erase(machines_, m);
  machine_count_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void Lane::attach_machine(M* m) {
  std::lock_guard hold(lock_);
  machines_.push_back(m);
  machine_count_.fetch_add(1, std::memory_order_relaxed);
}

void Lane::detach_machine(M* m) {
  std::lock_guard hold(lock_);
  std::erase(machines_, m);
  machine_count_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace gort
