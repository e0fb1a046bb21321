// sysmon's part of a lane (Go's retake): who has had its slice, who is in foreign code, and whose P goes to another machine for it.
// Contract and invariants: lane.h, and preempt.h for goroutines of the native lane that compute.

#include <algorithm>
#include <mutex>
#include <utility>

#include "gort/sched/choice.h"
#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"
#include "gort/sched/stop_signal.h"
#include "gort/sched/world_internal.h"

namespace gort {

constexpr uint32_t kSignals = 10;   // to a goroutine that may be interrupted: where it is just now it may not be (stop_signal.h)

bool Lane::has_work() const {
  if (global_.size() != 0) return true;
  Nanos now = 0;
  if (wanting_.load(std::memory_order_relaxed) != 0) return true;
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
  if (m->takeover_force && !owner->own) {
    owner->hog_seen.store(m->takeover_hog, std::memory_order_relaxed);
    owner->hog_since.store(nanotime(), std::memory_order_relaxed);
  }
  // With the GIL held g cannot run, and so counts nothing itself.
  count(m->takeover_hog ? p->counters.preempt_handoff : p->counters.foreign_calls);
  count(m->takeover_hog ? g->switches.preempt_handoff : g->switches.foreign_calls);
  hooks_->seen_blocked(g);
  takeovers_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

Lane::Hogs Lane::count_hogs() {
  Hogs hogs;
  for_each_machine([&](M& m) {
    if (m.hog_since.load(std::memory_order_relaxed) == 0) return;
    if (G* g = m.running.load(std::memory_order_acquire); g && !hooks_->in_foreign_code(g)) m.hog_seen.store(true, std::memory_order_relaxed);
    hogs.all += m.hog_seen.load(std::memory_order_relaxed);
    hogs.asked += m.hog_asked.load(std::memory_order_relaxed);
  });
  return hogs;
}

// The next hog needs a thread, and there are enough: not before one that was asked has left its own, or has not heard for long.
bool Lane::hog_must_wait(Nanos now, Hogs hogs) const {
  const Options& options = Runtime::get().options;
  if (hogs.all < options.max_hogs) return false;
  return now - hogged_at_ < (hogs.asked == 0 ? 1 : 10) * options.hog_patience;
}

// The goroutine that has gone on longest without its P, and is to yield now; null: there is none. It cannot have moved on meanwhile where
// the caller holds the GIL.
G* Lane::longest_hog() {
  M* longest = nullptr;
  for_each_machine([&](M& m) {
    bool may_hear = m.hog_seen.load(std::memory_order_relaxed) && !m.hog_asked.load(std::memory_order_relaxed);
    Nanos since = may_hear ? m.hog_since.load(std::memory_order_relaxed) : 0;
    if (since != 0 && (!longest || since < longest->hog_since.load(std::memory_order_relaxed))) longest = &m;
  });
  if (!longest) return nullptr;
  longest->hog_asked.store(true, std::memory_order_relaxed);
  G* g = longest->running.load(std::memory_order_acquire);
  return g && !g->is_plain_thread() ? g : nullptr;
}

// What sysmon does for this lane at each of its rounds. Goroutines that enter foreign code unannounced need a closer look for as long as
// the lane is in use, and so does one that was asked to end its slice.
Nanos Lane::watch(Nanos now) {
  const Options& options = Runtime::get().options;
  Nanos pause = hooks_ && idle_processors() != processors() ? Nanos(options.foreign_max) : Nanos(options.sysmon_max);
  if (uint64_t failures = failed_takeovers_.load(std::memory_order_relaxed); failures != seen_failures_) {
    seen_failures_ = failures;
    probe_after_ = now + options.probe_back_off;
  }
  if (Nanos due = next_timer(); due != 0 && due < now) appoint_timekeeper();
  for (size_t i = 0; i < active_; i++) {
    P* p = processors_[i];
    M* owner = p->owner.load(std::memory_order_acquire);
    if (!owner) {
      p->seen_tick = P::kNoSlice;   // a seed sets ticks back: the next slice may have the number of the last one
      continue;
    }
    if (watch_chain(p, owner, now)) owner->attention.store(true, std::memory_order_release);
    if (pins_) {
      if (watch_pinned(p, owner, now)) pause = std::min<Nanos>(pause, options.preempt_grace);
    } else if (hooks_) {
      watch_foreign_code(p, owner, now);
    } else if (watch_native(p, owner, now)) {
      pause = std::min<Nanos>(pause, options.preempt_grace);
    }
  }
  if (pins_) {
    watch_stalls(now);
    send_to_overdue();
  }
  // Timers that nobody looks after (their P is stuck in a long slice).
  if (idle_count_.load() > 0 && has_work()) ensure_machine_for_work();
  return pause;
}

// In a BlockingScope, or computing. True: asked to end its slice, and not heard yet.
bool Lane::watch_native(P* p, M* owner, Nanos now) {
  uint32_t syscall = p->syscall.load(std::memory_order_acquire);
  if (syscall % 2 == 0) return watch_hog(p, owner, now);
  withdraw_question(p);   // whoever blocks does not hear it
  if (p->seen_syscall != syscall) {
    p->seen_syscall = syscall;
    p->seen_at = now;
    return false;
  }
  bool others_idle = spinning_.load() + idle_count_.load() > 0;
  if (p->queue.empty() && others_idle && now - p->seen_at < Runtime::get().options.time_slice) return false;
  Heir heir;
  {
    std::lock_guard hold(lock_);   // gomaxprocs may be about to remove p
    if (!p->syscall.compare_exchange_strong(syscall, syscall + 1, std::memory_order_seq_cst)) return false;
    count(p->counters.foreign_calls);
    heir = hand_over_orphan_locked(p);
  }
  if (heir.m) set_going(heir);
  return false;
}

// Foreign code entered unannounced, or computing: only a machine that holds the GIL may take the P, so one is sent for it.
void Lane::watch_foreign_code(P* p, M* owner, Nanos now) {
  const Options& options = Runtime::get().options;
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
    return;
  }
  if (!foreign) p->foreign_since = 0;
  else if (p->foreign_since == 0) p->foreign_since = now;
  bool blocked = foreign && now - p->foreign_since >= options.foreign_takeover;
  bool hog = !foreign && now - p->seen_at >= choice::slice(options.time_slice);
  bool force = hog || (foreign && now - p->foreign_since >= 2 * options.probe_back_off);
  if ((!blocked && !hog) || now < probe_after_ || !has_work()) return;
  // Whoever only waits for the GIL for long, among hogs, looks as if it were in foreign code; it is a hog as well.
  Hogs hogs = force ? count_hogs() : Hogs{};
  if (force && hog_must_wait(now, hogs)) return;
  if (probing_.exchange(true, std::memory_order_acq_rel)) return;
  Heir heir;
  {
    std::lock_guard hold(lock_);
    heir = take_machine_locked(true);
    heir.m->takeover = p;
    heir.m->takeover_tick = tick;
    heir.m->takeover_force = force;
    heir.m->takeover_hog = hog;
    heir.m->takeover_crowded = hogs.all >= options.max_hogs;
  }
  if (force) hogged_at_ = now;
  set_going(heir);
}

// Somebody has waited in the P's queue for a whole slice, seen from its first look to now, and nobody left it meanwhile.
bool Lane::watch_chain(P* p, M* owner, Nanos now) {
  const PinnedQueue& pinned = owner->pinning.queue;
  if (p->queue.size() == 0 && (!pins_ || pinned.size() == 0)) {
    p->waiting_since = 0;
    return false;
  }
  uint32_t head = p->queue.head() + pinned.popped();
  if (head != p->seen_head || p->waiting_since == 0) {
    p->seen_head = head;
    p->waiting_since = now;
    return false;
  }
  if (now - p->waiting_since < Runtime::get().options.time_slice) return false;
  p->chain_over.store(true, std::memory_order_relaxed);
  return true;
}

// preempt.h: asks the goroutine that has had its slice to end it; takes the P away from one that does not hear. True: asked, not heard yet.
bool Lane::watch_hog(P* p, M* owner, Nanos now) {
  const Options& options = Runtime::get().options;
  uint64_t tick = p->tick.load(std::memory_order_relaxed);
  if (tick != p->seen_tick) {
    p->seen_tick = tick;
    p->seen_at = now;
    withdraw_question(p);
    return false;
  }
  Nanos over = now - p->seen_at - choice::slice(options.time_slice);
  bool peers = pins_ && !owner->pinning.queue.empty();
  if (over < 0 || !(peers || others_need(p))) return false;
  if (p->asked == 0) {
    p->asked_machine = owner;
    world::ask_preemption(owner);
  }
  G* g = owner->running.load(std::memory_order_acquire);
  bool by_signal = g && world::may_be_preempted(g);
  if (p->asked++ == 0 && !by_signal) return true;
  if (by_signal && p->asked <= kSignals) {
    for_each_machine([&](M& alive) {
      if (&alive == owner) world::signal_mutator(owner);
    });
    return true;
  }
  if (over < options.preempt_grace || !others_need(p)) return true;
  Hogs hogs = pins_ ? count_hogs() : Hogs{};
  if (pins_ && hog_must_wait(now, hogs)) return true;
  if (!take_processor(p, owner, tick, false)) return true;
  hogged_at_ = now;
  if (pins_ && hogs.all >= options.max_hogs) {
    if (G* longest = longest_hog()) found_overdue_.push_back(longest);
  }
  return false;
}

bool Lane::others_need(const P* p) const {
  return !p->queue.empty() || global_.size() != 0 || p->timers.next() != 0 || wanting_.load(std::memory_order_relaxed) != 0;
}

// Takes p from under a goroutine that computes, or is in foreign code: preempt.h, step 2. False: not now, or it has moved on.
bool Lane::take_processor(P* p, M* owner, uint64_t tick, bool foreign) {
  if (!preempt::try_lock(owner)) return false;
  bool same;
  Heir heir;
  {
    std::lock_guard hold(lock_);
    same = owner->p == p && p->owner.load(std::memory_order_relaxed) == owner && p->tick.load(std::memory_order_relaxed) == tick;
    if (same) {
      owner->p = nullptr;
      if (foreign) {
        count(p->counters.foreign_calls);
        count(owner->current->switches.foreign_calls);
        takeovers_.fetch_add(1, std::memory_order_relaxed);
      } else {
        world::ask_preemption(owner);   // its goroutine queues at its next safe point; the first question may have been withdrawn
        count(p->counters.preempt_handoff);
        count(owner->current->switches.preempt_handoff);
        if (pins_ && !owner->own) {
          owner->hog_seen.store(true, std::memory_order_relaxed);
          owner->hog_since.store(nanotime(), std::memory_order_relaxed);
        }
      }
      heir = hand_over_orphan_locked(p);
    }
  }
  preempt::unlock(owner);
  if (!same) return false;
  p->asked = 0;
  if (heir.m) set_going(heir);
  return true;
}

// The machine that was asked may have another P by now, or none, or be gone.
void Lane::withdraw_question(P* p) {
  if (std::exchange(p->asked, 0) == 0) return;
  for_each_machine([&](M& alive) {
    if (&alive == p->asked_machine) world::withdraw_preemption(&alive);
  });
}

}  // namespace gort
