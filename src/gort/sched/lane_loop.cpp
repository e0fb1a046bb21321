// The scheduler loop: what a machine does on its scheduler stack. Contract and invariants: lane.h.

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "gort/base/cpu.h"
#include "gort/observe/latency.h"
#include "gort/sched/choice.h"
#include "gort/sched/cooling.h"
#include "gort/sched/lane.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {
constexpr int kStealRounds = 4;
constexpr Nanos kContestedAcquire = 500 * kMicrosecond;  // the GIL took so long to get: somebody else holds it

// m is about to sleep. Who readies its goroutine says so (own_ready) before it looks whether m counts as idle: one of the two sees the other.
// Else goroutine 1 could be told of a deadlock while this thread is about to go on and to wake it.
void count_idle(M* m) {
  m->counted_idle.store(true);
  if (m->own_ready.load() && m->counted_idle.exchange(false)) return;
  Runtime::get().machine_idle(m);
}
}  // namespace

void Lane::run(M* m) {
  bool looked = false;   // this machine just gave its P back for want of work
  for (;;) {
    m->attention.store(false, std::memory_order_relaxed);
    if (!hooks_) world::enter(m);   // a stop may take m->p (gomaxprocs): only a mutator may look at it
    if (m->preempt.load(std::memory_order_relaxed)) world::withdraw_preemption(m);   // the slice is over
    if (hooks_) {
      m->hog_since.store(0, std::memory_order_relaxed);
      m->hog_asked.store(false, std::memory_order_relaxed);
      serve_takeover(m);   // also if this machine is to end: the lane has one probe at a time
      if (pins_) ask_overdue(m);
      if (m->give_way.load(std::memory_order_relaxed)) give_way(m);
      if (cooling_wanted_.load(std::memory_order_relaxed)) serve_cooling(m);
    }
    if (m->handed && !m->p) enqueue(std::exchange(m->handed, nullptr));   // the P was taken since
    if (m->spinning && !m->p) reset_spinning(m);   // likewise; whoever leaves as a spinning one keeps others from being woken for ever
    if (m->own) {
      if (m->own_ready.load(std::memory_order_acquire)) break;
      if (hooks_ && hooks_->interrupted(m)) {
        G* g = m->own;
        uint64_t word = g->wait_word.load(std::memory_order_relaxed);
        if (claim(g, word >> 8, Outcome::Interrupted)) break;
      }
    } else if (m->retiring && m->pinning.alive.load(std::memory_order_relaxed) == 0) {
      if (m->p) hand_off(m, nullptr);
      return;
    } else if (m->ending.load(std::memory_order_acquire) && !m->p) {
      return;
    }
    if (!m->p && (looked || !acquire_processor(m))) {
      idle(m);
      continue;
    }
    G* g = m->handed ? std::exchange(m->handed, nullptr) : find_runnable(m);
    looked = !g && !m->p;
    if (!g) continue;
    if (g->own_machine) {
      if (g->own_machine == m) break;
      start_own(m, g->own_machine);
      continue;
    }
    if (m->own && hooks_) {
      Runtime::get().start_sysmon();   // the end of a run stops it
      if (!hooks_->lendable(g)) {
        hand_off(m, g);
        continue;
      }
    }
    execute(m, g);
  }
  // A plain thread's own goroutine goes on, on this very stack. Whoever was to run here next must not wait for its next wait.
  if (m->spinning) reset_spinning(m);
  if (m->handed) enqueue(std::exchange(m->handed, nullptr));
  m->own_ready.store(false, std::memory_order_relaxed);
  m->current = m->own;
  m->running.store(m->own, std::memory_order_relaxed);
  m->own->status.store(Status::Running, std::memory_order_relaxed);
  observe::note_running(m, m->own);
  if (m->p) {
    count(m->p->tick);
    if (!m->keeps_processor) hand_off(m, nullptr);
  }
}

void Lane::cool_waiting(std::vector<G*> waiting) {
  {
    std::lock_guard hold(lock_);
    to_cool_ = std::move(waiting);
  }
  cooling_wanted_.store(true, std::memory_order_relaxed);
  start_machine(false);   // none idle: somebody comes through the loop soon
}

void Lane::serve_cooling(M* m) {
  cooling_wanted_.store(false, std::memory_order_relaxed);
  std::vector<G*> waiting;
  {
    std::lock_guard hold(lock_);
    waiting.swap(to_cool_);
  }
  std::pair<Lane*, std::vector<G*>*> work{this, &waiting};
  while (!waiting.empty()) {
    hooks_->while_all_stand([](void* argument) {
      auto* work = static_cast<std::pair<Lane*, std::vector<G*>*>*>(argument);
      cooling::cool(*work->first, *work->second);
    }, &work);
    hooks_->relax(m);
  }
}

// The lane's machines and the other threads of the interpreter take the GIL in turns (Options::give_way).
void Lane::give_way(M* m) {
  hooks_->give_way(m);
  m->give_way.store(false, std::memory_order_relaxed);
  if (m->p) m->p->gave_way_at.store(nanotime(), std::memory_order_relaxed);
}

void Lane::wait_for_own(M* m, G* g) {
  bool timed = g->wait_deadline != kForever;
  if (hooks_ && !pins_ && !timed && g->thread_locks == 0) {   // whoever is pinned to a lent thread would depend on it for life
    m->current = nullptr;
    m->running.store(nullptr, std::memory_order_relaxed);
    run(m);
    return;
  }
  if (m->p && !m->own_ready.load(std::memory_order_acquire)) hand_off(m, nullptr);   // else it was told already (start_own), and goes on with its P
  m->current = nullptr;
  m->running.store(nullptr, std::memory_order_relaxed);
  uint64_t ticket = g->wait_word.load(std::memory_order_relaxed) >> 8;
#ifdef GORT_DEBUG_TIER
  if (ticket % 64 == 0) usleep(1000);   // whoever ends the wait goes idle before this thread does
#endif
  for (;;) {
    if (!timed) {
      count_idle(m);
    }
    if (hooks_) hooks_->release(m);
    FutexResult result = m->wake.wait(g->wait_deadline);
    if (hooks_) hooks_->acquire(m);
    if (m->counted_idle.exchange(false)) Runtime::get().machine_active();
    m->wake.reset();
    if (m->own_ready.load(std::memory_order_acquire)) break;
    if (result == FutexResult::TimedOut && claim(g, ticket, Outcome::TimedOut)) break;
    // A goroutine that claimed the wait but has not readied us yet will; until then go on waiting.
    LaneHooks* home = g->home->hooks();
    if (home && home->interrupted(m) && claim(g, ticket, Outcome::Interrupted)) break;
  }
  m->own_ready.store(false, std::memory_order_relaxed);
  m->attention.store(false, std::memory_order_relaxed);
  m->current = g;
  m->running.store(g, std::memory_order_relaxed);
  g->status.store(Status::Running, std::memory_order_relaxed);
  observe::note_running(m, g);
  if (m->keeps_processor && !m->p) acquire_processor(m);
}

// g cannot leave its thread, so the thread waits with it (Go's stoplockedm), and is set going by whoever readies g or takes it from a
// queue. To a scan of stacks it has left the CPU. REQUIRES: g->own_machine is set since before g could be readied, or others need the GIL
// to run g and the caller has it.
void Lane::wait_with_thread(M* m, G* g) {
  if (!g->own_machine) g->own_machine = m;   // lock_os_thread has set it, and others may be reading it
  if (m->p) hand_off(m, nullptr);
  count_idle(m);
  if (hooks_) {
    hooks_->switched(m, nullptr);
    hooks_->release(m);
  } else {
    __builtin_unwind_init();
    g->fiber.sp = world::below_frame(__builtin_frame_address(0));
    g->on_cpu.store(false, std::memory_order_release);
    world::leave(m);
  }
  do {
    m->wake.wait(kForever);
    m->wake.reset();
  } while (!m->own_ready.load(std::memory_order_acquire));
  if (hooks_) {
    hooks_->acquire(m);
  } else {
    world::enter(m);
    if (world::resume_scan_wanted(g)) world::scan_before_resume(g);
    g->on_cpu.store(true, std::memory_order_relaxed);
  }
  if (m->counted_idle.exchange(false)) Runtime::get().machine_active();
  m->own_ready.store(false, std::memory_order_relaxed);
  if (g->thread_locks == 0) g->own_machine = nullptr;
  g->status.store(Status::Running, std::memory_order_relaxed);
  if (hooks_) hooks_->switched(m, g);
  if (!m->p) acquire_processor(m);   // none idle: beside those who have one, as after a call of foreign code
}

void Lane::execute(M* m, G* g) {
  // g may still be leaving another machine's stack (park.h, invariant 4). That machine needs the GIL for it on the Python lane.
  for (int spins = 0; g->on_cpu.load(std::memory_order_acquire); spins++) {
    if (spins < 100) cpu_relax();
    else if (hooks_) hooks_->relax(m);
    else {
      world::safe_point();   // after a hop from a lane with hooks, that machine may wait for the GIL, whose holder may wait for us
      sched_yield();
    }
  }
  if (!g->fiber.sp) [[unlikely]] give_stack(g);
  if (!m->p) {
    // relax or give_stack let go of the GIL, or a stop was in force, and the P was taken meanwhile
    enqueue(g);
    return;
  }
  if (world::resume_scan_wanted(g)) [[unlikely]] world::scan_before_resume(g);
  g->status.store(Status::Running, std::memory_order_relaxed);
  g->on_cpu.store(true, std::memory_order_relaxed);
  g->started.store(true, std::memory_order_relaxed);
  observe::note_running(m, g);
  m->current = g;
  m->running.store(g, std::memory_order_relaxed);
  count(m->p->tick);
  count(m->p->counters.switches);
  switch_fiber(m->exceptions, m->scheduler, g->fiber);
  if (hooks_) hooks_->switched(m, nullptr);
  clear_left(m);
  m->current = nullptr;
  m->running.store(nullptr, std::memory_order_relaxed);
}

int Lane::run_timers(M* m, Nanos now) {
  int fired = 0;
  if (Nanos due = m->p->timers.next(); due != 0 && due <= now) fired += m->p->timers.run_due(now);
  return fired;
}

// One goroutine to run from the global queue; when batch, this P's share of the others moves to the end of its own.
G* Lane::take_global(M* m, bool batch) {
  if (global_.size() == 0) return nullptr;
  std::lock_guard hold(lock_);
  G* first = global_.pop();
  if (!first) return nullptr;
  count(m->p->counters.global_gets);
  if (batch) draw_global_locked(m, global_.size() / uint32_t(active_));
  return first;
}

void Lane::draw_global(M* m) {
  std::lock_guard hold(lock_);
  draw_global_locked(m, global_.size() / uint32_t(active_) + 1);
}

void Lane::draw_global_locked(M* m, uint32_t n) {
  for (n = std::min(n, LocalQueue::kSize / 2 - 1); n > 0; n--) {
    G* g = global_.pop();
    if (!g) break;
    if (pins_) g->order.store(m->p->order++, std::memory_order_relaxed);
    if (!m->p->queue.push_tail(g)) {
      global_.push_front(g);
      break;
    }
  }
}

// Go's stealWork: every P once in random order, and of it the older half of its queue.
G* Lane::steal(M* m, bool take_next) {
  uint32_t n = uint32_t(active_);
  uint32_t start = m->p->random.below(n);
  for (uint32_t i = 0; i < n; i++) {
    P* victim = processors_[(start + i) % n];
    if (victim == m->p) continue;
    if (take_next) {
      Nanos due = victim->timers.next();
      if (due != 0 && due <= nanotime()) victim->timers.run_due(nanotime());
      if (G* mine = m->p->queue.pop()) return mine;   // a timer readied somebody
    }
    if (victim->queue.size() == 0 && !(take_next && victim->queue.peek_next())) continue;
    if (take_next && victim->queue.size() == 0 && victim->owner.load(std::memory_order_relaxed)) {
      // Its owner is likely to run its runnext itself within a microsecond or so. Go sleeps 3 us here; spinning instead made every
      // ready() of a ping-pong wake another machine (3 times the context switches, measured).
      if (!hooks_) world::leave(m);
      timespec pause{0, 3000};
      nanosleep(&pause, nullptr);
      if (!hooks_) world::enter(m);
      if (!m->p) return nullptr;
    }
    G* batch[LocalQueue::kSize / 2];
    uint32_t got = victim->queue.steal(batch, take_next);
    if (got == 0) {
      count(m->p->counters.steal_failures);
      continue;
    }
    count(m->p->counters.steals);
    count(m->p->counters.stolen, got);
    m->p->steal_log.record(victim->local.id, got, batch[got - 1]->id.load(std::memory_order_relaxed),
                           m->p->tick.load(std::memory_order_relaxed));
    for (uint32_t j = 0; j + 1 < got; j++) push_back(m, batch[j]);
    return batch[got - 1];
  }
  return nullptr;
}

G* Lane::search_victims(M* m) {
  P* p = m->p;
  count(p->counters.steal_searches);
  Nanos began = observe::latency_since.load(std::memory_order_relaxed) != 0 ? nanotime() : 0;
  G* g = nullptr;
  for (int round = 0; round < kStealRounds && !g && m->p; round++) g = steal(m, round == kStealRounds - 1);
  if (began != 0 && m->p == p) count(p->counters.steal_nanos, uint64_t(nanotime() - began));
  return g;
}

void Lane::reset_spinning(M* m) {
  m->spinning = false;
  spinning_.fetch_sub(1, std::memory_order_seq_cst);
  ensure_machine_for_work();
}

// Go's findRunnable. Returns null when this machine has to look at its own state again (it lost its P, it is wanted).
G* Lane::find_runnable(M* m) {
  for (;;) {
    if (!hooks_) world::safe_point();
    P* p = m->p;
    if (m->attention.load(std::memory_order_relaxed)) return nullptr;
    if (Nanos due = p->timers.next(); due != 0) run_timers(m, nanotime());
    if (pins_) {
      if (p->tick.load(std::memory_order_relaxed) % kGlobalCheck == 0 && give_turn(m)) return nullptr;
      if (m->keeps_to_its_own()) {
        G* own = take_local(m);
        if (!own) hand_off(m, nullptr);
        else if (m->spinning) reset_spinning(m);
        return own;
      }
    }
    G* g = nullptr;
    if (p->tick.load(std::memory_order_relaxed) % kGlobalCheck == 0) g = take_global(m, false);
    if (!g) g = take_local(m);
    if (!g) g = take_global(m, true);
    if (!g && active_ > 1) {
      int busy = int(active_) - idle_count_.load(std::memory_order_relaxed);
      if (m->spinning || 2 * spinning_.load(std::memory_order_relaxed) < busy) {
        if (!m->spinning) {
          m->spinning = true;
          spinning_.fetch_add(1, std::memory_order_seq_cst);
        }
        g = search_victims(m);
        if (!m->p) return nullptr;   // a stop took it during a pause
      }
    }
    if (g) {
      if (m->spinning) reset_spinning(m);
      return g;
    }
    Heir heir;
    {
      std::lock_guard hold(lock_);
      if (global_.size() != 0) continue;
      heir = free_processor_locked(p);
      m->p = nullptr;
    }
    if (heir.m) set_going(heir);
    if (m->spinning) {
      // Whoever made work since the last look saw us spinning and woke nobody: look again after saying that we stopped.
      m->spinning = false;
      spinning_.fetch_sub(1, std::memory_order_seq_cst);
      bool work = global_.size() != 0;
      for (size_t i = 0; i < active_ && !work; i++) work = !processors_[i]->queue.empty();
      if (work && acquire_processor(m)) {
        m->spinning = true;
        spinning_.fetch_add(1, std::memory_order_seq_cst);
      }
      if (m->p) continue;
    }
    return nullptr;
  }
}

void Lane::idle(M* m) {
  if (m->spinning) reset_spinning(m);   // its P was taken while it looked; asleep it looks for nothing
  Runtime& runtime = Runtime::get();
  Nanos until = kForever;
  {
    std::lock_guard hold(lock_);
    if (m->p || m->takeover || m->asks_overdue) return;
    if (m->own ? m->own_ready.load(std::memory_order_acquire) : m->ending.load(std::memory_order_acquire)) return;
    if (global_.size() != 0 && idle_processors_) {
      give_processor_locked(m, pop_idle_processor_locked());
      return;
    }
    Nanos due = next_timer();
    if (due != 0 && idle_processors_ && (!timekeeper_ || due < keep_until_)) {
      timekeeper_ = m;
      keep_until_ = due;
      until = due;
    }
    m->next_idle = idle_machines_;
    idle_machines_ = m;
    m->idle.store(true, std::memory_order_seq_cst);
    idle_machines_count_.fetch_add(1, std::memory_order_relaxed);
    if (pins_ && !m->pinning.queue.empty() && serve_or_note_locked(m)) return;
  }
  if (!hooks_) world::leave(m);
  count_idle(m);
  if (hooks_) hooks_->release(m);
  FutexResult result = m->wake.wait(until);
  if (hooks_) {
    Nanos before = nanotime();
    hooks_->acquire(m);
    m->acquire_wait = uint64_t(nanotime() - before);
  }
  if (m->counted_idle.exchange(false)) runtime.machine_active();
  m->wake.reset();
  coarse_now.store(nanotime(), std::memory_order_relaxed);
  bool kept_time;
  {
    std::lock_guard hold(lock_);
    kept_time = timekeeper_ == m;
    if (m->idle) remove_idle_machine_locked(m);
    if (result == FutexResult::TimedOut && !m->p && idle_processors_) {
      give_processor_locked(m, pop_idle_processor_locked());
    }
  }
  if (kept_time && !m->p) appoint_timekeeper();
}

// sysmon found a P whose machine seems to sit in foreign code; we hold the GIL now and can find out.
void Lane::serve_takeover(M* m) {
  P* target;
  uint64_t tick;
  {
    std::lock_guard hold(lock_);
    target = std::exchange(m->takeover, nullptr);
    tick = m->takeover_tick;
  }
  if (!target) return;
  // Had the GIL been free, a machine that waits for it would have got it: so its goroutine really is in foreign code.
  bool contested = m->acquire_wait > uint64_t(kContestedAcquire);
  if (m->p || (contested && !m->takeover_force) || !try_takeover(m, target, tick)) {
    failed_takeovers_.fetch_add(1, std::memory_order_relaxed);
  } else if (m->takeover_crowded) {
    if (G* g = longest_hog()) hooks_->end_slice(g);
  }
  probing_.store(false, std::memory_order_release);
}

}  // namespace gort
