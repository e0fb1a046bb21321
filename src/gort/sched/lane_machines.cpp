// Machines and Ps of a lane: starting, handing over, taking away, resizing, ending. Contract and invariants: lane.h.

#include <pthread.h>
#include <signal.h>

#include <mutex>
#include <system_error>
#include <utility>

#include "gort/base/errors.h"
#include "gort/sched/choice.h"
#include "gort/sched/lane.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {

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
  M** link = &idle_machines_;
  while (*link && pool_only && (*link)->own) link = &(*link)->next_idle;
  M* m = *link;
  if (!m) return nullptr;
  *link = m->next_idle;
  m->next_idle = nullptr;
  m->idle = false;
  idle_machines_count_.fetch_sub(1, std::memory_order_relaxed);
  if (timekeeper_ == m) timekeeper_ = nullptr;
  return m;
}

void Lane::remove_idle_machine_locked(M* m) {
  for (M** link = &idle_machines_; *link; link = &(*link)->next_idle) {
    if (*link != m) continue;
    *link = m->next_idle;
    m->next_idle = nullptr;
    m->idle = false;
    idle_machines_count_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
}

M* Lane::new_machine_locked() {
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
  set_this_machine(m);
  m->exceptions = thread_exception_globals();
  describe_thread(m->scheduler);
  Lane* lane = m->lane;
  if (lane->hooks_) {
    Nanos before = nanotime();
    lane->hooks_->machine_start(m);
    m->acquire_wait = uint64_t(nanotime() - before);
  }
  lane->run(m);
  if (!lane->hooks_) world::leave(m);
  if (lane->hooks_) lane->hooks_->machine_stop(m);
  Runtime::get().machine_idle(m);
  return nullptr;
}

// An idle machine, else a new one. `pool_only`: no plain thread's.
Lane::Heir Lane::take_machine_locked(bool pool_only) {
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
  p->owner.store(m, std::memory_order_release);
}

// The machine is counted active from before its thread exists, so that no deadlock is seen in between.
void Lane::launch(M* m) {
  Runtime::get().start_sysmon();
  Runtime::get().machine_active();
  // Signals of the program are served by its own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&m->thread, nullptr, machine_main, m);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) throw std::system_error(error, std::generic_category(), "gort: cannot start a thread");
}

bool Lane::start_machine(bool spinning) {
  Heir heir;
  {
    std::lock_guard hold(lock_);
    P* p = pop_idle_processor_locked();
    if (!p) return false;
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
  if (!start_machine(true)) spinning_.fetch_sub(1, std::memory_order_seq_cst);
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
    bool work = first || !p->queue.empty() || global_.size() != 0 || p->timers.next() != 0;
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
    if (home->idle) {
      remove_idle_machine_locked(home);
      give_processor_locked(home, std::exchange(m->p, nullptr));
    }
  }
  notify_own(home);
}

// ---------------------------------------------------------------- blocking calls of native goroutines

void Lane::enter_blocking(M* m, void* stack) {
  m->current->status.store(Status::Syscall, std::memory_order_relaxed);
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
  P* p = std::exchange(m->blocked_p, nullptr);
  uint32_t mine = m->blocked_syscall;
  if (p && p->syscall.compare_exchange_strong(mine, mine + 1, std::memory_order_seq_cst)) {
    m->p = p;
    g->status.store(Status::Running, std::memory_order_relaxed);
    return;
  }
  if (acquire_processor(m)) {
    g->status.store(Status::Running, std::memory_order_relaxed);
    return;
  }
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  if (g->own_machine) {
    g->status.store(Status::Running, std::memory_order_relaxed);
    return;
  }
  enqueue(g);
  leave(m, g);
}

// ---------------------------------------------------------------- sysmon's part

bool Lane::has_work() const {
  if (global_.size() != 0) return true;
  Nanos now = 0;
  for (size_t i = 0; i < active_; i++) {
    P* p = processors_[i];
    if (!p->queue.empty()) return true;
    Nanos due = p->timers.next();
    if (due != 0) {
      if (!now) now = nanotime();
      if (due <= now) return true;
    }
  }
  return false;
}

Nanos Lane::next_timer() const {
  Nanos least = 0;
  for (P* p : processors_) {
    Nanos due = p->timers.next();
    if (due != 0 && (least == 0 || due < least)) least = due;
  }
  return least;
}

bool Lane::quiet() const {
  return size_t(idle_count_.load()) == active_ && global_.size() == 0 && next_timer() == 0;
}

// With the GIL held by m: the P's owner cannot be inside the scheduler. It may have moved on since sysmon looked.
bool Lane::try_takeover(M* m, P* p, uint64_t tick) {
  std::lock_guard hold(lock_);
  M* owner = p->owner.load(std::memory_order_acquire);
  if (!owner || owner == m || p->idle || p->tick.load(std::memory_order_relaxed) != tick) return false;
  G* g = owner->running.load(std::memory_order_acquire);
  if (!g || !hooks_->in_foreign_code(g)) return false;
  owner->p = nullptr;
  give_processor_locked(m, p);
  hooks_->seen_blocked(g);
  takeovers_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// What sysmon does for this lane at each of its rounds.
void Lane::watch(Nanos now) {
  const Options& options = Runtime::get().options;
  if (uint64_t failures = failed_takeovers_.load(std::memory_order_relaxed); failures != seen_failures_) {
    seen_failures_ = failures;
    probe_after_ = now + options.probe_back_off;
  }
  for (size_t i = 0; i < active_; i++) {
    P* p = processors_[i];
    M* owner = p->owner.load(std::memory_order_acquire);
    if (!owner) continue;
    if (!hooks_) {
      uint32_t syscall = p->syscall.load(std::memory_order_acquire);
      if (syscall % 2 == 0) continue;
      if (p->seen_syscall != syscall) {
        p->seen_syscall = syscall;
        p->seen_at = now;
        continue;
      }
      bool others_idle = spinning_.load() + idle_count_.load() > 0;
      if (p->queue.empty() && others_idle && now - p->seen_at < options.time_slice) continue;
      if (!p->syscall.compare_exchange_strong(syscall, syscall + 1, std::memory_order_seq_cst)) continue;
      hand_over_orphan(p);
      continue;
    }
    if (now - p->gave_way_at.load(std::memory_order_relaxed) >= options.give_way) {
      owner->give_way.store(true, std::memory_order_relaxed);
      owner->attention.store(true, std::memory_order_release);
    }
    uint64_t tick = p->tick.load(std::memory_order_relaxed);
    G* g = owner->running.load(std::memory_order_acquire);
    bool foreign = g && hooks_->in_foreign_code(g);
    if (tick != p->seen_tick || !g) {
      p->seen_tick = tick;
      p->seen_at = now;
      p->foreign_since = foreign ? now : 0;
      continue;
    }
    if (!foreign) p->foreign_since = 0;
    else if (p->foreign_since == 0) p->foreign_since = now;
    bool blocked = foreign && now - p->foreign_since >= options.foreign_takeover;
    bool hog = !foreign && now - p->seen_at >= options.time_slice;
    bool force = hog || (foreign && now - p->foreign_since >= 2 * options.probe_back_off);
    if ((!blocked && !hog) || now < probe_after_ || !has_work()) continue;
    if (probing_.exchange(true, std::memory_order_acq_rel)) continue;
    Heir heir;
    {
      std::lock_guard hold(lock_);
      heir = take_machine_locked(true);
      heir.m->takeover = p;
      heir.m->takeover_tick = tick;
      heir.m->takeover_force = force;
    }
    set_going(heir);
  }
  // Timers that nobody looks after (their P is stuck in a long slice).
  if (idle_count_.load() > 0 && has_work()) ensure_machine_for_work();
}

// The P of a machine that blocks in a BlockingScope goes to somebody who can use it.
void Lane::hand_over_orphan(P* p) {
  Heir heir;
  {
    std::lock_guard hold(lock_);
    if (p->queue.empty() && global_.size() == 0 && p->timers.next() == 0) {
      push_idle_processor_locked(p);
      return;
    }
    heir = take_machine_locked(true);
    give_processor_locked(heir.m, p);
  }
  hand_offs_.fetch_add(1, std::memory_order_relaxed);
  set_going(heir);
}

void Lane::add_timer(Timer* timer, Nanos when, void (*function)(void*, uint64_t), void* argument, uint64_t sequence) {
  M* m = this_machine();
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
  for (size_t i = before; i < active_; i++) push_idle_processor_locked(processors_[i]);
  for (size_t i = active_; i < before; i++) {
    P* p = processors_[i];
    while (G* g = p->queue.pop()) global_.push(g);
    if (uint32_t s = p->syscall.load(); s % 2) p->syscall.compare_exchange_strong(s, s + 1);
    if (M* owner = p->owner.load()) {
      p->owner.store(nullptr);
      owner->p = nullptr;
      owner->attention.store(true);
    }
  }
}

void Lane::stop_machines() {
  std::vector<M*> ended;
  {
    std::lock_guard hold(lock_);
    for (M* m : machines_) {
      if (m->own || m->running.load(std::memory_order_acquire)) continue;   // abandoned in foreign code: ends by itself later
      m->ending.store(true, std::memory_order_release);
      ended.push_back(m);
    }
    std::erase_if(machines_, [](M* m) { return m->ending.load(std::memory_order_relaxed); });
  }
  for (M* m : ended) {
    m->attention.store(true);
    if (m->counted_idle.exchange(false)) Runtime::get().machine_active();
    m->wake.set();
  }
  M* self = this_machine();
  if (hooks_ && self) hooks_->release(self);
  for (M* m : ended) {
    pthread_join(m->thread, nullptr);
    machine_count_.fetch_sub(1, std::memory_order_relaxed);
    delete m;
  }
  if (hooks_ && self) hooks_->acquire(self);
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
  std::vector<G*> lists;
  {
    std::lock_guard hold(lock_);
    lists.push_back(std::exchange(free_, nullptr));
    free_count_ = 0;
    for (P* p : processors_) {
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
        list->next = free_;
        free_ = list;
        free_count_++;
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
  return {hand_offs_.load(),        takeovers_.load(),    failed_takeovers_.load(),
          machines_started_.load(), loose_spawns_.load(), loose_ends_.load()};
}

void Lane::attach_thread_machine(M* m) {
  std::lock_guard hold(lock_);
  machines_.push_back(m);
  machine_count_.fetch_add(1, std::memory_order_relaxed);
}

void Lane::detach_thread_machine(M* m) {
  std::lock_guard hold(lock_);
  std::erase(machines_, m);
  machine_count_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace gort
