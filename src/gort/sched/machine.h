// M: an OS thread that runs goroutines.
//
// The stack that an M's thread was born with is its scheduler stack (Go's g0): Lane::run loops there. Pool machines do nothing
// else. A plain thread that uses gort also has an M: its G (own) lives on that same stack, and when it waits it may run
// the loop itself until its own wait is over ("lending", api.md section 7). So there is one loop for both.
#pragma once

#include <atomic>
#include <cstdint>
#include <pthread.h>

#include "gort/base/futex.h"
#include "gort/sched/goroutine.h"
#include "gort/sched/pinning.h"
#include "gort/sched/processor.h"

namespace gort {

class Lane;

struct M {
  // --- owner thread only
  P* p = nullptr;
  G* current = nullptr;          // the goroutine on the CPU; null on the scheduler stack of a pool machine
  G* left = nullptr;             // the goroutine whose stack was just left: its on_cpu is to be cleared
  G* handed = nullptr;           // what the loop is to run next; comes along with a P from another machine
  ExceptionGlobals* exceptions = nullptr;
  Fiber scheduler;               // the thread's own stack
  bool spinning = false;
  bool keeps_processor = false;  // goroutine 1 of a run: keeps its P while it runs its own code
  P* blocked_p = nullptr;        // the P left behind by a BlockingScope
  uint32_t blocked_syscall = 0;
  int mutator_depth = 0;
  bool retiring = false;         // its goroutine ended while it was locked to the thread: the thread ends too
  uint64_t acquire_wait = 0;     // ns the last hooks->acquire took

  // --- fixed
  int id = 0;
  int os_id = 0;                 // the kernel's number of the thread, for those who look from outside
  Lane* lane = nullptr;
  G* own = nullptr;              // not null: a plain thread
  pthread_t thread{};
  void* lane_data = nullptr;     // the lane hooks' (Python: thread state of the scheduler stack)

  Pinning pinning;               // pinning.h says who may touch what
  bool keeps_to_its_own() const { return retiring || pinning.locked != 0; }   // on a lane that pins: nobody else starts here

  // --- shared
  // preempt.h: whether the thread is in code that uses its P (false: in the goroutine's own code), and sysmon's wish to have that P.
  std::atomic<bool> inside{true};
  std::atomic<bool> retake{false};
  std::atomic<bool> preempt{false};        // the goroutine has had its time slice
  std::atomic<bool> stop_sent{false};      // a stop signal of ours is on its way (stop_signal.h)
  Event wake;                              // set by who gives it a P, readies own, or wants it to end
  std::atomic<bool> attention{false};      // go to the scheduler loop at the next switch
  std::atomic<bool> give_way{false};       // the loop is to let other threads have the GIL for a moment
  std::atomic<bool> own_ready{false};
  std::atomic<uint32_t> mutator{0};        // world.h: 0 outside, 1 inside
  std::atomic<void*> stopped_sp{nullptr};  // where it stands while it waits in a stop
  std::atomic<bool> launched{false};       // `thread` is known
  std::atomic<bool> ending{false};
  std::atomic<bool> counted_idle{false};   // not in Runtime's count of active machines
  std::atomic<G*> running{nullptr};        // what sysmon and dumps see of `current`
  P* takeover = nullptr;                   // guarded by the lane's lock: probe this P's owner (Python lane)
  uint64_t takeover_tick = 0;
  bool takeover_force = false;
  bool takeover_hog = false;               // its goroutine computes; else it is in foreign code
  bool takeover_crowded = false;           // another hog is to leave its thread for it
  bool asks_overdue = false;               // is to ask those in Lane::overdue_ to yield; set under the lane's lock while it is idle, or before it starts
  std::atomic<Nanos> hog_since{0};         // its goroutine goes on without the P that was taken from it then
  std::atomic<bool> hog_seen{false};       // and computes: it was seen with the GIL, so it is not just in foreign code
  std::atomic<bool> hog_asked{false};      // to yield
  M* next_idle = nullptr;                  // guarded by the lane's lock
  std::atomic<bool> idle{false};           // changed under the lane's lock
};

inline bool G::is_plain_thread() const { return own_machine && own_machine->own == this; }

// The calling thread's M, null if it has none. Opaque to the optimiser: a goroutine may continue on another thread.
M* this_machine();
void set_this_machine(M* m);

}  // namespace gort
