// The collector: a concurrent, tri-colour, non-moving mark and sweep with a hybrid write barrier. Go's mgc.go in shape.
//
// A cycle, run by one system goroutine, the worker:
//
//   1. Off. Everything is swept (the last cycle ended with that).
//   2. Pools are cleared. Go does that in the stop; ours have locks that a stopped mutator may hold, and run destructors.
//      Stop 1, "GC sweep termination": cached spans and tiny blocks turn black; barrier on, phase Mark; the
//      stacks of running goroutines are scanned, parked ones will be before they run on (world::set_resume_scan). Start.
//   3. Mark, concurrently: parked stacks, handles, then everything grey, by the worker and by allocators in debt.
//      When nothing is left to see, go on.
//   4. Stop 2, "GC mark termination": whatever barriers have shaded since is collected. If there is any, start the world and go back to 3;
//      after kRestarts such rounds mark it here. Else: caches are flushed, barrier off, phase Off, and the spans' generation changes:
//      all are unswept. Start.
//   5. Sweep, concurrently: by allocators as they need spans, and by the worker until none is left. Pages of empty spans go back.
//      The cycle has ended; who waits in collect() goes on.
//
// The worker takes 25 % of a P that others want, and all of one that is idle: it works for kQuantum, then
// yields until three times that has passed or a yield comes back at once, which means nobody else was in line.
//
// Phases change only in a stopped world and mutators stop only in runtime calls, so no write barrier, allocation or handle operation
// ever straddles a change. The collector itself allocates nothing from the managed heap.
//
// Rejected: a stop-the-world collector (pauses grow with the heap); the worker as a thread of its own (it would take a CPU
// from the Ps instead of a share of one); scanning handles in the first stop (Python programs have a million of them).
#include "gort/gc/collector.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "gort/base/tier.h"
#include "gort/gc/record.h"
#include "gort/gc/state.h"
#include "gort/gc/verify.h"
#include "gort/heap/cache.h"
#include "gort/heap/handle_table.h"
#include "gort/heap/heap.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"

namespace gort::gc {

constinit State state;

namespace {

constexpr Nanos kQuantum = 200 * kMicrosecond;
constexpr Nanos kYieldAlone = 2 * kMicrosecond;  // a yield that takes less ran nobody else
constexpr int kRestarts = 4;
constexpr uint64_t kDrainBudget = 64 << 10;
constexpr Nanos kPeriod = 120 * kSecond;

// Who asked for what. started - finished is 1 while a cycle runs.
struct Requests {
  SpinLock lock{LockRank::Sync};  // guards everything here
  uint64_t wanted = 0, started = 0, finished = 0;
  Reason reason = Reason::Heap;
  bool worker_exists = false;
  WaitQueue worker;   // the worker, when idle
  WaitQueue waiters;  // collect()
  uint64_t marked = 0;    // cycles whose marking has ended
  WaitQueue allocators;   // wait_for_mark_end()
};
constinit Requests requests;

std::atomic<Nanos> last_cycle_end{0};

constexpr size_t kHooks = 8;
std::atomic<void (*)()> clear_pools[kHooks];

uint64_t live_bytes() { return uint64_t(std::max<int64_t>(0, heap::heap.live.load(std::memory_order_relaxed))); }

void visit_stack(void*, const world::StackRange& range) {
  Marker marker;
  marker.scan_words(range.low, range.high);
  state.stacks.fetch_add(1, std::memory_order_relaxed);
  state.stack_bytes.fetch_add(uint64_t(static_cast<const char*>(range.high) - static_cast<const char*>(range.low)),
                              std::memory_order_relaxed);
}

void ready_all(WaitQueue& queue) {
  for (;;) {
    requests.lock.lock();
    Waiter* w = queue.pop_claimed();
    G* g = w != nullptr ? w->g : nullptr;
    requests.lock.unlock();
    if (g == nullptr) return;
    ready(g);
  }
}

// One cycle, and the share of the CPU that it takes.
class Worker {
 public:
  Worker(uint64_t number, Reason reason);
  void run();

 private:
  void begin_marking();
  void mark();
  bool finish_marking(bool insist);
  void end_marking();
  void sweep();
  void scan_handles();
  bool drain_some();
  void rest();

  Cycle cycle_;
  Nanos quantum_began_ = 0;
};

Worker::Worker(uint64_t number, Reason reason) {
  cycle_.number = number;
  cycle_.reason = reason;
  cycle_.procs = gomaxprocs();
  cycle_.start = quantum_began_ = nanotime();
  cycle_.since_process_start = cycle_.start - record::process_start();
}

void Worker::run() {
  begin_marking();
  mark();
  for (int attempt = 0; !finish_marking(attempt == kRestarts); attempt++) mark();
  sweep();
}

// rest keeps the worker's share of a wanted P at a quarter. A safe point.
void Worker::rest() {
  Nanos now = nanotime();
  if (now - quantum_began_ < kQuantum) return;
  cycle_.worker_time += now - quantum_began_;
  Nanos until = now + Nanos(double(kQuantum) * (1 - Pacer::kUtilization) / Pacer::kUtilization);
  while (now < until) {
    Nanos before = now;
    yield();
    now = nanotime();
    if (now - before < kYieldAlone) break;
    if (live_bytes() >= uint64_t(heap::heap.trigger.load(std::memory_order_relaxed))) break;  // late: no rest
  }
  quantum_began_ = now;
}

// Stop 1.
void Worker::begin_marking() {
  auto epoch = uint32_t(cycle_.number);
  state.objects = state.bytes = state.bytes_scanned = 0;
  state.stacks = state.stack_bytes = 0;
  state.assist_time = state.shared_account = 0;

  for (auto& hook : clear_pools)
    if (void (*run)() = hook.load(std::memory_order_acquire)) run();
  cycle_.stop1_begin = nanotime();
  cycle_.stop1_wait = world::stop("GC sweep termination");
  state.requested.store(false, std::memory_order_relaxed);
  cycle_.heap_before = live_bytes();
  cycle_.goal = state.pacer.goal();
  state.pacer.begin(cycle_.heap_before);
  heap::heap.born_black.store(0, std::memory_order_relaxed);
  heap::marking.store(1, std::memory_order_relaxed);
  state.phase.store(Phase::Mark, std::memory_order_relaxed);
  for (heap::Cache* c = heap::heap.caches.load(std::memory_order_acquire); c != nullptr; c = c->next) c->begin_marking();
  world::set_resume_scan(epoch, visit_stack, nullptr);
  world::for_each_stack(true, visit_stack, nullptr);
  world::start();
  cycle_.mark_begin = nanotime();
  cycle_.stop1_pause = cycle_.mark_begin - cycle_.stop1_begin;
  record::begin(cycle_);

  world::scan_parked(epoch, visit_stack, nullptr);
  scan_handles();
}

void Worker::scan_handles() {
  for (heap::HandleBlock* block = heap::first_handle_block(); block != nullptr; block = block->next) {
    {
      Marker marker;
      for (void*& slot : block->slots) {
        auto value = reinterpret_cast<uintptr_t>(__atomic_load_n(&slot, __ATOMIC_ACQUIRE));
        if ((value & 1) != 0 || value == 0) continue;
        cycle_.handles++;
        marker.shade(value);
      }
    }
    world::safe_point();
    rest();
  }
}

bool Worker::drain_some() {
  Marker marker;
  uint64_t done = marker.drain(kDrainBudget);
  state.pacer.background_credit.fetch_add(int64_t(done), std::memory_order_relaxed);
  return done != 0;
}

// mark works until there is nothing to see from outside; whether that is the end only a stopped world can tell.
void Worker::mark() {
  for (;;) {
    world::safe_point();
    rest();
    if (drain_some()) {
      state.pacer.revise(live_bytes(), state.bytes_scanned.load(std::memory_order_relaxed));
      continue;
    }
    collect_grey_buffers();
    if (state.pool.has_work()) continue;
    if (state.pool.active.load(std::memory_order_acquire) == 0) return;
    yield();  // an assist still holds some
  }
}

// Stop 2. False if marking has to go on.
bool Worker::finish_marking(bool insist) {
  cycle_.stop2_attempts++;
  cycle_.stop2_begin = nanotime();
  cycle_.stop2_wait = world::stop("GC mark termination");
  collect_grey_buffers();
  if (state.pool.has_work()) {
    if (!insist) {
      world::start();
      return false;
    }
    // drain returns when a stop is wanted, and this one is ours: batch by batch.
    for (bool more = true; more;) {
      Marker marker;
      more = marker.drain_batch();
    }
  }
  end_marking();
  world::start();
  Nanos now = nanotime();
  cycle_.sweep_begin = now;
  cycle_.stop2_pause = now - cycle_.stop2_begin;
  cycle_.worker_time += std::max<Nanos>(0, cycle_.stop2_begin - quantum_began_);
  quantum_began_ = now;
  cycle_.assist_time = state.assist_time.load(std::memory_order_relaxed);
  record::end_marking(cycle_);
  requests.lock.lock();
  requests.marked = cycle_.number;
  requests.lock.unlock();
  ready_all(requests.allocators);
  return true;
}

// REQUIRES: stopped world, everything marked.
void Worker::end_marking() {
  state.phase.store(Phase::MarkTermination, std::memory_order_relaxed);
  world::set_resume_scan(0, nullptr, nullptr);
  if constexpr (kDebugTier) {
    if (std::string broken = verify_colours(); !broken.empty()) {
      std::fprintf(stderr, "fatal error: gc: %s\n", broken.c_str());
      std::abort();
    }
  }
  cycle_.heap_peak = live_bytes();
  for (heap::Cache* c = heap::heap.caches.load(std::memory_order_acquire); c != nullptr; c = c->next) c->flush();
  heap::marking.store(0, std::memory_order_relaxed);

  uint64_t marked = state.bytes.load() + uint64_t(std::max<int64_t>(0, heap::heap.born_black.load()));
  heap::heap.live.store(int64_t(marked), std::memory_order_relaxed);
  cycle_.heap_after = marked;
  cycle_.objects_marked = state.objects;
  cycle_.bytes_scanned = state.bytes_scanned;
  cycle_.stacks = state.stacks;
  cycle_.stack_bytes = state.stack_bytes;
  state.pacer.end(cycle_.heap_before, cycle_.heap_peak, marked, cycle_.bytes_scanned, cycle_.stack_bytes);

  int64_t spans = 0;
  for (heap::Central& central : heap::heap.central) spans += central.count();
  heap::heap.swept_objects = heap::heap.swept_bytes = heap::heap.swept_spans = 0;
  heap::heap.unswept.store(spans, std::memory_order_relaxed);
  heap::heap.generation.fetch_add(1, std::memory_order_relaxed);
  state.sweeping.store(true, std::memory_order_relaxed);
  state.phase.store(Phase::Off, std::memory_order_relaxed);
}

void Worker::sweep() {
  for (heap::Central& central : heap::heap.central) {
    for (int n = 1; central.sweep_one(); n++) {
      if (n % 16 != 0) continue;
      world::safe_point();
      rest();
    }
  }
  while (heap::heap.unswept.load(std::memory_order_acquire) != 0) yield();  // somebody is at its last one
  state.sweeping.store(false, std::memory_order_relaxed);
  cycle_.end = nanotime();
  cycle_.objects_freed = heap::heap.swept_objects;
  cycle_.bytes_freed = heap::heap.swept_bytes;
  cycle_.spans_freed = heap::heap.swept_spans;
  record::end(cycle_);
  last_cycle_end.store(cycle_.end, std::memory_order_relaxed);
}

void worker_main() {
  Runtime::get().sysmon_hook.store(poll_periodic, std::memory_order_release);
  for (;;) {
    requests.lock.lock();
    while (requests.wanted <= requests.started) {
      Waiter w(current());
      requests.worker.push(&w);
      Outcome outcome = park(&requests.lock, {.reason = WaitReason::GCWorkerIdle});
      requests.lock.lock();
      if (outcome == Outcome::Fired) continue;
      // Told to end; the next request starts another.
      requests.worker.remove(&w);
      bool wanted = requests.wanted > requests.started;
      requests.worker_exists = wanted;
      if (wanted) break;
      requests.lock.unlock();
      return;
    }
    uint64_t number = ++requests.started;
    Reason reason = requests.reason;
    requests.lock.unlock();

    Worker(number, reason).run();

    requests.lock.lock();
    requests.finished = number;
    requests.lock.unlock();
    ready_all(requests.waiters);
  }
}

// Wants cycle number `want` to run, or the next one if that is 0. Returns its number.
uint64_t want_cycle(uint64_t want, Reason reason) {
  requests.lock.lock();
  if (want == 0) want = requests.started + 1;
  if (requests.wanted < want) {
    requests.wanted = want;
    requests.reason = reason;
  } else if (reason == Reason::Forced && requests.started < want) {
    requests.reason = reason;
  }
  state.requested.store(true, std::memory_order_relaxed);
  bool spawn = !requests.worker_exists;
  requests.worker_exists = true;
  Waiter* w = requests.worker.pop_claimed();
  G* worker = w != nullptr ? w->g : nullptr;
  requests.lock.unlock();
  if (worker != nullptr) ready(worker);
  if (spawn) go_system(worker_main);
  return want;
}

}  // namespace

void request(Reason reason) { want_cycle(0, reason); }

void collect() {
  current();  // makes a plain thread known to the scheduler before a lock is held
  uint64_t want = want_cycle(0, Reason::Forced);
  requests.lock.lock();
  while (requests.finished < want) {
    Waiter w(current());
    requests.waiters.push(&w);
    Outcome outcome = park(&requests.lock, {.reason = WaitReason::WaitForGCCycle});
    requests.lock.lock();
    if (outcome == Outcome::Fired) continue;
    requests.waiters.remove(&w);
    requests.lock.unlock();
    throw_outcome(outcome);
  }
  requests.lock.unlock();
}

void wait_for_mark_end() {
  requests.lock.lock();
  if (requests.marked >= requests.wanted) {
    requests.lock.unlock();
    return;
  }
  Waiter w(current());
  requests.allocators.push(&w);
  if (park(&requests.lock, {.reason = WaitReason::GCAssistMarking}) == Outcome::Fired) return;
  requests.lock.lock();
  requests.allocators.remove(&w);
  requests.lock.unlock();
}

Phase phase() { return state.phase.load(std::memory_order_relaxed); }

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::Off: return "off";
    case Phase::Mark: return "mark";
    case Phase::MarkTermination: return "mark termination";
  }
  return "";
}

bool sweeping() { return state.sweeping.load(std::memory_order_relaxed); }

int set_percent(int percent) { return state.pacer.set_percent(percent); }
int percent() { return state.pacer.percent(); }

Stats stats() {
  Stats s = record::totals();
  s.heap_live = live_bytes();
  s.heap_marked = state.pacer.marked();
  s.goal = state.pacer.goal();
  s.trigger = uint64_t(heap::heap.trigger.load(std::memory_order_relaxed));
  return s;
}

void before_fork() { world::stop("fork"); }

void after_fork_in_parent() { world::start(); }

void after_fork_in_child() {
  // Nobody else is left. Heap locks are free, since mutators stood; this one may have been held by a thread in collect().
  uint64_t started = requests.started;
  new (&requests) Requests;
  requests.wanted = requests.started = requests.marked = requests.finished = started;
  record::after_fork_in_child();
  state.requested.store(false);
  if (state.phase.load() != Phase::Off) {
    // The cycle is given up. When one marks, all spans are swept: without their marks they are as between cycles.
    world::set_resume_scan(0, nullptr, nullptr);
    heap::heap.pages.for_each_span([](heap::Span& s) { std::memset(s.marks(), 0, s.nelems); });
    collect_grey_buffers();
    while (WorkBuffer* buffer = state.pool.get_full()) {
      buffer->count = 0;
      state.pool.put(buffer);
    }
    state.pool.active.store(0);
    heap::marking.store(0);
    state.phase.store(Phase::Off);
  }
  for (heap::Central& central : heap::heap.central)
    while (central.sweep_one()) {
    }
  heap::heap.unswept.store(0);
  state.sweeping.store(false);
  world::start();
}

void on_clear_pools(void (*hook)()) {
  Nanos never = 0;
  last_cycle_end.compare_exchange_strong(never, nanotime(), std::memory_order_relaxed);
  Runtime::get().sysmon_hook.store(poll_periodic, std::memory_order_release);
  for (auto& slot : clear_pools) {
    void (*none)() = nullptr;
    if (slot.compare_exchange_strong(none, hook, std::memory_order_release)) return;
  }
  std::fputs("fatal error: gc: too many hooks\n", stderr);
  std::abort();
}

void poll_periodic(Nanos now) {
  Nanos last = last_cycle_end.load(std::memory_order_relaxed);
  if (last == 0 || now - last < kPeriod || percent() < 0 || state.requested.load(std::memory_order_relaxed)) return;
  last_cycle_end.store(now, std::memory_order_relaxed);
  request(Reason::Periodic);
}

}  // namespace gort::gc
