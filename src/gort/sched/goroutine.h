// G: a goroutine, the unit that is scheduled. Also the identity of a plain OS thread that uses gort.
//
// G memory is type-stable: a G is pooled when its goroutine ends and never freed, so stale pointers to it may be read
// and stale claims on it fail by ticket (sched/park.h). `id` tells incarnations apart.
//
// Who may touch what: fields under "owner" belong to the goroutine while it runs and to its waker between claim and ready; the
// atomics may be read by anybody.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "gort/base/clock.h"
#include "gort/fiber/fiber.h"
#include "gort/sched/park.h"
#include "gort/sched/switch_counts.h"
#include "gort/sched/wait_reason.h"
#include "gort/time/timer.h"

namespace gort {

class Lane;
class RunGroup;
struct M;

namespace detail {
struct PanicHistory;
struct DropHistory {
  void operator()(PanicHistory* history) const;
};
}  // namespace detail

// Go's states, with Go's numbers and words.
enum class Status : uint8_t {
  Idle = 0,
  Runnable = 1,
  Running = 2,
  Syscall = 3,
  Waiting = 4,
  Dead = 6,
};
const char* status_text(Status status);

// G::outside_from of a goroutine none of whose frames may hold heap pointers.
inline const void* const kNoFrames = reinterpret_cast<const void*>(~uintptr_t(0));

struct G {
  // --- read by anybody
  std::atomic<Status> status{Status::Idle};
  std::atomic<bool> on_cpu{false};        // its stack is in use by some thread (park.h, invariant 4)
  std::atomic<uint64_t> wait_word{1};     // ticket << 8 | Outcome; no wait is open unless the outcome is Pending
  std::atomic<uint64_t> id{0};
  std::atomic<WaitReason> wait_reason{WaitReason::None};
  std::atomic<const void*> waiting_on{nullptr};
  std::atomic<Nanos> wait_since{0};       // of the present wait, to 10 ms; 0: not known (Runtime::note_waits)
  std::atomic<Nanos> ready_at{0};         // observe/latency.h
  std::atomic<uint64_t> cooled_wait{0};   // cooling.h: the last wait in which its stack gave memory back
  std::atomic<uint32_t> scan_word{0};     // world.h: epoch << 1 | being scanned
  // world.h: not null while it is outside; then only the frames from here up may hold heap pointers, and they stay as they are; kNoFrames: none.
  std::atomic<const void*> outside_from{nullptr};
  std::atomic<uint8_t> requests{0};       // bits of Request: what somebody wants of this G at its next wait

  enum Request : uint8_t { kInterrupt = 1, kExit = 2, kDeadlock = 4 };

  // --- fixed for life
  Lane* home = nullptr;       // the lane that made it, pools it and owns lane_data
  bool on_thread_stack = false;   // made for a plain thread: freed some time after it, while other Gs are only reused

  // --- changed by the goroutine itself, in a hop (hop.h); whoever has claimed its wait may read it
  std::atomic<Lane*> lane{nullptr};   // where it runs

  // --- fixed for an incarnation
  M* own_machine = nullptr;   // not null: this G runs on that machine only: a plain thread, lock_os_thread, Lane::wait_with_thread
  uint32_t thread_locks = 0;  // lock_os_thread, nested
  M* pin = nullptr;           // not null: it has started on a lane that pins, on this machine (pinning.h)
  uint64_t parent_id = 0;
  RunGroup* group = nullptr;  // the run that it belongs to; null: ambient. Holds a reference
  bool system = false;
  std::atomic<bool> preemptible{false};   // Attributes::preemptible

  // --- owner
  Fiber fiber;                    // no stack and no sp: whoever is to run it gives it one (Lane::give_stack)
  G* next = nullptr;          // link of the queue or list that it is in
  std::atomic<uint32_t> order{0};   // of its place in a queue, on a lane that pins
  Waiter* fired = nullptr;
  const Waiter* arms = nullptr;   // while a select waits: its arms, and how many; they lie on its stack
  uint32_t arm_count = 0;
  SwitchCounts<uint32_t> switches;  // read by anybody
  bool self_claimed = false;      // a request ended the wait before it began
  bool stackless = false;         // it waits, or is about to, without its stack (park_stackless)
  bool borrows_stack = false;     // it was given its stack to run on, and gives it back at its end
  Nanos wait_deadline = kForever; // plain threads: how long to sleep
  std::atomic<bool> started{false};  // also read by a scan of stacks
  void (*entry)(G*) = nullptr;
  void (*discard)(G*) = nullptr;  // called instead of entry when the goroutine may not start any more
  void* lane_data = nullptr;      // the lane hooks' (Python: thread state and callable)
  void (*invoke)(void*) = nullptr;   // native body; see go.h
  void (*destroy)(void*) = nullptr;
  void* body = nullptr;
  std::unique_ptr<detail::PanicHistory, detail::DropHistory> panics;   // defer.h: of the exception that is leaving a with_defer
  Timer timer;                // sleep and wait deadlines

  bool is_plain_thread() const;   // lives on its own thread's stack, not on a fiber
};

// The Gs of a lane without hooks, where goroutines begin with a C++ function: most are small enough for this.
struct NativeG : G {
  alignas(16) char body_storage[96];
};

}  // namespace gort
