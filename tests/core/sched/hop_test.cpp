#include <boost/test/unit_test.hpp>

#include <unistd.h>

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gort/base/errors.h"
#include "gort/base/futex.h"
#include "gort/chan/typed_channel.h"
#include "gort/gc/collector.h"
#include "gort/heap/object.h"
#include "gort/python/scope.h"
#include "gort/sched/go.h"
#include "gort/sched/hop.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sync/wait_group.h"
#include "plain_hooks.h"

using namespace gort;
using gort::testing::PlainHooks;

namespace {

// A lane that stands for Python's: one P, and a lock that whoever runs on it holds.
class LockedLane final : public PlainHooks {
 public:
  static LockedLane& get() {
    static LockedLane& only = *new LockedLane;
    Runtime::get().set_python_lane(only.lane);
    return only;
  }

  // Called anywhere: is the caller at home, with the lock, as the goroutine that was switched to last?
  bool here() const {
    M* m = this_machine();
    return m->lane == lane && m->current->lane == lane && holder.load() == m && (m->current->own_machine || last.load() == m->current);
  }

  void machine_start(M* m) override { acquire(m); }
  void machine_stop(M* m) override { release(m); }
  void acquire(M* m) override {
    lock.lock();
    holder = m;
  }
  void release(M* m) override {
    if (m->lane != lane || holder != m) return;   // a plain thread of another lane ends this one's machines
    holder = nullptr;
    lock.unlock();
  }
  void relax(M* m) override {
    release(m);
    usleep(20);
    acquire(m);
  }
  void switched(M*, G* to) override { last = to; }
  bool lendable(G*) override { return true; }
  bool slice_ended(M*, G* g) override { return g == stuck; }

  std::atomic<G*> stuck{nullptr};   // cannot leave its thread

 private:
  LockedLane() {
    lane = new Lane("locked", 260 * 1024, this);
    lane->resize(1, 1);
  }

  std::mutex lock;
  std::atomic<M*> holder{nullptr};
  std::atomic<G*> last{nullptr};
};

// What NativeScope is without an interpreter.
struct Native {
  const void* before = hop(Runtime::get().native(), nullptr);
  ~Native() { hop(*LockedLane::get().lane, before); }
};
using python::PythonScope;

bool in_native() { return this_machine()->lane == &Runtime::get().native(); }

// wait_for starts bodies as goroutines of the locked lane and waits until all have ended. Returns the first complaint of one, or "".
std::string wait_for(int n, std::function<void(int)> body) {
  LockedLane& lane = LockedLane::get();
  WaitGroup done;
  std::mutex lock;
  std::string complaint;
  done.add(n);
  for (int i = 0; i < n; i++) {
    lane.start([&, i] {
      try {
        body(i);
      } catch (const std::exception& error) {
        std::lock_guard hold(lock);
        if (complaint.empty()) complaint = error.what();
      }
      done.done();
    });
  }
  done.wait();
  return complaint;
}

void require(bool what, const char* text) {
  if (!what) throw std::runtime_error(text);
}

#ifdef GORT_TSAN
constexpr int kHops = 40;
#else
constexpr int kHops = 200;
#endif

struct Link {
  heap::Pointer<Link> next;
  int64_t value = 0;
  static auto heap_pointers() { return heap::pointers(&Link::next); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(hop_)

BOOST_AUTO_TEST_CASE(a_goroutine_is_the_same_on_both_sides) {
  LockedLane& lane = LockedLane::get();
  std::string complaint = wait_for(1, [&](int) {
    G* g = current();
    uint64_t id = goroutine_id();
    char here;
    require(lane.here(), "starts at home");
    {
      Native native;
      require(in_native() && current() == g && goroutine_id() == id, "in the native lane");
      require(&here < g->fiber.stack.high && &here >= g->fiber.stack.low, "on its stack");
      {
        PythonScope python;
        require(lane.here() && current() == g, "at home again");
        PythonScope nested;
        require(lane.here(), "a scope in its own lane does nothing");
      }
      require(in_native(), "back");
    }
    require(lane.here() && current() == g, "home at the end");
  });
  BOOST_TEST(complaint == "");
}

BOOST_AUTO_TEST_CASE(fifty_goroutines_hop_park_and_talk_on_both_sides) {
  LockedLane& lane = LockedLane::get();
  Chan<int64_t> numbers(0), results(4);
  int64_t inside = 0;   // guarded by the lane's lock
  int64_t received = 0;
  WaitGroup drained;
  drained.add(1);
  go([&, results] {
    for (int64_t k : results) received += k % 4 == 2;
    drained.done();
  });
  std::string complaint = wait_for(50, [&](int i) {
    for (int k = 0; k < kHops; k++) {
      Native native;
      require(in_native(), "native");
      if (i % 2) numbers.send(k);
      else numbers.recv();
      if ((i + k) % 16 == 0) sleep_until(deadline_after(20 * kMicrosecond));
      if ((i + k) % 32 == 1) {
        BlockingScope blocking;
        usleep(50);
      }
      PythonScope python;
      inside++;
      require(lane.here(), "home");
      if (k % 4 == 1) yield();
      if (k % 4 == 2) results.send(k);
      require(lane.here(), "still home");
    }
    require(lane.here(), "home at the end");
  });
  results.close();
  drained.wait();
  BOOST_TEST(complaint == "");
  BOOST_TEST(inside == 50 * kHops);
  BOOST_TEST(received == 50 * kHops / 4);
}

BOOST_AUTO_TEST_CASE(exceptions_pass_through_hops) {
  LockedLane& lane = LockedLane::get();
  std::string complaint = wait_for(20, [&](int i) {
    for (int k = 0; k < kHops / 4; k++) {
      int caught = 0;
      try {
        Native native;
        try {
          PythonScope python;
          yield();
          throw int(i);
        } catch (int value) {
          require(in_native() && value == i, "caught in the native lane");
          yield();
          {
            PythonScope python;   // hops inside a catch block
            yield();
          }
          throw;
        }
      } catch (int value) {
        caught = value;
      }
      require(lane.here() && caught == i, "caught at home");
      require(std::uncaught_exceptions() == 0, "and nothing is left");
    }
  });
  BOOST_TEST(complaint == "");
}

BOOST_AUTO_TEST_CASE(the_end_of_a_run_ends_a_wait_abroad) {
  LockedLane& lane = LockedLane::get();
  Chan<int> never(0);
  std::atomic<G*> waiter{nullptr};
  std::atomic<bool> unwound_at_home{false};
  WaitGroup done;
  done.add(1);
  lane.start([&] {
    struct Done {
      WaitGroup& group;
      ~Done() { group.done(); }
    } guard{done};
    try {
      Native native;
      waiter = current();
      never.recv();
    } catch (const GoExit&) {
      unwound_at_home = lane.here();
      throw;
    }
  });
  while (!waiter || waiter.load()->status.load() != Status::Waiting) yield();
  while (!Runtime::get().request(waiter, G::kExit)) yield();
  done.wait();
  BOOST_TEST(unwound_at_home.load());
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_cannot_leave_its_thread_is_told_so_and_stays) {
  LockedLane& lane = LockedLane::get();
  std::string text;
  std::string complaint = wait_for(1, [&](int) {
    lane.stuck = current();
    try {
      Native native;
    } catch (const Fatal& error) {
      text = error.what();
    }
    require(lane.here(), "it is where it was");
    lane.stuck = nullptr;
    Native native;
    require(in_native(), "and may hop later");
  });
  BOOST_TEST(complaint == "");
  BOOST_TEST(text == "gort: a goroutine inside a function that pybind11 called cannot leave its thread, and so not its lane");
}

BOOST_AUTO_TEST_CASE(a_goroutine_of_the_native_lane_has_no_stack_for_python) {
  LockedLane::get();
  std::string text;
  run([&] {
    try {
      PythonScope python;
    } catch (const Fatal& error) {
      text = error.what();
    }
  });
  BOOST_TEST(text == "gort::python::PythonScope: this goroutine has no stack for Python; start it with gort::python::go");
}

// Pointers that only frames below a PythonScope hold, while collections come and go; and pointers of the native lane's frames.
BOOST_AUTO_TEST_CASE(what_frames_point_to_survives_collections_on_both_sides) {
  std::atomic<bool> stop{false};
  std::thread collector([&] {
    while (!stop) gc::collect();
  });
  std::string complaint = wait_for(12, [&](int i) {
    for (int k = 0; k < kHops / 4; k++) {
      Native native;
      Link* list = nullptr;
      for (int n = 0; n < 20; n++) {
        auto* link = heap::make<Link>();
        link->value = i * 1000 + n;
        link->next = list;
        list = link;
        if (n % 5 == 0) {
          PythonScope python;
          yield();
          if (n % 10 == 0) {
            Native nested;   // garbage, in the same size class
            for (int g = 0; g < 50; g++) heap::make<Link>()->value = -1;
          }
        }
      }
      yield();
      int n = 19;
      for (Link* link = list; link; link = link->next, n--) require(link->value == i * 1000 + n, "a live object was freed");
      require(n == -1, "the list is whole");
    }
  });
  stop = true;
  collector.join();
  BOOST_TEST(complaint == "");
}

BOOST_AUTO_TEST_CASE(a_plain_thread_takes_itself_along) {
  LockedLane& lane = LockedLane::get();
  Chan<int64_t> there(0), back(0);
  std::atomic<int> wrong{0};
  WaitGroup done;
  done.add(1);
  go([&] {
    for (int64_t v : there) back.send(v + 1);
    done.done();
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      M* m = Runtime::get().attach_thread(*lane.lane);
      lane.acquire(m);
      G* g = current();
      for (int k = 0; k < kHops; k++) {
        wrong += !lane.here();
        {
          Native native;
          wrong += !in_native() || current() != g || this_machine() != m;
          there.send(k);
          if (back.recv() < 1) wrong++;
          if (k % 8 == 0) sleep_until(deadline_after(10 * kMicrosecond));
          if (k % 8 == 1) yield();
          PythonScope python;
          wrong += !lane.here();
          yield();
        }
        wrong += !lane.here();
      }
      lane.release(m);
    });
  }
  for (int k = 0; k < 20; k++) {
    world::stop("test");
    world::start();
    yield();
  }
  for (auto& thread : threads) thread.join();
  there.close();
  done.wait();
  BOOST_TEST(wrong.load() == 0);
}

BOOST_AUTO_TEST_CASE(a_callback_out_of_a_blocking_call_is_back_in_the_runtime) {
  int rounds = 0;
  run([&] {
    Chan<int> echo(0);
    go([=] {
      for (int v : echo) (void)v;
    });
    for (int k = 0; k < kHops; k++) {
      BlockingScope blocking;
      {
        CallbackScope scope;
        if (current()->status.load() == Status::Running) rounds++;
        CallbackScope nested;   // does nothing
        echo.send(k);
        yield();
      }
      if (current()->status.load() == Status::Syscall) rounds++;
    }
    echo.close();
  });
  BOOST_TEST(rounds == 2 * kHops);
}

// cooling.h: with the lane's lock held, by a machine of the lane.
BOOST_AUTO_TEST_CASE(goroutines_of_a_locked_lane_give_back_stacks_as_well) {
  Options& options = Runtime::get().options;
  options.stack_idle = 20 * kMillisecond;
  LockedLane& lane = LockedLane::get();
  constexpr int kWaiting = 200;
  constexpr size_t kUsed = 64 << 10;
  std::atomic<int> waiting{0};
  Chan<int> gate(0);
  std::thread watcher([&] {
    while (waiting != kWaiting || lane.lane->stacks().usage().resident > kWaiting * kUsed / 4) {}
    gate.close();
  });
  std::string complaint = wait_for(kWaiting, [&](int i) {
    auto fill = [](int value) {
      volatile char used[kUsed];
      for (size_t k = 0; k < kUsed; k += 1024) used[k] = char(value);
    };
    volatile int mine = i;
    fill(i);
    waiting++;
    gate.recv();
    fill(i);
    require(mine == i, "a stack has lost what was in use");
  });
  watcher.join();
  options.stack_idle = Options{}.stack_idle;
  BOOST_TEST(complaint == "");
}

BOOST_AUTO_TEST_SUITE_END()
