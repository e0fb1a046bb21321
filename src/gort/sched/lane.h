// Lane: one G/M/P scheduler instance. The native lane has GOMAXPROCS Ps; the Python lane one (it is the GIL's shadow), or as many where there is no GIL.
//
// The algorithm is Go's (findRunnable order, half steals, spinning limit, wake-up rules; go_runtime.md A); a lane differs from another only by
// its number of Ps and its hooks.
//
// Machines of a lane loop in run(). A goroutine that parks picks the next one itself when that is simple (own queue, nothing
// asked of this machine) and switches to it directly; everything else goes through the loop on the scheduler stack.
// Rejected: always going through the scheduler stack as Go does; a second switch per park for nothing.
//
// Python lane: whoever runs goroutines, or the loop, on one of its machines holds the GIL, except inside idle(). So its
// scheduler state is serialised by the GIL on top of the locks, and a standby machine that holds the GIL can take the P of a machine whose
// goroutine sits in foreign code: that machine cannot be inside the scheduler.
//
// Python lane without the GIL: as many Ps as the native lane, goroutines that stay on their machine (pinning.h), and Ps taken away as on the
// native lane, by preempt.h's protocol.
//
// Lock: lock_ (rank Lane) guards the global queue, idle lists, machine lists and the assignment of idle Ps.
#pragma once

#include <atomic>
#include <vector>

#include "gort/sched/machine.h"
#include "gort/sched/processor.h"

namespace gort {

// What a lane's kind adds. Every hook runs on the machine's thread unless said otherwise.
class LaneHooks {
 public:
  virtual ~LaneHooks() = default;
  virtual void machine_start(M* m) = 0;   // first thing on a pool thread; returns ready to run goroutines (GIL held)
  virtual void machine_stop(M* m) = 0;    // last thing on a pool thread
  virtual void acquire(M* m) = 0;         // end of an idle wait (takes the GIL)
  virtual void release(M* m) = 0;         // begin of an idle wait (releases the GIL)
  virtual void relax(M* m) = 0;           // lets other threads of the lane go on for a moment
  virtual void give_way(M* m) = 0;        // every Options::give_way: lets other threads have the GIL if they would not get it else
  virtual void switched(M* m, G* to) = 0; // after a stack switch, on to's stack; to null: the scheduler stack
  virtual bool lendable(G* g) = 0;        // may a waiting plain thread run it
  virtual bool slice_ended(M* m, G* g) = 0;  // g leaves the CPU (bookkeeping for lendable). True: only together with its thread
  virtual bool in_foreign_code(G* g) = 0; // any thread: g is running but holds no interpreter lock
  // Calls look while no other machine of the lane is in the scheduler or goes on with a goroutine that waits.
  virtual void while_all_stand(void (*look)(void*), void* argument) = 0;
  virtual void seen_blocked(G* g) = 0;    // g was found in foreign code for long; GIL held
  // Makes g, which computes on another machine, yield soon if that can be had; GIL held. On a lane that pins g may have moved on or ended meanwhile.
  virtual void end_slice(G* g) = 0;
  // The caller's stack, to be kept in observe/call_stacks.h; 0: it cannot be told. On a thread that is in this lane, perhaps without the interpreter's lock.
  virtual uint64_t stack_here() = 0;
  virtual void leaving(G* g) = 0;         // g, at its own call, is about to hop away; does not return if the interpreter has ended under it
  // Of these three m is a plain thread that is at home in this lane; after a hop it may wait in another one.
  virtual bool interrupted(M* m) = 0;     // a plain thread's wait: serve OS signals; true: the wait must end
  virtual bool others_may_wake(M* m) = 0; // deadlock check: is there any foreign thread alive that might call us
  virtual void deadlocked(M* m) = 0;      // nobody can wake anybody; goroutine 1 will be told next
  virtual void dead(G* g) = 0;            // g's memory of this lane is to be given back (pool trimmed)
  // What belongs to a goroutine's stack in this lane (Python: the thread state) goes with it to the next one (Lane::take_stack). make_state is called when g has
  // got a stack without; it throws std::bad_alloc, and may let go of the GIL. drop_state is called before the stack is given up.
  virtual void* take_state(G* g) = 0;
  virtual void give_state(G* g, void* state) = 0;
  virtual void make_state(G* g) = 0;
  virtual void drop_state(void* state) = 0;
  // The goroutine of a plain thread that is at home in this lane has ended, and that thread tells: it holds no interpreter lock and has no machine any
  // more. It still counts as active, so it may wake others.
  virtual void thread_ended(G* g) = 0;
  virtual void forget_thread(G* g, M* m) = 0;  // a plain thread that was a goroutine is gone for good
};

class Lane {
 public:
  // kept_above: bytes above each stack that are the hooks' (StackPool). pins: pinning.h.
  Lane(const char* name, size_t stack_size, LaneHooks* hooks, size_t kept_above = 0, bool pins = false);

  const char* name() const { return name_; }
  LaneHooks* hooks() const { return hooks_; }
  bool pins() const { return pins_; }
  StackPool& stacks() { return stacks_; }

  // --- goroutines
  // From a free list or fresh. Its stack is of the pool's size or of another; of kNoStack: it may have none yet, and gets one when it is to run.
  // Throws std::bad_alloc.
  static constexpr size_t kNoStack = 1;
  G* new_goroutine(size_t stack_size = 0);
  void discard(G* g);                       // undoes new_goroutine
  void start(G* g);                         // Idle -> Runnable, runs next here or through the global queue
  void enqueue(G* g);                       // a Runnable goroutine of this lane, from any thread
  void enqueue_next(M* m, G* g);            // runs next on m's P. REQUIRES: m is the caller's, of this lane, with a P
  void yield(M* m, G* g);
  void let_others(M* m, G* g);              // yield without a safe point
  [[nodiscard]] M* leave(M* m, G* g);       // gives the CPU away; returns when g runs again, on which machine. REQUIRES: inside (preempt.h)
  // To the end of the global queue. by_signal: counted as preempt_signal, else preempt_call. REQUIRES: g is on its fiber.
  void give_up_slice(M* m, G* g, bool by_signal);
  // Goes on on a machine of the lane's own, since g is about to keep its thread. REQUIRES: m->own, which lends its thread to g.
  [[nodiscard]] M* leave_lent_thread(M* m, G* g);
  [[noreturn]] void finish(M* m, G* g);     // end of a fiber

  // --- machines
  void run(M* m);                           // the loop; returns when m's own goroutine is ready, or m must end
  void ensure_machine_for_work();           // wakes or starts a machine if there is an idle P and work (Go's wakep)
  void hand_off(M* m, G* first);            // m gives its P to another machine if there is work (Go's handoffp)
  bool acquire_processor(M* m);             // takes an idle P

  // --- blocking calls of native goroutines
  void enter_blocking(M* m, void* stack);
  void exit_blocking(M* m);

  // --- from sysmon and the runtime
  Nanos watch(Nanos now);                   // returns how long sysmon may pause before it looks again
  bool has_work() const;                    // for somebody who gets a P
  bool quiet() const;                       // nothing runs, nothing is queued, no timer
  Nanos next_timer() const;
  void add_timer(Timer* timer, Nanos when, void (*function)(void*, uint64_t), void* argument, uint64_t sequence);
  void resize(int procs, uint64_t seed);    // REQUIRES: the world is stopped (native), all stand (pins), or nothing runs
  void stop_machines();                     // ends and joins all pool machines that are idle; others end when they become idle
  void trim();                              // frees pooled goroutines' memory
  void appoint_timekeeper();                // if there is none and should be
  void cool_stacks();                       // sysmon: gives back the memory of stacks that nobody has needed since the last call
  void cool_waiting(std::vector<G*> waiting);   // sysmon: the next machine in the loop does it (cooling.h). REQUIRES: a lane with hooks
  bool has_warm_stacks() const { return free_count_ != 0; }   // a look, for sysmon
  void after_fork_in_child(M* self);        // fork.cpp

  struct Totals {
    uint64_t hand_offs = 0, takeovers = 0, failed_takeovers = 0, machines_started = 0;
    uint64_t loose_spawns = 0, loose_ends = 0;   // by machines without a P; the Ps count the rest
  };
  Totals totals() const;
  const Stalls& stalls() const { return stalls_; }
  template <class F>
  void for_each_processor(F f) {
    for (P* p : processors_) f(*p);
  }
  template <class F>
  void for_each_machine(F f) {
    lock_.lock();
    for (M* m : machines_) f(*m);
    lock_.unlock();
  }
  uint32_t global_queue_size() const { return global_.size(); }
  int processors() const { return int(active_); }
  int idle_processors() const { return idle_count_.load(std::memory_order_relaxed); }
  int spinning() const { return spinning_.load(std::memory_order_relaxed); }
  int idle_machines() const { return idle_machines_count_.load(std::memory_order_relaxed); }
  int machine_count() const { return machine_count_.load(std::memory_order_relaxed); }

  void attach_machine(M* m);
  bool disown(M* m);                        // the ending thread's machine is no longer the lane's; false: stop_machines has it
  void detach_machine(M* m);

  // The number of goroutines of this lane that are alive.
  int64_t live() const;

 private:
  friend struct LayoutAccess;               // layout.h

  static constexpr uint32_t kGlobalCheck = 61;   // every 61st slice looks at the global queue first

  static void fiber_main(void* g);
  void clear_left(M* m);                    // the goroutine whose stack was left a moment ago may now be run by others
  G* next_here(M* m);
  G* take_local(M* m);
  G* find_runnable(M* m);
  G* steal(M* m, bool take_next);
  G* search_victims(M* m);
  G* take_global(M* m, bool batch);
  void draw_global(M* m);                    // this P's share of the global queue, to the end of its own
  void draw_global_locked(M* m, uint32_t n);
  int run_timers(M* m, Nanos now);
  void execute(M* m, G* g);
  M* arrive(G* g);
  void idle(M* m);
  bool try_takeover(M* m, P* p, uint64_t tick);
  bool watch_chain(P* p, M* owner, Nanos now);        // true: its owner must go through the loop
  bool watch_native(P* p, M* owner, Nanos now);   // true: its goroutine was asked to end its slice, and has not heard yet
  bool watch_hog(P* p, M* owner, Nanos now);      // likewise
  bool watch_pinned(P* p, M* owner, Nanos now);   // likewise
  bool take_processor(P* p, M* owner, uint64_t tick, bool foreign);
  bool others_need(const P* p) const;
  void watch_stalls(Nanos now);
  void send_to_overdue();
  void ask_overdue(M* m);
  void watch_foreign_code(P* p, M* owner, Nanos now);
  void withdraw_question(P* p);
  size_t change_processors(int procs, uint64_t seed);   // how many there were
  struct Hogs {
    int all = 0, asked = 0;                 // to yield
  };
  Hogs count_hogs();
  bool hog_must_wait(Nanos now, Hogs hogs) const;
  G* longest_hog();
  void overflow(M* m, G* g);
  void give_processor_locked(M* m, P* p);
  P* pop_idle_processor_locked();
  void push_idle_processor_locked(P* p);
  M* pop_idle_machine_locked(bool pool_only);
  void serve_takeover(M* m);
  void remove_idle_machine_locked(M* m);
  M* new_machine_locked();
  void push_global(G* g);
  bool push_back(M* m, G* g);
  void enqueue_pinned(G* g);
  void pin(M* m, G* g);
  G* take_merged(M* m);
  bool pinned_wait(M* m);
  bool give_turn(M* m);
  M* longest_wanting_locked();
  M* explored_machine_locked();
  bool serve_or_note_locked(M* m);
  void serve_wanting();
  void give_way(M* m);
  void serve_cooling(M* m);
  struct Heir {
    M* m = nullptr;
    bool fresh = false;                     // its thread is still to be started
  };
  Heir take_machine_locked(bool pool_only);
  Heir free_processor_locked(P* p);
  Heir hand_over_orphan_locked(P* p);
  void set_going(Heir heir);                // REQUIRES: lock_ is not held
  void start_own(M* m, M* home);
  void launch(M* m);
  bool start_machine(bool spinning);
  void reset_spinning(M* m);
  void free_goroutine(M* m, G* g);
  void keep_locked(G* g);
  G* make_goroutines(P* p);
  void provide_stack(G* g, size_t size);
  // A goroutine without a stack (park_stackless, kNoStack) has the G, and its lane's share of it, only. take_stack: its machine has left the stack for good.
  // give_stack is called by the machine that is about to run it; without memory for a stack the process ends, as in Go.
  struct SpareStack {
    Stack stack;
    void* state = nullptr;   // LaneHooks::take_state
  };
  static constexpr size_t kSpareStacks = 256;
  void take_stack(G* g);
  void give_stack(G* g);
  bool give_spare_stack(G* g);   // false: there is none
  bool take_spare_stack(G* g);   // likewise; g is not to run yet
  void drop_spare_stacks();
  void wait_for_own(M* m, G* g);
  void wait_for_idle_machines();
  void wait_with_thread(M* m, G* g);
  static void* machine_main(void* m);

  const char* const name_;
  LaneHooks* const hooks_;
  const bool pins_;
  StackPool stacks_;

  SpinLock lock_{LockRank::Lane};
  GlobalQueue global_;                    // guarded by lock_
  P* idle_processors_ = nullptr;          // guarded by lock_
  M* idle_machines_ = nullptr;            // guarded by lock_, last in first out
  std::vector<M*> machines_;              // guarded by lock_
  // The idle machine that sleeps until keep_until_. Invariant: while a P is idle and a timer is armed there is one, or a machine is awake in the
  // loop and will be it, or sysmon looks. Guarded by lock_.
  M* timekeeper_ = nullptr;
  Nanos keep_until_ = 0;                  // guarded by lock_
  G* free_ = nullptr;                     // guarded by lock_
  std::atomic<uint32_t> free_count_{0};   // guarded by lock_
  uint32_t free_least_ = 0;               // guarded by lock_; of free_count_ since the last cool_stacks
  G* cold_ = nullptr;                     // guarded by lock_: free as well; their stacks hold no memory
  std::vector<G*> to_cool_;               // guarded by lock_
  std::vector<SpareStack> spare_stacks_;  // guarded by lock_; warm
  std::atomic<bool> cooling_wanted_{false};
  ProcessorTable processors_;             // [0, active_) are in use
  std::atomic<size_t> active_{0};         // changed with the world stopped

  std::atomic<int> idle_count_{0};
  std::atomic<int> idle_machines_count_{0};
  std::atomic<int> wanting_{0};           // idle machines that want a P. Changed under lock_
  Stalls stalls_;
  std::vector<G*> found_overdue_;         // sysmon only: of this round
  std::vector<G*> overdue_;               // guarded by lock_: are to be asked to yield; a machine is on its way, unless there are none
  M* last_ = nullptr;                     // guarded by lock_: the pool machine that had a P last, on a lane that pins
  std::atomic<int> machine_count_{0};
  std::atomic<int> spinning_{0};
  std::atomic<uint64_t> hand_offs_{0}, takeovers_{0}, failed_takeovers_{0}, machines_started_{0};
  std::atomic<uint64_t> loose_spawns_{0}, loose_ends_{0};   // by machines without a P
  std::atomic<bool> probing_{false};      // one takeover attempt is outstanding
  Nanos probe_after_ = 0;                 // sysmon only: back-off after a failed attempt
  Nanos hogged_at_ = 0;                   // sysmon only: the last takeover from a hog
  uint64_t seen_failures_ = 0;            // sysmon only
};

// notify_own tells a plain thread that its own goroutine's wait is over. Any thread.
void notify_own(M* t);

}  // namespace gort
