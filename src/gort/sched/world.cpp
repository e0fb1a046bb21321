#include "gort/sched/world.h"

#include <sched.h>

#include <vector>

#include "gort/base/cpu.h"
#include "gort/base/futex.h"
#include "gort/sched/choice.h"
#include "gort/sched/runtime.h"
#include "gort/sched/stop_signal.h"
#include "gort/sched/world_internal.h"

namespace gort::world {

std::atomic<uint32_t> stop_flag{0};
std::atomic<uint32_t> wanted{0};
std::atomic<uint32_t> resume_epoch{0};

namespace {

// stop_flag: 0 running, 1 stop wanted or in force, 2 the same with sleepers on the word.
std::atomic<bool> stopping{false};        // taken by the one stopper
std::atomic<M*> stopper{nullptr};
Event somebody_stands;                    // wakes the stopper
std::atomic<void (*)(void*, const StackRange&)> resume_visit{nullptr};
std::atomic<void*> resume_context{nullptr};

void wait_for_start() {
  for (;;) {
    uint32_t flag = stop_flag.load(std::memory_order_acquire);
    if (flag == 0) return;
    if (flag == 1 && !stop_flag.compare_exchange_strong(flag, 2)) continue;
    futex_wait(stop_flag, 2);
  }
}

std::vector<M*> machines() {
  std::vector<M*> all;
  Runtime::get().for_each_lane([&](Lane& lane) { lane.for_each_machine([&](M& m) { all.push_back(&m); }); });
  return all;
}

// Spills the callee-saved registers to the stack and records where it ends, so that a scan sees every pointer.
[[gnu::noinline]] void stand_still(M* m) {
  __builtin_unwind_init();
  void* here = __builtin_frame_address(0);
  m->stopped_sp.store(below_frame(here), std::memory_order_release);
  leave(m);
  wait_for_start();
  asm volatile("" ::: "memory");
}

StackRange range_of(M* m, const void* low) {
  G* g = m->running.load(std::memory_order_acquire);
  if (g && !g->is_plain_thread()) return {g, low, g->fiber.stack.high};
  return {g, low, m->scheduler.stack.high};
}

// Who has ended is asked nothing else: its stack may be given back just now (Lane::trim).
bool holds_native_frames(G* g) {
  if (g->status.load(std::memory_order_acquire) == Status::Dead || !g->started.load(std::memory_order_relaxed)) return false;
  const void* outside = g->outside_from.load(std::memory_order_relaxed);
  return outside != kNoFrames && (outside || g->fiber.stack.high);
}

// What a scan looks at. REQUIRES: g is outside, or has left its stack.
StackRange standing_part(G* g) {
  const void* outside = g->outside_from.load(std::memory_order_acquire);
  return {g, outside ? outside : g->fiber.sp, g->fiber.stack.high};
}

}  // namespace

void enter(M* m) {
  if (m->mutator.load(std::memory_order_relaxed) == 1) return;
  for (;;) {
    m->mutator.store(1, std::memory_order_seq_cst);
    if (stop_flag.load(std::memory_order_seq_cst) == 0 || stopper.load(std::memory_order_relaxed) == m) return;
    leave(m);
    wait_for_start();
  }
}

void leave(M* m) {
  m->mutator.store(0, std::memory_order_release);
  if (stop_flag.load(std::memory_order_relaxed) != 0) [[unlikely]] somebody_stands.set();   // seen late, the stopper looks by itself
}

void stop_here(M* m) {
  if (m->mutator.load(std::memory_order_relaxed) == 0 || stopper.load(std::memory_order_relaxed) == m) return;
  if (stop_flag.load(std::memory_order_relaxed) == 0) return;
  stand_still(m);
  enter(m);
  m->stopped_sp.store(nullptr, std::memory_order_release);
}

void ask_preemption(M* m) {
  if (!m->preempt.exchange(true, std::memory_order_relaxed)) wanted.fetch_add(1, std::memory_order_relaxed);
}

void withdraw_preemption(M* m) {
  if (m->preempt.exchange(false, std::memory_order_relaxed)) wanted.fetch_sub(1, std::memory_order_relaxed);
}

void safe_point_slow() {
  M* m = this_machine();
  if (!m) return;
  stop_here(m);
  G* g = m->current;
  if (m->preempt.load(std::memory_order_relaxed)) {
    withdraw_preemption(m);
    bool may = !m->lane->hooks() || (m->lane->pins() && m->mutator_depth == 0);
    if (g && !g->is_plain_thread() && may) m->lane->give_up_slice(m, g, false);
  } else if (g && choice::exploring()) {
    choice::at_safe_point(m, g);
  }
}

MutatorScope::MutatorScope() {
  current();   // a thread that is new here gets its machine
  M* m = this_machine();
  entered_ = false;
  if (m->mutator_depth++ == 0 && m->mutator.load(std::memory_order_relaxed) == 0) {
    enter(m);
    entered_ = true;
  }
}

MutatorScope::~MutatorScope() {
  M* m = this_machine();
  m->mutator_depth--;
  if (entered_) leave(m);
}

namespace {

// Whether somebody runs; `interrupt`: and interrupts them, for some make no runtime calls.
bool somebody_runs(const std::vector<M*>& others, bool interrupt) {
  bool runs = false;
  for (M* m : others) {
    if (m->mutator.load(std::memory_order_seq_cst) == 0) continue;
    runs = true;
    if (!interrupt || m->lane->hooks()) continue;
    m->lane->for_each_machine([&](M& alive) {
      if (&alive == m && m->mutator.load(std::memory_order_relaxed) != 0) signal_mutator(m);
    });
  }
  return runs;
}

// All are interrupted before the stopper sleeps, and it does not yield instead: with more threads than CPUs some have been put aside, and get one
// only when those who run stand. (Asked one after the other, and with sched_yield, they were waited for 7 ms at the 99th percentile.)
void wait_until_all_stand(const std::vector<M*>& others, Nanos began) {
  while (nanotime() - began < kSignalAfter) {
    if (!somebody_runs(others, false)) return;
    cpu_relax();
  }
  while (somebody_runs(others, true)) {
    Nanos again = nanotime() + kAgain;
    for (;;) {
      somebody_stands.reset();
      if (!somebody_runs(others, false)) return;
      if (somebody_stands.wait(again) == FutexResult::TimedOut) break;
    }
  }
}

}  // namespace

Nanos stop(const char*) {
  Nanos began = nanotime();
  current();
  while (stopping.exchange(true, std::memory_order_acquire)) {
    safe_point();
    sched_yield();
  }
  M* self = this_machine();
  stopper.store(self, std::memory_order_relaxed);
  stop_flag.store(1, std::memory_order_seq_cst);
  wanted.fetch_add(1, std::memory_order_relaxed);
  std::vector<M*> others = machines();
  std::erase(others, self);
  wait_until_all_stand(others, began);
  return nanotime() - began;
}

void start() {
  stopper.store(nullptr, std::memory_order_relaxed);
  wanted.fetch_sub(1, std::memory_order_relaxed);
  uint32_t flag = stop_flag.exchange(0, std::memory_order_seq_cst);
  if (flag == 2) futex_wake(stop_flag, INT32_MAX);
  stopping.store(false, std::memory_order_release);
}

void for_each_stack(bool running_only, void (*visit)(void*, const StackRange&), void* context) {
  M* self = this_machine();
  uint32_t epoch = resume_epoch.load(std::memory_order_relaxed);
  for (M* m : machines()) {
    const void* low = m == self ? __builtin_frame_address(0) : m->stopped_sp.load(std::memory_order_acquire);
    if (!low || (m != self && m->mutator_depth == 0 && m->lane->hooks())) continue;
    StackRange range = range_of(m, low);
    if (m == self) range.low = below_frame(const_cast<void*>(low));
    visit(context, range);
    if (epoch && range.g) range.g->scan_word.store(epoch << 1, std::memory_order_release);
  }
  if (running_only) return;
  for (G* g : Runtime::get().all_goroutines()) {
    if (!holds_native_frames(g)) continue;
    if (!g->outside_from.load(std::memory_order_acquire) && g->on_cpu.load(std::memory_order_acquire)) continue;
    visit(context, standing_part(g));
    if (epoch) g->scan_word.store(epoch << 1, std::memory_order_release);
  }
}

void set_resume_scan(uint32_t epoch, void (*visit)(void*, const StackRange&), void* context) {
  resume_visit.store(visit, std::memory_order_relaxed);
  resume_context.store(context, std::memory_order_relaxed);
  resume_epoch.store(epoch, std::memory_order_release);
}

namespace {
// Claims g for a scan in this epoch; false if it is done. Waits for a scan that is under way.
bool claim_scan(G* g, uint32_t epoch) {
  for (;;) {
    uint32_t word = g->scan_word.load(std::memory_order_acquire);
    if (word == epoch << 1) return false;
    if (word & 1) {
      sched_yield();
      continue;
    }
    if (g->scan_word.compare_exchange_weak(word, (epoch << 1) | 1, std::memory_order_acq_rel)) return true;
  }
}
}  // namespace

void scan_before_resume(G* g) {
  if (g->lane.load(std::memory_order_relaxed)->hooks() && holds_native_frames(g)) return;   // no mutator runs it: those frames are scan_parked's
  uint32_t epoch = resume_epoch.load(std::memory_order_acquire);
  if (epoch == 0 || !claim_scan(g, epoch)) return;
  auto visit = resume_visit.load(std::memory_order_relaxed);
  if (visit && holds_native_frames(g)) visit(resume_context.load(std::memory_order_relaxed), standing_part(g));
  g->scan_word.store(epoch << 1, std::memory_order_release);
}

void scan_parked(uint32_t epoch, void (*visit)(void*, const StackRange&), void* context) {
  for (G* g : Runtime::get().all_goroutines()) {
    if (!holds_native_frames(g)) continue;
    // Running goroutines were visited during the stop, and none starts to run unvisited: whoever we can claim stands.
    if (!claim_scan(g, epoch)) continue;
    // It is just leaving its stack, or outside: then it may take its time.
    while (g->on_cpu.load(std::memory_order_acquire) && !g->outside_from.load(std::memory_order_acquire)) cpu_relax();
    if (g->status.load(std::memory_order_acquire) != Status::Dead) visit(context, standing_part(g));
    g->scan_word.store(epoch << 1, std::memory_order_release);
  }
}

}  // namespace gort::world
