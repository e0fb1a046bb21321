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

#include "gort/base/clock.h"
#include "gort/fiber/fiber.h"
#include "gort/sched/park.h"
#include "gort/sched/wait_reason.h"
#include "gort/time/timer.h"

namespace gort {

class Lane;
class RunGroup;
struct M;

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

struct G {
  // --- read by anybody
  std::atomic<Status> status{Status::Idle};
  std::atomic<bool> on_cpu{false};        // its stack is in use by some thread (park.h, invariant 4)
  std::atomic<uint64_t> wait_word{1};     // ticket << 8 | Outcome; no wait is open unless the outcome is Pending
  std::atomic<uint64_t> id{0};
  std::atomic<WaitReason> wait_reason{WaitReason::None};
  std::atomic<const void*> waiting_on{nullptr};
  std::atomic<Nanos> wait_since{0};
  std::atomic<uint32_t> scan_word{0};     // world.h: epoch << 1 | being scanned
  std::atomic<uint8_t> requests{0};       // bits of Request: what somebody wants of this G at its next wait

  enum Request : uint8_t { kInterrupt = 1, kExit = 2, kDeadlock = 4 };

  // --- fixed for an incarnation
  Lane* lane = nullptr;
  M* own_machine = nullptr;   // not null: this G is a plain thread, locked to it
  uint64_t parent_id = 0;
  RunGroup* group = nullptr;  // the run that it belongs to; null: ambient. Holds a reference
  bool system = false;

  // --- owner
  Fiber fiber;
  G* next = nullptr;          // link of the queue or list that it is in
  Waiter* fired = nullptr;
  bool self_claimed = false;      // a request ended the wait before it began
  Nanos wait_deadline = kForever; // plain threads: how long to sleep
  std::atomic<bool> started{false};  // also read by a scan of stacks
  void (*entry)(G*) = nullptr;
  void (*discard)(G*) = nullptr;  // called instead of entry when the goroutine may not start any more
  void* lane_data = nullptr;      // the lane hooks' (Python: thread state and callable)
  void (*invoke)(void*) = nullptr;   // native body; see go.h
  void (*destroy)(void*) = nullptr;
  void* body = nullptr;
  alignas(16) char body_storage[96];
  Timer timer;                // sleep and wait deadlines
};

}  // namespace gort
