#include "gort/sched/runtime.h"

#include <signal.h>

#include <cstdio>
#include <mutex>

#include "gort/sched/go.h"
#include "gort/sched/world.h"

namespace gort {
namespace {

// An odd number of pages: with a stride of 256 KiB all stack tops fall into the same cache sets (spawning was 1.5 times slower).
constexpr size_t kNativeStack = 260 * 1024;

// Ends a plain thread's goroutine with its thread.
struct ThreadEnd {
  ~ThreadEnd() { Runtime::get().detach_thread(); }
};

[[gnu::noinline]] void arm_thread_end() {
  thread_local ThreadEnd end;
  asm volatile("" : : "r"(&end));
}

}  // namespace

Runtime::Runtime() : native_("native", kNativeStack, nullptr) { native_.resize(num_cpu(), seed_.load()); }

// Never destroyed: machines may still run while static objects are.
Runtime& Runtime::get() {
  static Runtime* instance = new Runtime;
  return *instance;
}

uint64_t Runtime::next_ids(uint64_t count) { return ids_.fetch_add(count, std::memory_order_relaxed) + 1; }

void Runtime::register_goroutine(G* g) {
  std::lock_guard hold(lock_);
  goroutines_.push_back(g);
}

std::vector<G*> Runtime::all_goroutines() {
  std::lock_guard hold(lock_);
  return goroutines_;
}

int64_t Runtime::num_goroutine() {
  int64_t n = attached_.load(std::memory_order_relaxed) - system_goroutines_.load(std::memory_order_relaxed);
  for_each_lane([&](Lane& lane) { n += lane.live(); });
  return n < 1 ? 1 : n;
}

// ---------------------------------------------------------------- plain threads

M* Runtime::attach_thread(Lane& lane) {
  auto* m = new M;
  m->id = next_machine_id();
  m->lane = &lane;
  m->thread = pthread_self();
  m->exceptions = thread_exception_globals();
  describe_thread(m->scheduler);
  auto* g = new G;
  g->lane = &lane;
  g->own_machine = m;
  g->id.store(next_ids(1), std::memory_order_relaxed);
  g->status.store(Status::Running, std::memory_order_relaxed);
  g->started.store(true, std::memory_order_relaxed);
  m->own = g;
  m->current = g;
  m->running.store(g, std::memory_order_relaxed);
  register_goroutine(g);
  attached_.fetch_add(1, std::memory_order_relaxed);
  lane.attach_thread_machine(m);
  machine_active();
  set_this_machine(m);
  arm_thread_end();
  return m;
}

void Runtime::detach_thread() {
  M* m = this_machine();
  if (!m || !m->own) return;
  if (m->p) m->lane->hand_off(m, nullptr);
  m->lane->detach_thread_machine(m);
  set_this_machine(nullptr);
  G* g = m->own;
  g->status.store(Status::Dead, std::memory_order_release);
  {
    // G memory is type-stable for stale claims; a thread's G is not pooled, so it stays, off the list.
    std::lock_guard hold(lock_);
    std::erase(goroutines_, g);
  }
  attached_.fetch_sub(1, std::memory_order_relaxed);
  machine_idle(m);
  retired_threads_.push(g, m);
}

// Memory of ended threads is reused only after a while in which stale claims and wakes have long ended.
void Runtime::Retired::push(G* g, M* m) {
  constexpr size_t kKept = 256;
  std::lock_guard hold(lock);
  list.push_back({g, m});
  if (list.size() <= kKept) return;
  auto [old_g, old_m] = list.front();
  if (old_g->lane->hooks()) old_g->lane->hooks()->forget_thread(old_g, old_m);
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
  if (LaneHooks* hooks = home->lane->hooks()) {
    if (hooks->others_may_wake(m)) return false;
    hooks->deadlocked(m);
  }
  request(main, G::kDeadlock);
  return true;
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
  if (sysmon_running_.load(std::memory_order_relaxed)) return;
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
  sysmon_running_.store(false, std::memory_order_release);
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
  while (!sysmon_stop_.load()) {
    timespec pause{0, delay};
    nanosleep(&pause, nullptr);
    sysmon_rounds_.fetch_add(1, std::memory_order_relaxed);
    Nanos now = nanotime();
    if (auto hook = sysmon_hook.load(std::memory_order_acquire)) hook(now);
    bool idle = true, foreign = false;
    for_each_lane([&](Lane& lane) {
      lane.watch(now);
      bool lane_idle = lane.idle_processors() == lane.processors();
      idle = idle && lane_idle;
      foreign = foreign || (lane.hooks() && !lane_idle);
    });
    // Back off like Go: 20 us for the first 50 rounds, then doubling. A lane whose goroutines enter foreign code unannounced
    // needs a closer look for as long as it is in use.
    quiet_rounds++;
    if (quiet_rounds > 50 && delay < options.sysmon_max) delay *= 2;
    Nanos longest = foreign ? options.foreign_max : options.sysmon_max;
    if (delay > longest) delay = longest;
    if (!idle) continue;
    sysmon_sleep_.store(1, std::memory_order_seq_cst);
    idle = true;
    for_each_lane([&](Lane& lane) { idle = idle && lane.idle_processors() == lane.processors(); });
    while (idle && !sysmon_stop_.load() && sysmon_sleep_.load() == 1) futex_wait(sysmon_sleep_, 1);
    sysmon_sleep_.store(0, std::memory_order_seq_cst);
    delay = options.sysmon_min;
    quiet_rounds = 0;
  }
}

void Runtime::stop_idle_threads() {
  stop_sysmon();
  for_each_lane([&](Lane& lane) {
    lane.stop_machines();
    lane.trim();
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
  if (g.own_machine) line += ", locked to thread";
  return line + "]:";
}

std::string Runtime::dump(std::function<std::string(G*)> describe) {
  std::string text;
  Nanos now = nanotime();
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
