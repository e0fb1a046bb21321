#include "gort/sched/runtime.h"

#include <algorithm>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <system_error>

#include "gort/sched/cooling.h"
#include "gort/sched/go.h"
#include "gort/sched/layout.h"
#include "gort/sched/preempt.h"
#include "gort/sched/schedtrace.h"
#include "gort/sched/stack_overflow.h"
#include "gort/sched/world.h"

namespace gort {

std::atomic<Nanos> coarse_now{0};

namespace {

// An odd number of pages: with a stride of 256 KiB all stack tops fall into the same cache sets (spawning was 1.5 times slower).
constexpr size_t kNativeStack = 260 * 1024;

// Ends a plain thread's goroutine with its thread. By a key of pthread's: unlike a thread_local's, its destructor runs again if the thread
// comes back to gort in somebody else's destructor.
void arm_thread_end(M* m) {
  static const pthread_key_t key = [] {
    pthread_key_t made;
    if (int error = pthread_key_create(&made, [](void*) { Runtime::get().detach_thread(); })) {
      throw std::system_error(error, std::generic_category(), "gort: no key for the end of threads");
    }
    return made;
  }();
  pthread_setspecific(key, m);
}

}  // namespace

Runtime::Runtime() : native_("native", kNativeStack, nullptr) {
  native_.resize(procs::wanted(), seed_.load());
  publish_layout(*this);
}

// Never destroyed: machines may still run while static objects are.
Runtime& Runtime::get() {
  static Runtime* instance = new Runtime;
  return *instance;
}

uint64_t Runtime::next_ids(uint64_t count) { return ids_.fetch_add(count, std::memory_order_relaxed) + 1; }

void Runtime::register_goroutines(G* const* all, size_t count) {
  std::lock_guard hold(lock_);
  goroutines_.insert(goroutines_.end(), all, all + count);
}

std::vector<G*> Runtime::all_goroutines() {
  std::lock_guard hold(lock_);
  return goroutines_;
}

std::vector<G*> Runtime::goroutines(size_t from, size_t most) {
  std::lock_guard hold(lock_);
  from = std::min(from, goroutines_.size());
  auto begin = goroutines_.begin() + std::ptrdiff_t(from);
  return {begin, begin + std::ptrdiff_t(std::min(most, goroutines_.size() - from))};
}

int64_t Runtime::num_goroutine() {
  int64_t n = attached_.load(std::memory_order_relaxed) - system_goroutines_.load(std::memory_order_relaxed);
  for_each_lane([&](Lane& lane) { n += lane.live(); });
  return n < 1 ? 1 : n;
}

// ---------------------------------------------------------------- plain threads

M* Runtime::attach_thread(Lane& lane) {
  stack_overflow::watch_this_thread();
  auto* m = new M;
  m->id = next_machine_id();
  m->lane = &lane;
  m->thread = pthread_self();
  m->os_id = gettid();
  m->exceptions = thread_exception_globals();
  m->inside.store(false, std::memory_order_relaxed);
  describe_thread(m->scheduler);
  auto* g = new G;
  g->home = &lane;
  g->lane.store(&lane, std::memory_order_relaxed);
  g->on_thread_stack = true;
  g->own_machine = m;
  g->id.store(next_ids(1), std::memory_order_relaxed);
  g->status.store(Status::Running, std::memory_order_relaxed);
  g->started.store(true, std::memory_order_relaxed);
  m->own = g;
  m->current = g;
  m->running.store(g, std::memory_order_relaxed);
  register_goroutines(&g, 1);
  attached_.fetch_add(1, std::memory_order_relaxed);
  lane.attach_machine(m);
  machine_active();
  set_this_machine(m);
  arm_thread_end(m);
  return m;
}

void Runtime::detach_thread() {
  M* m = this_machine();
  if (!m || !m->own) return;
  {
    RuntimeScope inside(m);
    if (m->p) m->lane->hand_off(m, nullptr);
  }
  m->lane->detach_machine(m);
  set_this_machine(nullptr);
  G* g = m->own;
  g->status.store(Status::Dead, std::memory_order_seq_cst);   // before the hooks look whether anybody has to be told (object_of in the bindings)
  if (LaneHooks* hooks = g->home->hooks()) hooks->thread_ended(g);
  {
    // G memory is type-stable for stale claims; a thread's G is not pooled, so it stays, off the list.
    std::lock_guard hold(lock_);
    std::erase(goroutines_, g);
  }
  attached_.fetch_sub(1, std::memory_order_relaxed);
  machine_idle(m);
  retire(g, m);
}

// Memory of ended threads is reused only after a while in which stale claims and wakes have long ended.
void Runtime::Retired::push(G* g, M* m) {
  constexpr size_t kKept = 256;
  std::lock_guard hold(lock);
  list.push_back({g, m});
  if (list.size() <= kKept) return;
  auto [old_g, old_m] = list.front();
  if (old_g && old_g->home->hooks()) old_g->home->hooks()->forget_thread(old_g, old_m);
  delete old_g;
  delete old_m;
  list.erase(list.begin());
}

// ---------------------------------------------------------------- activity and deadlock

void Runtime::machine_active() { active_.fetch_add(1, std::memory_order_seq_cst); }

void Runtime::machine_idle(M* m) {
  if (active_.fetch_sub(1, std::memory_order_seq_cst) == 1) check_dead(m);
}

void Runtime::set_main(G* g) { main_.store(g, std::memory_order_release); }

// Called by the machine that went idle last. Only the thread of goroutine 1 decides (it can ask its lane's hooks, holding the
// GIL); any other just makes it look.
bool Runtime::check_dead(M* m) {
  G* main = main_.load(std::memory_order_acquire);
  if (!main) return false;
  bool quiet = true;
  for_each_lane([&](Lane& lane) { quiet = quiet && lane.quiet(); });
  if (!quiet || active_.load(std::memory_order_seq_cst) != 0) return false;
  M* home = main->own_machine;
  if (home != m) {
    home->wake.set();
    return false;
  }
  // Whoever ended its wait may have gone idle before this thread counted itself idle.
  if (Outcome(main->wait_word.load(std::memory_order_acquire) & 0xff) != Outcome::Pending) return false;
  if (LaneHooks* hooks = main->home->hooks()) {
    if (hooks->others_may_wake(m)) return false;
    hooks->deadlocked(m);
  }
  if (request(main, G::kDeadlock)) return true;
  main->requests.fetch_and(uint8_t(~G::kDeadlock), std::memory_order_seq_cst);   // not for a later wait
  return false;
}

bool Runtime::may_be_dead(const G* asker) {
  G* main = main_.load(std::memory_order_acquire);
  if (!main || main == asker || (asker && (!asker->own_machine || asker->group == main->group))) return false;
  bool quiet = true;
  for_each_lane([&](Lane& lane) { quiet = quiet && lane.global_queue_size() == 0 && lane.next_timer() == 0; });
  for (G* g : all_goroutines()) {
    Status status = g->status.load(std::memory_order_acquire);
    if (g == asker || g->system || status == Status::Dead || status == Status::Idle) continue;
    bool for_ever = status == Status::Waiting && g->wait_reason.load(std::memory_order_relaxed) != WaitReason::IOWait &&
                    (!g->own_machine || g->wait_deadline == kForever);
    quiet = quiet && for_ever;
  }
  return quiet;
}

// The waiter may find the request itself (begin_wait). Whoever takes the bit delivers, so an interrupt ends one wait only;
// kExit stays set, it ends all of them.
bool Runtime::request(G* g, G::Request what) {
  Outcome outcome = what == G::kExit ? Outcome::Exit : what == G::kInterrupt ? Outcome::Interrupted : Outcome::Deadlock;
  g->requests.fetch_or(what, std::memory_order_seq_cst);
  for (;;) {
    uint64_t word = g->wait_word.load(std::memory_order_seq_cst);
    if ((word & 0xff) != uint64_t(Outcome::Pending)) return false;
    if (what != G::kExit && !(g->requests.fetch_and(uint8_t(~what), std::memory_order_seq_cst) & what)) return true;
    if (claim(g, word >> 8, outcome)) break;
    if (what != G::kExit) g->requests.fetch_or(what, std::memory_order_seq_cst);
  }
  ready(g);
  return true;
}

// ---------------------------------------------------------------- sysmon

void Runtime::start_sysmon() {
  if (sysmon_running_.load(std::memory_order_acquire)) return;
  std::lock_guard hold(lock_);
  if (closed_ || sysmon_running_.load(std::memory_order_relaxed)) return;
  sysmon_stop_.store(false);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&sysmon_thread_, nullptr, sysmon_main, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) sysmon_running_.store(true, std::memory_order_release);
}

void Runtime::stop_sysmon() {
  if (!sysmon_running_.load(std::memory_order_acquire)) return;
  sysmon_stop_.store(true);
  wake_sysmon();
  pthread_join(sysmon_thread_, nullptr);
  coarse_now.store(0, std::memory_order_relaxed);
  sysmon_running_.store(false, std::memory_order_release);
}

void Runtime::close() {
  {
    std::lock_guard hold(lock_);
    closed_ = true;
  }
  stop_sysmon();
}

void Runtime::wake_sysmon() {
  if (sysmon_sleep_.exchange(0) != 0) futex_wake(sysmon_sleep_);
}

void* Runtime::sysmon_main(void* self) {
  static_cast<Runtime*>(self)->sysmon();
  return nullptr;
}

// Go's sysmon: a thread without a P that looks after those who do not come to the scheduler by themselves.
void Runtime::sysmon() {
  Nanos delay = options.sysmon_min;
  int quiet_rounds = 0;
  Nanos cooled_at = nanotime();
  bool cooling_goes_on = true;
  while (!sysmon_stop_.load()) {
    timespec pause{0, delay};
    nanosleep(&pause, nullptr);
    sysmon_rounds_.fetch_add(1, std::memory_order_relaxed);
    Nanos now = nanotime();
    coarse_now.store(now, std::memory_order_relaxed);
    if (auto hook = sysmon_hook.load(std::memory_order_acquire)) hook(now);
    schedtrace_round(now);
    procs::look(now);
    if (now - cooled_at >= options.stack_idle) {
      cooled_at = now;
      for_each_lane([](Lane& lane) { lane.cool_stacks(); });
      cooling_goes_on = cooling::look(now);
    }
    bool idle = true;
    Nanos longest = options.sysmon_max;
    for_each_lane([&](Lane& lane) {
      longest = std::min(longest, lane.watch(now));
      idle = idle && lane.idle_processors() == lane.processors();
    });
    // Back off like Go: 20 us for the first 50 rounds, then doubling.
    quiet_rounds++;
    if (quiet_rounds > 50 && delay < options.sysmon_max) delay *= 2;
    if (delay > longest) delay = longest;
    if (!idle || schedtrace_wanted()) continue;
    coarse_now.store(0, std::memory_order_relaxed);
    sysmon_sleep_.store(1, std::memory_order_seq_cst);
    idle = true;
    for_each_lane([&](Lane& lane) { idle = idle && lane.idle_processors() == lane.processors(); });
    bool warm = false;
    for_each_lane([&](Lane& lane) { warm = warm || lane.has_warm_stacks(); });
    Nanos until = warm || cooling_goes_on ? cooled_at + options.stack_idle : kForever;
    while (idle && !sysmon_stop_.load() && !schedtrace_wanted() && sysmon_sleep_.load() == 1 && !has_passed(until)) futex_wait(sysmon_sleep_, 1, until);
    sysmon_sleep_.store(0, std::memory_order_seq_cst);
    cooling_goes_on = true;
    delay = options.sysmon_min;
    quiet_rounds = 0;
  }
}

void Runtime::stop_idle_threads() {
  stop_sysmon();
  for_each_lane([&](Lane& lane) {
    lane.stop_machines();
    lane.trim();
    lane.appoint_timekeeper();   // a plain thread that waits may have armed a timer
  });
}

// ---------------------------------------------------------------- dumps

std::string header_line(const G& g, Nanos now) {
  Status status = g.status.load(std::memory_order_relaxed);
  WaitReason reason = g.wait_reason.load(std::memory_order_relaxed);
  std::string line = "goroutine " + std::to_string(g.id.load(std::memory_order_relaxed)) + " [";
  line += status == Status::Waiting && reason != WaitReason::None ? wait_reason_text(reason) : status_text(status);
  Nanos since = g.wait_since.load(std::memory_order_relaxed);
  if (status == Status::Waiting && since != 0 && now - since >= 60 * kSecond) {
    line += ", " + std::to_string((now - since) / (60 * kSecond)) + " minutes";
  }
  if (g.own_machine || g.thread_locks != 0) line += ", locked to thread";
  return line + "]:";
}

void Runtime::note_waits(Nanos now) {
  for (G* g : all_goroutines()) note_wait(g, now);
}

void Runtime::note_wait(G* g, Nanos now) {
  if (g->status.load(std::memory_order_acquire) != Status::Waiting) return;
  Nanos unknown = 0;
  g->wait_since.compare_exchange_strong(unknown, now, std::memory_order_relaxed);
}

std::string Runtime::dump(std::function<std::string(G*)> describe) {
  std::string text;
  Nanos now = nanotime();
  note_waits(now);
  for (G* g : all_goroutines()) {
    Status status = g->status.load(std::memory_order_relaxed);
    if (status == Status::Dead || status == Status::Idle || g->system) continue;
    if (!text.empty()) text += "\n";
    text += header_line(*g, now) + "\n";
    if (describe) text += describe(g);
  }
  return text;
}

}  // namespace gort
