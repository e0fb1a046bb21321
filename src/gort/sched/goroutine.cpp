#include "gort/sched/goroutine.h"

#include "gort/base/errors.h"
#include "gort/observe/contention.h"
#include "gort/observe/latency.h"
#include "gort/sched/choice.h"
#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"

namespace gort {
namespace {

constexpr uint64_t kOutcomeMask = 0xff;

Outcome outcome_of(uint64_t word) { return Outcome(word & kOutcomeMask); }

Outcome outcome_for(uint8_t requests) {
  if (requests & G::kExit) return Outcome::Exit;
  if (requests & G::kInterrupt) return Outcome::Interrupted;
  return Outcome::Deadlock;
}

void on_deadline(void* argument, uint64_t ticket) {
  G* g = static_cast<G*>(argument);
  if (claim(g, ticket, Outcome::TimedOut)) ready(g);
}

// What a waiting goroutine shows of its wait.
void show_wait(G* g, const ParkOptions& options) {
  g->wait_reason.store(options.reason, std::memory_order_relaxed);
  g->waiting_on.store(options.on, std::memory_order_relaxed);
  g->wait_since.store(coarse_now.load(std::memory_order_relaxed), std::memory_order_relaxed);
  g->status.store(Status::Waiting, std::memory_order_relaxed);
}
void hide_wait(G* g) {
  g->wait_reason.store(WaitReason::None, std::memory_order_relaxed);
  g->waiting_on.store(nullptr, std::memory_order_relaxed);
}

void count_park(M* m, G* g, WaitReason reason) {
  if (m->p) count(m->p->counters.parks[size_t(reason)]);
  count(g->switches.parks[size_t(reason)]);
}

template <class Unlock>
Outcome park_with(Unlock unlock, const ParkOptions& options) {
  M* m = this_machine();
  G* g = m->current;
  uint64_t word = g->wait_word.load(std::memory_order_relaxed);
  if (g->self_claimed) [[unlikely]] {
    g->self_claimed = false;
    unlock();
    return outcome_of(word);
  }
  show_wait(g, options);
  bool measured = observe::contention_on.load(std::memory_order_relaxed);
  Nanos began = measured ? nanotime() : 0;
  bool timed = options.deadline != kForever;
  enter_runtime(m);
  count_park(m, g, options.reason);
  unlock();
  // From here on g may be readied; it is safe because g->on_cpu is set until its stack is left.
  if (timed) [[unlikely]] {
    if (g->is_plain_thread()) g->wait_deadline = options.deadline;
    else g->timer.start(options.deadline, on_deadline, g, word >> 8);
  }
  leave_runtime(m->lane->leave(m, g));
  if (timed) [[unlikely]] {
    if (g->is_plain_thread()) g->wait_deadline = kForever;
    else g->timer.stop();
  }
  hide_wait(g);
  if (measured) [[unlikely]] {
    Nanos now = nanotime();
    observe::record_wait({options.reason, observe::Part::Waiting, options.on, observe::stack_here()}, now - began, now, g->id.load(std::memory_order_relaxed));
  }
  return outcome_of(g->wait_word.load(std::memory_order_acquire));
}

}  // namespace

const char* status_text(Status status) {
  switch (status) {
    case Status::Idle: return "idle";
    case Status::Runnable: return "runnable";
    case Status::Running: return "running";
    case Status::Syscall: return "syscall";
    case Status::Waiting: return "waiting";
    case Status::Dead: return "dead";
  }
  return "???";
}

G* current() {
  M* m = this_machine();
  if (!m) [[unlikely]] m = Runtime::get().attach_thread(Runtime::get().native());
  return m->current;
}

G* current_to_wait() {
  G* g = current();
  if (!g) [[unlikely]] {
    throw Fatal("gort: a signal handler or hook that runs while its thread's goroutine waits cannot wait itself; let it start a goroutine, "
                "or use gort.signal.notify");
  }
  return g;
}

uint64_t begin_wait(G* g) {
  uint64_t ticket = (g->wait_word.load(std::memory_order_relaxed) >> 8) + 1;
  // Sequentially consistent against Runtime::request: either it sees the open wait or we see its request.
  g->wait_word.store(ticket << 8, std::memory_order_seq_cst);
  if (g->requests.load(std::memory_order_seq_cst)) [[unlikely]] {
    uint8_t taken = g->requests.fetch_and(G::kExit, std::memory_order_seq_cst);
    if (taken && claim(g, ticket, outcome_for(taken))) g->self_claimed = true;
  }
  return ticket;
}

bool claim(G* g, uint64_t ticket, Outcome outcome) {
  uint64_t expected = ticket << 8;
  return g->wait_word.compare_exchange_strong(expected, expected | uint64_t(outcome), std::memory_order_acq_rel);
}

Waiter::Waiter(G* g_) : g(g_), ticket(begin_wait(g_)) {}

bool Waiter::claim() {
  if (!gort::claim(g, ticket, Outcome::Fired)) return false;
  g->fired = this;
  return true;
}

Waiter* fired_waiter(G* g) { return g->fired; }

Outcome park(SpinLock* lock, const ParkOptions& options) {
  return park_with([lock] { if (lock) lock->unlock(); }, options);
}

Outcome park(void (*unlock)(void*), void* argument, const ParkOptions& options) {
  return park_with([=] { unlock(argument); }, options);
}

// A wait that is measured wants its stack in the end.
bool may_leave_stack(G* g) {
  return g->lane.load(std::memory_order_relaxed)->hooks() && !g->own_machine && g->thread_locks == 0 &&
         !observe::contention_on.load(std::memory_order_relaxed);
}

Outcome park_stackless(void (*unlock)(void*), void* argument, const ParkOptions& options) {
  M* m = this_machine();
  G* g = m->current;
  uint64_t word = g->wait_word.load(std::memory_order_relaxed);
  if (g->self_claimed) [[unlikely]] {
    g->self_claimed = false;
    if (unlock) unlock(argument);
    return outcome_of(word);
  }
  show_wait(g, options);
  enter_runtime(m);
  count_park(m, g, options.reason);
  if (unlock) unlock(argument);
  if (options.deadline != kForever) g->timer.start(options.deadline, on_deadline, g, word >> 8);
  g->stackless = true;
  leave_runtime(m->lane->leave(m, g));
  g->stackless = false;
  return end_stackless(g);
}

Outcome end_stackless(G* g) {
  if (g->timer.armed()) g->timer.stop();
  hide_wait(g);
  return outcome_of(g->wait_word.load(std::memory_order_acquire));
}

void ready(G* g) {
  observe::note_ready(g);
  g->status.store(Status::Runnable, std::memory_order_relaxed);
  M* m = this_machine();
  RuntimeScope inside(m);
  // Goroutine 1 can go on at once on its own thread, beside others; in an explored run it waits for its turn, as only turns are repeatable.
  bool in_turn = !g->own_machine || g->own_machine == m || (g->own_machine->keeps_processor && choice::exploring());
  Lane* lane = g->lane.load(std::memory_order_relaxed);
  if (m && m->p && m->lane == lane && in_turn) lane->enqueue_next(m, g);
  else lane->enqueue(g);
}

void yield() {
  M* m = this_machine();
  if (!m) [[unlikely]] {
    current();
    m = this_machine();
  }
  if (m->current) m->lane->yield(m, m->current);
}

Outcome sleep_until(Nanos deadline) {
  begin_wait(current_to_wait());
  return park(static_cast<SpinLock*>(nullptr), {.reason = WaitReason::Sleep, .deadline = deadline});
}

void throw_outcome(Outcome outcome) {
  switch (outcome) {
    case Outcome::Interrupted: throw Interrupted();
    case Outcome::Exit: throw GoExit();
    case Outcome::Deadlock: throw Deadlock();
    default: throw Fatal("gort: a wait ended without an outcome");
  }
}

// --- WaitQueue

Waiter* WaitQueue::pop_claimed() {
  while (Waiter* w = front()) {
    remove(w);
    if (w->claim()) return w;
  }
  return nullptr;
}

size_t WaitQueue::size() const {
  size_t n = 0;
  for (Waiter* w = front(); w; w = w->next) n++;
  return n;
}

}  // namespace gort
