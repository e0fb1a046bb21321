// fork: in the child the forking goroutine is left alone, locked to the only thread, in a runtime without machines, timers or
// goroutines. If it lived on a fiber it stays there: a plain thread's loop runs on whatever stack its goroutine has.
//
// The memory of everybody else stays as it was and is not used again (their waiters may still lie in queues of channels and
// locks): their waits are made to look ended, so that no claim on them succeeds. Locks: those of primitives are free, as their holders hold the
// GIL or are mutators, and gc::before_fork stops those; the lanes' and the runtime's own are made free here.
#include <unistd.h>

#include <new>
#include <utility>

#include "gort/observe/contention.h"
#include "gort/sched/park.h"
#include "gort/sched/run_group.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

// Nobody will run g again.
void bury(G* g) {
  uint64_t word = g->wait_word.load(std::memory_order_relaxed);
  if ((word & 0xff) == uint64_t(Outcome::Pending)) g->wait_word.store(word | uint64_t(Outcome::Exit), std::memory_order_relaxed);
  g->status.store(Status::Dead, std::memory_order_relaxed);
  RunGroup* group = std::exchange(g->group, nullptr);
  if (group && !g->is_plain_thread()) group->remove();   // goroutine 1 is no member
}

}  // namespace

G* Runtime::survivor_of_fork() {
  M* self = this_machine();
  return !self ? nullptr : self->current ? self->current : self->own;
}

void Runtime::after_fork_in_child() {
  M* self = this_machine();
  G* survivor = survivor_of_fork();
  new (&lock_) SpinLock(LockRank::Runtime);
  new (&retired_threads_.lock) SpinLock;
  sysmon_running_.store(false);
  sysmon_sleep_.store(0);
  coarse_now.store(0);
  observe::contention_after_fork_in_child();
  for_each_lane([&](Lane& lane) { lane.after_fork_in_child(self); });
  for (G* g : goroutines_) {
    Status status = g->status.load(std::memory_order_relaxed);
    if (g != survivor && status != Status::Dead && status != Status::Idle) bury(g);
  }
  goroutines_.clear();
  system_goroutines_.store(0);
  if (survivor) {
    goroutines_.push_back(survivor);
    survivor->pin = nullptr;   // its thread is its own now
    if (!self->own) {   // it ran on a machine of the pool
      self->own = survivor;
      survivor->own_machine = self;
      self->scheduler.stack = survivor->fiber.stack;
      if (RunGroup* group = std::exchange(survivor->group, nullptr)) group->remove();
    }
  }
  if (main_.load() != survivor) main_.store(nullptr);
  active_.store(self ? 1 : 0);
  attached_.store(self ? 1 : 0);
}

void Lane::after_fork_in_child(M* self) {
  new (&lock_) SpinLock(LockRank::Lane);
  loose_ends_.fetch_add(uint64_t(live()));
  for (M* m : machines_) world::withdraw_preemption(m);
  machines_.clear();
  if (self && self->lane == this) {
    machines_.push_back(self);
    self->os_id = gettid();
    self->left = self->handed = nullptr;
    self->takeover = nullptr;
    self->asks_overdue = false;
    self->next_idle = nullptr;
    self->idle = self->spinning = false;
    self->pinning.queue.after_fork_in_child();
    self->pinning.wants = false;
    self->pinning.alive = self->pinning.locked = 0;
    self->own_ready.store(false);
    self->retake.store(false);
    self->counted_idle.store(false);
  }
  machine_count_.store(int(machines_.size()));
  idle_machines_ = nullptr;
  idle_machines_count_.store(0);
  timekeeper_ = nullptr;
  spinning_.store(0);
  wanting_.store(0);
  last_ = nullptr;
  new (&found_overdue_) std::vector<G*>;
  new (&overdue_) std::vector<G*>;   // the parent may have been changing them
  new (&spare_stacks_) std::vector<SpareStack>;   // likewise; and their states are gone
  probing_.store(false);
  free_ = cold_ = nullptr;
  free_count_ = free_least_ = 0;
  while (global_.pop()) {}
  idle_processors_ = nullptr;
  idle_count_.store(0);
  for (P* p : processors_) {
    while (p->queue.pop()) {}
    p->timers.after_fork_in_child();
    p->free = nullptr;
    p->free_count = 0;
    if (uint32_t syscall = p->syscall.load(); syscall % 2) p->syscall.store(syscall + 1);
    p->idle = false;
    if (self && self->p == p) continue;
    p->owner.store(nullptr);
    if (p->local.id < active_) push_idle_processor_locked(p);
  }
}

}  // namespace gort
