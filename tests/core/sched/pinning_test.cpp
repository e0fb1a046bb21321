#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "gort/base/futex.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sched/hop.h"
#include "gort/sched/runtime.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"
#include "plain_hooks.h"

using namespace gort;
using namespace gort::testing;

namespace {

// A lane that stands for Python's without the GIL: nothing is to be had before one runs.
class PinningLane final : public PlainHooks {
 public:
  static PinningLane& get(int procs) {
    static PinningLane& only = *new PinningLane;
    Runtime::get().set_python_lane(only.lane);
    only.lane->resize(procs, 1);
    return only;
  }

  bool in_foreign_code(G* g) override { return g == foreign; }
  void end_slice(G* g) override { asked = g; }

  std::atomic<G*> foreign{nullptr};   // in a call of other code
  std::atomic<G*> asked{nullptr};     // to yield, last

 private:
  PinningLane() { lane = new Lane("pinning", 260 * 1024, this, 0, true); }
};

// The calling goroutine is in other code until the event.
void block_until(PinningLane& lane, Event& event) {
  lane.foreign = current();
  while (event.wait() != FutexResult::Woken) {}
  lane.foreign = nullptr;
}

M* here() { return this_machine(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(pinning)

BOOST_AUTO_TEST_CASE(a_goroutine_that_has_started_stays_on_its_machine_over_every_kind_of_wait) {
  PinningLane& lane = PinningLane::get(2);
  constexpr int kPairs = 20;
  std::atomic<int> moved{0};
  WaitGroup done;
  done.add(2 * kPairs);
  std::vector<std::unique_ptr<Chan<int>>> there;
  for (int i = 0; i < kPairs; i++) there.push_back(std::make_unique<Chan<int>>(i % 3));
  for (int i = 0; i < kPairs; i++) {
    lane.start([&, i] {
      M* home = here();
      for (int k = 0; k < 100 * kRounds; k++) {
        there[size_t(i)]->send(k);
        if (k % 7 == 0) yield();
        if (k % 50 == 0) (void)sleep_until(soon());
        moved += here() != home;
      }
      done.done();
    });
    lane.start([&, i] {
      M* home = here();
      for (int k = 0; k < 100 * kRounds; k++) {
        if (there[size_t(i)]->recv() != k) moved += 1000;
        moved += here() != home;
      }
      done.done();
    });
  }
  done.wait();
  BOOST_TEST(moved == 0);
}

BOOST_AUTO_TEST_CASE(those_that_yield_do_not_keep_the_ones_from_starting_that_stand_in_the_global_queue) {
  PinningLane& lane = PinningLane::get(1);
  std::atomic<int> count{0};
  int turns = 0;
  bool over = false;
  WaitGroup done;
  done.add(2);
  lane.start([&] {
    lane.start([&] {
      while (!over) yield();
      done.done();
    });
    yield();
    for (int i = 0; i < 1000; i++) lane.start([&] { count++; });
    for (; count != 1000; turns++) yield();
    over = true;
    done.done();
  });
  done.wait();
  BOOST_TEST(turns < 1000);   // 30,000 when only every 61st turn was for the global queue
}

BOOST_AUTO_TEST_CASE(goroutines_that_have_not_started_are_taken_from_a_machine_whose_goroutine_blocks) {
  PinningLane& lane = PinningLane::get(1);
  Event go_on;
  M* blocked = nullptr;
  std::atomic<int> elsewhere{0};
  WaitGroup first, others;
  first.add(1);
  others.add(10);
  lane.start([&] {
    blocked = here();
    for (int i = 0; i < 10; i++) {
      lane.start([&] {
        elsewhere += here() != blocked;
        others.done();
      });
    }
    block_until(lane, go_on);
    first.done();
  });
  others.wait();
  go_on.set();
  first.wait();
  BOOST_TEST(elsewhere == 10);
}

// Two machines, one P: each wake-up finds the other machine asleep, or with work of its own.
BOOST_AUTO_TEST_CASE(goroutines_of_two_machines_take_turns_with_one_processor) {
  PinningLane& lane = PinningLane::get(1);
  Event go_on;
  Chan<int> there(0), back(0);
  std::atomic<M*> one{nullptr}, two{nullptr};
  std::atomic<bool> over{false};
  WaitGroup done;
  done.add(3);
  lane.start([&] {
    one = here();
    lane.start([&] {
      two = here();
      for (int i = 0; i < 100 * kRounds; i++) back.send(there.recv() + 1);
      done.done();
    });
    block_until(lane, go_on);   // the other one starts on another machine
    lane.start([&] {            // keeps the P in use on one of the two
      while (!over) yield();
      done.done();
    });
    bool right = true;
    for (int i = 0; i < 100 * kRounds; i++) {
      there.send(i);
      right = right && back.recv() == i + 1;
    }
    over = true;
    if (!right) one = nullptr;
    done.done();
  });
  until([&] { return two.load() != nullptr; });
  go_on.set();
  done.wait();
  BOOST_TEST(one.load());
  BOOST_TEST(one.load() != two.load());
}

BOOST_AUTO_TEST_CASE(on_one_machine_goroutines_that_yield_run_in_turn) {
  EndlessSlices endless;
  PinningLane& lane = PinningLane::get(1);
  std::string order;
  int started = 0;
  WaitGroup done;
  done.add(1);
  lane.start([&] {
    WaitGroup inner;
    inner.add(3);
    for (char name : {'a', 'b', 'c'}) {
      lane.start([&, name] {
        started++;
        until([&] { return started == 3; });
        for (int i = 0; i < 3; i++) {
          order += name;
          yield();
        }
        inner.done();
      });
    }
    inner.wait();
    done.done();
  });
  done.wait();
  BOOST_TEST(std::set<char>(order.begin(), order.begin() + 3).size() == 3u);
  BOOST_TEST(order.substr(0, 6) == order.substr(3));
}

BOOST_AUTO_TEST_CASE(readied_from_outside_they_all_run_wherever_their_machines_are) {
  PinningLane& lane = PinningLane::get(2);
  constexpr int kEach = 50;
  Chan<int> work(0);
  std::atomic<int64_t> sum{0};
  WaitGroup done;
  done.add(kEach);
  for (int i = 0; i < kEach; i++) {
    lane.start([&] {
      for (;;) {
        int value = work.recv();
        if (value < 0) break;
        sum += value;
      }
      done.done();
    });
  }
  int64_t expected = 0;
  WaitGroup senders;
  for (int s = 0; s < 4; s++) {
    senders.go([&, s] {
      for (int i = 0; i < 200 * kRounds; i++) work.send(s * 10'000 + i);
    });
    for (int i = 0; i < 200 * kRounds; i++) expected += s * 10'000 + i;
  }
  senders.wait();
  for (int i = 0; i < kEach; i++) work.send(-1);
  done.wait();
  BOOST_TEST(sum == expected);
}

// A goroutine that had hopped away was queued at its machine when it was readied there, and ran in the wrong lane.
BOOST_AUTO_TEST_CASE(one_that_hops_to_the_native_lane_waits_there_as_any_other_and_comes_back_to_its_machine) {
  PinningLane& lane = PinningLane::get(2);
  constexpr int kEach = 10;
  Lane& native = Runtime::get().native();
  Chan<int> there(0), back(0);
  std::atomic<int> wrong{0};
  WaitGroup done, answers;
  for (int i = 0; i < kEach; i++) {
    answers.go([&] {
      for (int k = 0; k < 20 * kRounds; k++) back.send(there.recv() + 1);
    });
  }
  done.add(kEach);
  for (int i = 0; i < kEach; i++) {
    lane.start([&] {
      M* home = here();
      for (int k = 0; k < 20 * kRounds; k++) {
        const void* before = hop(native, nullptr);
        there.send(k);
        (void)back.recv();
        yield();
        wrong += here()->lane != &native;
        hop(*lane.lane, before);
        wrong += here() != home;
        if (k % 5 == 0) yield();
      }
      done.done();
    });
  }
  done.wait();
  answers.wait();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(who_calls_lock_os_thread_keeps_company_but_gets_no_new_one) {
  PinningLane& lane = PinningLane::get(1);
  std::set<M*> joined;
  M* locked = nullptr;
  WaitGroup done;
  done.add(1);
  lane.start([&] {
    locked = here();
    Chan<int> ready(1);
    Chan<int> peer(0);
    lane.start([&] { peer.send(here() == locked); });
    bool stayed = peer.recv() == 1;
    lock_os_thread();
    for (int i = 0; i < 10; i++) {
      lane.start([&] { ready.send(here() == locked); });
      if (ready.recv() == 1) joined.insert(here());
    }
    unlock_os_thread();
    if (!stayed) locked = nullptr;
    done.done();
  });
  done.wait();
  BOOST_TEST(locked);
  BOOST_TEST(joined.empty());
}

BOOST_AUTO_TEST_CASE(one_that_keeps_its_machine_from_others_is_named) {
  PinningLane& lane = PinningLane::get(1);
  lane.asked = nullptr;
  uint64_t before = lane.lane->stalls().count;
  Event go_on;
  Chan<int> peer(1);
  std::atomic<uint64_t> culprit{0};
  WaitGroup done;
  done.add(2);
  lane.start([&] {
    culprit = goroutine_id();
    lane.start([&] {
      peer.send(1);
      yield();
      done.done();
    });
    (void)peer.recv();   // it has started, here, and can go on
    block_until(lane, go_on);
    done.done();
  });
  until([&] { return lane.lane->stalls().count != before; });
  BOOST_TEST(lane.lane->stalls().culprit == culprit);
  BOOST_TEST(lane.lane->stalls().blocked);
  go_on.set();
  done.wait();
  BOOST_TEST(!lane.asked);   // to yield: it would not hear
}

BOOST_AUTO_TEST_CASE(one_that_computes_while_others_of_its_machine_wait_is_asked_to_yield_until_it_does) {
  PinningLane& lane = PinningLane::get(1);
  lane.asked = nullptr;
  Chan<int> peer(1);
  std::atomic<int> heard{0}, waits{0};
  WaitGroup done;
  done.add(2);
  lane.start([&] {
    G* self = current();
    lane.start([&] {
      peer.send(1);
      yield();
      waits = heard.load();
      done.done();
    });
    (void)peer.recv();   // it has started, here, and can go on
    for (int i = 0; i < 3; i++) {
      while (lane.asked.exchange(nullptr) != self) {}
      heard++;
    }
    lane.lane->give_up_slice(here(), self, true);
    done.done();
  });
  done.wait();
  BOOST_TEST(waits == 3);
}

BOOST_AUTO_TEST_SUITE_END()
