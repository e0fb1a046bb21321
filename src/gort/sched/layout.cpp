#include "gort/sched/layout.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

#include "gort/sched/runtime.h"

// Some of these classes have private and public members, which makes offsetof conditionally supported; gcc and clang support it.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

constinit gort::LayoutRecord gort_layout;

namespace gort {
namespace {

// A vector is read as (first, end, ...), as libstdc++ and libc++ lay it out.
static_assert(sizeof(std::vector<G*>) == 3 * sizeof(void*));

const char* wait_reasons[size_t(WaitReason::Count)];
const char* statuses[size_t(Status::Dead) + 1];

}  // namespace

void LayoutRecord::add(const char* name, uint64_t value) {
  if (count_ == kMost || std::strlen(name) >= sizeof(Field::name)) std::abort();
  std::strcpy(fields_[count_].name, name);
  fields_[count_++].value = value;
}

void LayoutRecord::publish() {
  version_ = kLayoutVersion;
  std::strncpy(library_, GORT_VERSION, sizeof(library_) - 1);
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(magic_, "gortmap\n", sizeof(magic_));
}

// A friend of the classes whose private members others may read.
struct LayoutAccess {
  static void add_all(LayoutRecord& record, Runtime& runtime) {
    record.add("runtime", reinterpret_cast<uint64_t>(&runtime));
    record.add("runtime.native", offsetof(Runtime, native_));
    record.add("runtime.python", offsetof(Runtime, python_));
    record.add("runtime.goroutines", offsetof(Runtime, goroutines_));

    record.add("lane.name", offsetof(Lane, name_));
    record.add("lane.processors", offsetof(Lane, processors_) + offsetof(ProcessorTable, table_));
    record.add("lane.active", offsetof(Lane, active_));
    record.add("lane.machines", offsetof(Lane, machines_));
    record.add("lane.idle_processors", offsetof(Lane, idle_count_));
    record.add("lane.idle_machines", offsetof(Lane, idle_machines_count_));
    record.add("lane.spinning", offsetof(Lane, spinning_));
    record.add("lane.queue", offsetof(Lane, global_) + offsetof(GlobalQueue, size_));
    record.add("lane.size", sizeof(Lane));
    record.add("max_processors", kMaxProcs);

    record.add("p.id", offsetof(P, local) + offsetof(ProcessorLocal, id));
    record.add("p.owner", offsetof(P, owner));
    record.add("p.tick", offsetof(P, tick));
    record.add("p.syscall", offsetof(P, syscall));
    record.add("p.queue.head", offsetof(P, queue) + offsetof(LocalQueue, head_));
    record.add("p.queue.tail", offsetof(P, queue) + offsetof(LocalQueue, tail_));
    record.add("p.queue.next", offsetof(P, queue) + offsetof(LocalQueue, next_));
    record.add("p.timers", offsetof(P, timers) + offsetof(TimerHeap, size_));
    add_counts<uint64_t>(record, "p", offsetof(P, counters));
    record.add("p.spawns", offsetof(P, counters) + offsetof(Counters, spawns));
    record.add("p.ends", offsetof(P, counters) + offsetof(Counters, ends));
    record.add("p.steals", offsetof(P, counters) + offsetof(Counters, steals));
    record.add("p.size", offsetof(P, counters) + sizeof(Counters));   // of what is worth reading

    record.add("m.id", offsetof(M, id));
    record.add("m.lane", offsetof(M, lane));
    record.add("m.own", offsetof(M, own));
    record.add("m.os_id", offsetof(M, os_id));
    record.add("m.current", offsetof(M, current));
    record.add("m.running", offsetof(M, running));
    record.add("m.idle", offsetof(M, counted_idle));
    record.add("m.scheduler.sp", offsetof(M, scheduler) + offsetof(Fiber, sp));
    record.add("m.size", sizeof(M));

    record.add("g.id", offsetof(G, id));
    record.add("g.status", offsetof(G, status));
    record.add("g.wait_word", offsetof(G, wait_word));
    record.add("g.wait_reason", offsetof(G, wait_reason));
    record.add("g.waiting_on", offsetof(G, waiting_on));
    record.add("g.wait_since", offsetof(G, wait_since));
    record.add("g.parent_id", offsetof(G, parent_id));
    record.add("g.system", offsetof(G, system));
    record.add("g.home", offsetof(G, home));
    record.add("g.lane", offsetof(G, lane));
    record.add("g.own_machine", offsetof(G, own_machine));
    record.add("g.lane_data", offsetof(G, lane_data));
    record.add("g.started", offsetof(G, started));
    record.add("g.fiber.sp", offsetof(G, fiber) + offsetof(Fiber, sp));
    record.add("g.stack.low", offsetof(G, fiber) + offsetof(Fiber, stack) + offsetof(Stack, low));
    record.add("g.stack.high", offsetof(G, fiber) + offsetof(Fiber, stack) + offsetof(Stack, high));
    add_counts<uint32_t>(record, "g", offsetof(G, switches));
    record.add("g.size", sizeof(G));

    for (size_t i = 0; i < size_t(WaitReason::Count); i++) wait_reasons[i] = wait_reason_text(WaitReason(i));
    record.add("wait_reasons", reinterpret_cast<uint64_t>(wait_reasons));
    record.add("wait_reasons.count", size_t(WaitReason::Count));
    for (size_t i = 0; i < std::size(statuses); i++) statuses[i] = status_text(Status(i));
    record.add("statuses", reinterpret_cast<uint64_t>(statuses));
    record.add("statuses.count", std::size(statuses));
  }

  template <class Word>
  static void add_counts(LayoutRecord& record, const std::string& owner, size_t at) {
    using Counts = SwitchCounts<Word>;
    record.add((owner + ".parks").c_str(), at + offsetof(Counts, parks));
    record.add((owner + ".yields").c_str(), at + offsetof(Counts, yields));
    record.add((owner + ".preempt_handoff").c_str(), at + offsetof(Counts, preempt_handoff));
    record.add((owner + ".preempt_call").c_str(), at + offsetof(Counts, preempt_call));
    record.add((owner + ".preempt_signal").c_str(), at + offsetof(Counts, preempt_signal));
    record.add((owner + ".foreign_calls").c_str(), at + offsetof(Counts, foreign_calls));
  }
};

void publish_layout(Runtime& runtime) {
  LayoutAccess::add_all(gort_layout, runtime);
  gort_layout.publish();
}

}  // namespace gort
