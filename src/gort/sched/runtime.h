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

// Every interval of the scheduler in one place, so that tests can set them.
struct Options {
  Nanos sysmon_min = 20 * kMicrosecond;
  Nanos sysmon_max = 10 * kMillisecond;
  Nanos foreign_max = 500 * kMicrosecond;     // sysmon's longest pause while a lane with hooks is busy
  Nanos foreign_takeover = 1 * kMillisecond;  // in foreign code for so long: the P goes to another machine
  Nanos time_slice = 10 * kMillisecond;
  // CPython asks a thread for the GIL only if nobody else has had it for 5 ms, and every switch of a goroutine counts as somebody
  // else. So beside goroutines that switch often no thread would ever get it: they give way by themselves.
  Nanos give_way = 5 * kMillisecond;
  Nanos probe_back_off = 10 * kMillisecond;   // after a failed takeover (somebody else holds the GIL)
};

class Runtime {
 public:
  static Runtime& get();

  Lane& native() { return native_; }
  Lane* python() { return python_; }
  void set_python_lane(Lane* lane) { python_ = lane; }
  Options options;

  template <class F>
  void for_each_lane(F f) {
    f(native_);
    if (python_) f(*python_);
  }

  // --- goroutines
  uint64_t next_ids(uint64_t count);
  void register_goroutine(G* g);
  std::vector<G*> all_goroutines();      // every G ever made, dead ones included
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
  int next_machine_id() { return machine_ids_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t seed() const { return seed_.load(std::memory_order_relaxed); }
  void set_seed(uint64_t seed) { seed_.store(seed, std::memory_order_relaxed); }

  void start_sysmon();
  void stop_sysmon();
  std::atomic<void (*)(Nanos now)> sysmon_hook{nullptr};  // called in every round; the collector's
  uint64_t sysmon_rounds() const { return sysmon_rounds_.load(std::memory_order_relaxed); }
  void stop_idle_threads();              // ends pool machines and sysmon when no goroutine is left that needs them
  G* survivor_of_fork();                 // fork.cpp
  void after_fork_in_child();

  // --- plain threads
  M* attach_thread(Lane& lane);          // makes the calling thread a goroutine of the lane
  void detach_thread();

  // --- a run: the goroutine whose wait is ended when nobody can wake anybody
  void set_main(G* g);
  G* main() const { return main_.load(std::memory_order_acquire); }
  bool check_dead(M* m);

  // --- requests to a goroutine (G::Request); returns true if it was in a wait, which this ended
  bool request(G* g, G::Request what);

  // dump writes every goroutine in Go's traceback format (headers; frames come from describe).
  std::string dump(std::function<std::string(G*)> describe = nullptr);

 private:
  Runtime();
  static void* sysmon_main(void*);
  void sysmon();
  void wake_sysmon();

  Lane native_;
  Lane* python_ = nullptr;
  SpinLock lock_{LockRank::Runtime};
  std::vector<G*> goroutines_;            // guarded by lock_
  std::atomic<uint64_t> ids_{1};            // 1 is a run's main
  std::atomic<int64_t> attached_{0};          // plain threads that are goroutines
  std::atomic<int64_t> system_goroutines_{0};
  struct Retired {
    SpinLock lock;
    std::vector<std::pair<G*, M*>> list;
    void push(G* g, M* m);
  } retired_threads_;
  std::atomic<int> active_{0};
  std::atomic<G*> main_{nullptr};
  std::atomic<bool> sysmon_running_{false};
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
