// A lane's part for goroutines that stay on their machine. Contract and invariants: pinning.h.

#include <mutex>
#include <utility>

#include "gort/sched/choice.h"
#include "gort/sched/lane.h"
#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

// A machine that others want to have the P of keeps it for so long: passing it on takes two threads some 10 us.
constexpr Nanos kTurn = 200 * kMicrosecond;

bool is_before(const G* a, const G* b) {
  return int32_t(a->order.load(std::memory_order_relaxed) - b->order.load(std::memory_order_relaxed)) < 0;
}

}  // namespace

void Lane::pin(M* m, G* g) {
  g->pin = m;
  m->pinning.alive.fetch_add(1, std::memory_order_relaxed);
}

// Readied elsewhere. Any thread.
void Lane::enqueue_pinned(G* g) {
  M* home = g->pin;
  home->pinning.queue.post(g);
  if (!home->idle.load(std::memory_order_seq_cst)) return;
  bool ready;
  {
    std::lock_guard hold(lock_);
    if (!home->idle.load(std::memory_order_relaxed) || home->pinning.wants) return;
    ready = serve_or_note_locked(home);
  }
  if (ready) set_going({home, false});
}

// m is on the idle list and has work of its own. True: it has a P now, and left the list.
bool Lane::serve_or_note_locked(M* m) {
  if (P* p = pop_idle_processor_locked()) {
    remove_idle_machine_locked(m);
    give_processor_locked(m, p);
    return true;
  }
  m->pinning.wants = true;
  m->pinning.wants_since = nanotime();
  wanting_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

M* Lane::longest_wanting_locked() {
  if (wanting_.load(std::memory_order_relaxed) == 0) return nullptr;
  M* longest = nullptr;
  for (M* m = idle_machines_; m; m = m->next_idle) {
    if (m->pinning.wants && (!longest || m->pinning.wants_since < longest->pinning.wants_since)) longest = m;
  }
  return longest;
}

// An explored run keeps to one machine besides goroutine 1's, or what there is to choose from would depend on which one has the P. It may be about
// to sleep: then it sees the P first. Not while its goroutine is in foreign code.
M* Lane::explored_machine_locked() {
  if (!pins_ || !choice::exploring() || !last_ || last_->p || last_->running.load(std::memory_order_acquire)) return nullptr;
  if (last_->idle.load(std::memory_order_relaxed)) remove_idle_machine_locked(last_);
  return last_;
}

// Whether goroutines that have started would run if m gave way.
bool Lane::pinned_wait(M* m) {
  if (!m->pinning.queue.empty() || wanting_.load(std::memory_order_relaxed) != 0) return true;
  if (!choice::exploring()) return false;
  std::lock_guard hold(lock_);
  return last_ && !last_->pinning.queue.empty();   // it may not have got round to wanting a P: that is no matter of the seed
}

// p is nobody's any more: it goes to the machine that has wanted one longest, else on the idle list.
Lane::Heir Lane::free_processor_locked(P* p) {
  M* m = longest_wanting_locked();
  if (!m) {
    push_idle_processor_locked(p);
    return {};
  }
  remove_idle_machine_locked(m);
  give_processor_locked(m, p);
  return {m, false};
}

// There are more Ps than before.
void Lane::serve_wanting() {
  for (;;) {
    M* m;
    {
      std::lock_guard hold(lock_);
      m = longest_wanting_locked();
      P* p = m ? pop_idle_processor_locked() : nullptr;
      if (!p) return;
      remove_idle_machine_locked(m);
      give_processor_locked(m, p);
    }
    set_going({m, false});
  }
}

// Whether m's P went to a machine that waits for one.
bool Lane::give_turn(M* m) {
  if (wanting_.load(std::memory_order_relaxed) == 0 || nanotime() - m->pinning.processor_since < kTurn) return false;
  hand_off(m, nullptr);
  return true;
}

// The next of what m and its P have.
G* Lane::take_merged(M* m) {
  PinnedQueue& mine = m->pinning.queue;
  LocalQueue& fresh = m->p->queue;
  if (G* g = mine.take_next()) return g;
  if (m->keeps_to_its_own()) return mine.pop();
  if (G* g = fresh.take_next()) return g;
  const G* a = mine.front();
  const G* b = fresh.front();
  if (!a || (b && is_before(b, a))) {
    if (G* g = fresh.pop_front()) return g;   // else thieves had the last
  }
  return mine.pop();
}

// A goroutine in foreign code that others wait behind loses its P, one that computes likewise when its slice is over. True: asked to end its
// slice, and not heard yet.
bool Lane::watch_pinned(P* p, M* owner, Nanos now) {
  G* g = owner->running.load(std::memory_order_acquire);
  if (!g || !hooks_->in_foreign_code(g)) {
    p->foreign_since = 0;
    return watch_hog(p, owner, now);
  }
  withdraw_question(p);   // whoever blocks does not hear it
  uint64_t tick = p->tick.load(std::memory_order_relaxed);
  if (tick != p->seen_tick || p->foreign_since == 0) {
    p->seen_tick = tick;
    p->seen_at = p->foreign_since = now;
    return false;
  }
  if (now - p->foreign_since >= Runtime::get().options.foreign_takeover && others_need(p)) take_processor(p, owner, tick, true);
  return false;
}

// Who stands behind a goroutine that keeps their machine for longer than its slice. Such a goroutine, if it computes, is overdue.
void Lane::watch_stalls(Nanos now) {
  Nanos slice = Runtime::get().options.time_slice;
  for_each_machine([&](M& m) {
    Pinning& pinning = m.pinning;
    if (pinning.queue.size() == 0 || pinning.queue.popped() != pinning.seen_popped || pinning.stalled_since == 0) {
      pinning.seen_popped = pinning.queue.popped();
      pinning.stalled_since = pinning.queue.size() == 0 ? 0 : now;
      pinning.told = false;
      return;
    }
    G* g = m.running.load(std::memory_order_acquire);
    if (!g || now - pinning.stalled_since < slice) return;
    bool blocked = hooks_->in_foreign_code(g);
    if (!blocked && !m.own && now - pinning.asked_at >= choice::slice(slice)) {
      pinning.asked_at = now;
      found_overdue_.push_back(g);
    }
    if (pinning.told) return;
    pinning.told = true;
    stalls_.culprit.store(g->id.load(std::memory_order_relaxed), std::memory_order_relaxed);
    stalls_.blocked.store(blocked, std::memory_order_relaxed);
    count(stalls_.count);
  });
}

// A machine that has nothing else to do goes and asks those that sysmon found: neither one that wants a P, which would lose its place, nor the
// timekeeper. Who is found while one is on its way is found again.
void Lane::send_to_overdue() {
  if (found_overdue_.empty()) return;
  Heir heir;
  {
    std::lock_guard hold(lock_);
    if (!overdue_.empty()) {
      found_overdue_.clear();
      return;
    }
    overdue_.swap(found_overdue_);
    M* m = idle_machines_;
    while (m && (m->own || m->pinning.wants || m == timekeeper_)) m = m->next_idle;
    if (m) remove_idle_machine_locked(m);
    heir = m ? Heir{m, false} : Heir{new_machine_locked(), true};
    heir.m->asks_overdue = true;
  }
  set_going(heir);
}

void Lane::ask_overdue(M* m) {
  if (!m->asks_overdue) return;
  m->asks_overdue = false;
  std::vector<G*> overdue;
  {
    std::lock_guard hold(lock_);
    overdue.swap(overdue_);
  }
  for (G* g : overdue) hooks_->end_slice(g);
}

}  // namespace gort
