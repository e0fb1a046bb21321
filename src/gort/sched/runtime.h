// Runtime: what is one per process: the lanes, the list of all goroutines, sysmon, the count of active machines, deadlock.
//
// Nothing is started by loading the library: threads appear with the first goroutine that needs one, and stop_idle_threads() ends them.
// The object is never destroyed (threads may outlive static destructors at exit).
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gort/sched/lane.h"

namespace gort {

// A length of time that sysmon may be reading while it is set.
class Interval {
 public:
  constexpr Interval(Nanos value) : value_(value) {}
  Interval(const Interval& other) : value_(Nanos(other)) {}
  Interval& operator=(const Interval& other) {
    value_.store(other, std::memory_order_relaxed);
    return *this;
  }
  operator Nanos() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<Nanos> value_;
};

// Every interval of the scheduler in one place, so that tests can set them.
struct Options {
  Interval sysmon_min = 20 * kMicrosecond;
  Interval sysmon_max = 10 * kMillisecond;
  Interval foreign_max = 500 * kMicrosecond;     // sysmon's longest pause while a lane with hooks is busy
  Interval foreign_takeover = 1 * kMillisecond;  // in foreign code for so long: the P goes to another machine
  Interval time_slice = 10 * kMillisecond;
  Interval preempt_grace = 1 * kMillisecond;     // a native goroutine that computes for so long beyond its slice loses its P
  // Each Python goroutine that computes for longer than its slice keeps a thread. When there are so many they run to their end, or for the
  // patience; then the one that has computed longest is made to yield for the next one. (Yielding where it did not ask to has a price: bindings/hogs.h.)
  int max_hogs = 8;
  Interval hog_patience = 100 * kMillisecond;
  // CPython asks a thread for the GIL only if nobody else has had it for 5 ms, and every switch of a goroutine counts as somebody
  // else. So beside goroutines that switch often no thread would ever get it: they give way by themselves.
  Interval give_way = 5 * kMillisecond;
  Interval stack_idle = 10 * kSecond;            // the memory of stacks that nobody has needed for so long is given back
  Interval probe_back_off = 10 * kMillisecond;   // after a failed takeover (somebody else holds the GIL)
};

// A clock that costs a load: when sysmon last looked at the real one, at most 10 ms ago; 0 while it does not look.
[[gnu::visibility("hidden")]] extern std::atomic<Nanos> coarse_now;

// How many OS threads may run goroutines; one more ends the process, as a program that needs so many is broken (Go's SetMaxThreads).
inline constexpr int kMaxMachines = 10'000;

class Runtime {
 public:
  static Runtime& get();

  Lane& native() { return native_; }
  Lane* python() { return python_.load(std::memory_order_acquire); }
  void set_python_lane(Lane* lane) { python_.store(lane, std::memory_order_release); }
  Options options;

  template <class F>
  void for_each_lane(F f) {
    f(native_);
    if (Lane* lane = python()) f(*lane);
  }

  // --- goroutines
  uint64_t next_ids(uint64_t count);
  void register_goroutines(G* const* all, size_t count);
  std::vector<G*> all_goroutines();      // every G ever made, dead ones included
  std::vector<G*> goroutines(size_t from, size_t most);   // a part of them
  int64_t num_goroutine();
  int64_t system_goroutines() const { return system_goroutines_.load(std::memory_order_relaxed); }
  void count_system_goroutine(int change) { system_goroutines_.fetch_add(change, std::memory_order_relaxed); }

  // --- activity: machines that are not idle. The 1 -> 0 edge runs the deadlock check, 0 -> 1 wakes sysmon.
  void machine_active();
  void machine_idle(M* m);
  int active() const { return active_.load(std::memory_order_relaxed); }

  void processor_taken() {   // sysmon sleeps for as long as all Ps are idle
    if (sysmon_sleep_.load(std::memory_order_seq_cst) != 0) [[unlikely]] wake_sysmon();
  }
  std::atomic<int> max_machines{kMaxMachines};
  int next_machine_id() { return machine_ids_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t seed() const { return seed_.load(std::memory_order_relaxed); }
  void set_seed(uint64_t seed) { seed_.store(seed, std::memory_order_relaxed); }

  void start_sysmon();
  void stop_sysmon();
  void close();                          // the end of the process is near: sysmon stops for good, as what it looks at goes away
  std::atomic<void (*)(Nanos now)> sysmon_hook{nullptr};  // called in every round; the collector's
  void wake_sysmon();
  bool sysmon_sleeps() const { return sysmon_sleep_.load(std::memory_order_relaxed) != 0; }
  uint64_t sysmon_rounds() const { return sysmon_rounds_.load(std::memory_order_relaxed); }
  void stop_idle_threads();              // ends pool machines and sysmon when no goroutine is left that needs them
  G* survivor_of_fork();                 // fork.cpp
  void after_fork_in_child();

  // --- plain threads
  M* attach_thread(Lane& lane);          // makes the calling thread a goroutine of the lane
  void detach_thread();
  void retire(G* g, M* m) { retired_threads_.push(g, m); }   // their memory is freed when nobody can be looking any more

  // --- a run: the goroutine whose wait is ended when nobody can wake anybody
  void set_main(G* g);
  G* main() const { return main_.load(std::memory_order_acquire); }
  bool check_dead(M* m);

  // --- requests to a goroutine (G::Request); returns true if it was in a wait, which this ended
  bool request(G* g, G::Request what);

  // Whether nobody but foreign threads, which we cannot know about, may still wake goroutine 1 of the run: everybody waits, without a
  // deadline, no timer is armed, and the asker, if it has a goroutine, is a plain thread and no part of the run.
  bool may_be_dead(const G* asker);

  // note_waits gives every wait that began while coarse_now was 0 the present time as its beginning.
  void note_waits(Nanos now);
  void note_wait(G* g, Nanos now);

  // dump writes every goroutine in Go's traceback format (headers; frames come from describe).
  std::string dump(std::function<std::string(G*)> describe = nullptr);

 private:
  friend struct LayoutAccess;             // layout.h

  Runtime();
  static void* sysmon_main(void*);
  void sysmon();

  Lane native_;
  std::atomic<Lane*> python_{nullptr};   // set once
  SpinLock lock_{LockRank::Runtime};
  std::vector<G*> goroutines_;            // guarded by lock_
  std::atomic<uint64_t> ids_{1};            // 1 is a run's main
  std::atomic<int64_t> attached_{0};          // plain threads that are goroutines
  std::atomic<int64_t> system_goroutines_{0};
  struct Retired {
    SpinLock lock;
    std::vector<std::pair<G*, M*>> list;
    void push(G* g, M* m);                // g: null if the machine was of the pool
  } retired_threads_;
  std::atomic<int> active_{0};
  std::atomic<G*> main_{nullptr};
  std::atomic<bool> sysmon_running_{false};
  bool closed_ = false;                   // guarded by lock_
  std::atomic<bool> sysmon_stop_{false};
  std::atomic<uint32_t> sysmon_sleep_{0};
  std::atomic<uint64_t> sysmon_rounds_{0};
  std::atomic<int> machine_ids_{0};
  std::atomic<uint64_t> seed_{0x853c49e6748fea9b};
  pthread_t sysmon_thread_{};
};

// header_line is Go's "goroutine 7 [chan receive, 2 minutes]:".
std::string header_line(const G& g, Nanos now);

}  // namespace gort
