#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gort/base/errors.h"
#include "gort/base/futex.h"
#include "gort/chan/select.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/runtime.h"
#include "plain_hooks.h"

using namespace gort;
using gort::testing::PlainHooks;

namespace {

// For goroutines, beside which others check as well.
void require(bool holds) {
  if (!holds) std::abort();
}

// A lane whose goroutines have a state that goes with the stack, as Python's have.
class StatefulLane final : public PlainHooks {
 public:
  static StatefulLane& get() {
    static StatefulLane& only = *new StatefulLane;
    return only;
  }

  // A goroutine that is made of steps: each begins on the stack that it is given, and returns whether there is another one.
  void begin(std::function<bool(int step)> steps) {
    auto* body = new Body{std::move(steps)};
    G* g = lane->new_goroutine(Lane::kNoStack);
    g->lane_data = body;
    if (g->fiber.stack.low) body->state = new int;   // of one that has ended
    g->entry = [](G* self) {
      auto* body = static_cast<Body*>(self->lane_data);
      require(body->state);
      while (body->steps(body->step++)) {}
      static_cast<StatefulLane&>(*self->home->hooks()).ended(self, body);
    };
    lane->start(g);
  }

  void* take_state(G* g) override {
    taken++;
    return std::exchange(static_cast<Body*>(g->lane_data)->state, nullptr);
  }
  void give_state(G* g, void* state) override {
    given++;
    static_cast<Body*>(g->lane_data)->state = static_cast<int*>(state);
  }
  void make_state(G* g) override {
    made++;
    static_cast<Body*>(g->lane_data)->state = new int;
  }
  void drop_state(void* state) override {
    dropped++;
    delete static_cast<int*>(state);
  }

  std::atomic<int> taken{0}, given{0}, made{0}, dropped{0};

 private:
  struct Body {
    std::function<bool(int)> steps;
    int step = 0;
    int* state = nullptr;
  };

  StatefulLane() {
    lane = new Lane("stateful", 64 * 1024, this);
    lane->resize(2, 1);
  }
  // Its body outlives it, as the G's last stack, and with it the state, is taken after its end.
  void ended(G*, Body* body) { body->steps = nullptr; }
};

void wait_until(const std::function<bool()>& reached) {
  while (!reached()) std::this_thread::yield();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stackless)

BOOST_AUTO_TEST_CASE(a_receive_begins_again_with_its_value) {
  constexpr int kGoroutines = 1000, kValues = 5;
  auto channel = Channel::make(element_type<int64_t>(), 0);
  std::atomic<int64_t> sum{0};
  std::atomic<int> over{0};
  StatefulLane& lane = StatefulLane::get();
  struct Wait {
    Waiter waiter;
    int64_t value = 0;
    bool waits = false;
    int received = 0;
  };
  std::vector<std::unique_ptr<Wait>> waits;
  for (int i = 0; i < kGoroutines; i++) {
    waits.push_back(std::make_unique<Wait>());
    lane.begin([&, w = waits.back().get()](int) {
      Received received;
      if (w->waits) {
        received = channel->recv_ended(w->waiter, end_stackless(current()));
      } else {
        w->waits = true;
        received = channel->recv_stackless(&w->value, w->waiter);
      }
      w->waits = false;
      require(received.outcome == Outcome::Fired && received.ok);
      sum += w->value;
      if (++w->received < kValues) return true;
      over++;
      return false;
    });
  }
  int64_t sent = 0;
  for (int64_t n = 0; n < kGoroutines * kValues; n++) {
    require(channel->send(&n) == Outcome::Fired);
    sent += n;
  }
  wait_until([&] { return over == kGoroutines; });
  BOOST_CHECK_EQUAL(sum.load(), sent);
  channel->verify();
  // They were on far fewer stacks than there were goroutines.
  BOOST_CHECK_LT(lane.made.load(), kGoroutines / 2);
  BOOST_CHECK_GE(lane.taken.load(), kGoroutines);
}

BOOST_AUTO_TEST_CASE(a_send_that_a_close_ends_throws_when_it_begins_again) {
  auto channel = Channel::make(element_type<int64_t>(), 0);
  std::atomic<int> panics{0};
  Waiter waiter;
  int64_t value = 3;
  StatefulLane::get().begin([&](int step) {
    try {
      Outcome outcome = step == 0 ? channel->send_stackless(&value, waiter) : channel->send_ended(waiter, end_stackless(current()));
      require(outcome != Outcome::Fired);
    } catch (const Panic&) {
      panics++;
    }
    return false;
  });
  wait_until([&] { return channel->waiting_senders() == 1; });
  channel->close();
  wait_until([&] { return panics == 1; });
}

BOOST_AUTO_TEST_CASE(a_select_does_one_case) {
  auto a = Channel::make(element_type<int64_t>(), 0), b = Channel::make(element_type<int64_t>(), 0);
  std::atomic<int> chosen{-1};
  int64_t in = 0, out = 7;
  SelectCase cases[] = {{a.get(), SelectCase::Recv, &in}, {b.get(), SelectCase::Send, &out}};
  for (int which : {0, 1}) {
    auto select = std::make_unique<StacklessSelect>(cases, 2);
    chosen = -1;
    StatefulLane::get().begin([&](int step) {
      Selected s = step == 0 ? select->run(kForever) : select->ended(end_stackless(current()));
      require(s.outcome == Outcome::Fired);
      chosen = s.index;
      return false;
    });
    wait_until([&] { return a->waiting_receivers() == 1 && b->waiting_senders() == 1; });
    int64_t value = 41;
    if (which == 0) require(a->send(&value) == Outcome::Fired);
    else require(b->recv(&value).ok);
    wait_until([&] { return chosen == which; });
    BOOST_CHECK_EQUAL(which == 0 ? in : value, which == 0 ? 41 : 7);
    BOOST_CHECK_EQUAL(a->waiting_receivers() + b->waiting_senders(), 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_deadline_and_a_request_end_the_wait) {
  std::atomic<int> outcome{-1};
  std::atomic<G*> waiting{nullptr};
  auto sleeps = [&](Nanos deadline) {
    return [&, deadline](int step) {
      Outcome ended;
      if (step == 0) {
        begin_wait(current());
        waiting = current();
        ended = park_stackless(nullptr, nullptr, {.reason = WaitReason::Sleep, .deadline = deadline});
      } else {
        ended = end_stackless(current());
      }
      outcome = int(ended);
      return false;
    };
  };
  StatefulLane::get().begin(sleeps(deadline_after(kMillisecond)));
  wait_until([&] { return outcome == int(Outcome::TimedOut); });
  outcome = -1;
  StatefulLane::get().begin(sleeps(deadline_after(3600 * kSecond)));
  wait_until([&] { return waiting.load() && waiting.load()->wait_reason == WaitReason::Sleep; });
  BOOST_CHECK(Runtime::get().request(waiting, G::kExit));
  wait_until([&] { return outcome == int(Outcome::Exit); });
  // One that was asked before its wait begins does not leave its stack.
  outcome = -1;
  StatefulLane::get().begin([&](int step) {
    require(step == 0);
    Runtime::get().request(current(), G::kExit);
    begin_wait(current());
    outcome = int(park_stackless(nullptr, nullptr, {.reason = WaitReason::Sleep, .deadline = kForever}));
    return false;
  });
  wait_until([&] { return outcome == int(Outcome::Exit); });
}

BOOST_AUTO_TEST_CASE(who_may_leave_its_stack) {
  std::atomic<int> answers{0};
  StatefulLane::get().begin([&](int) {
    G* g = current();
    answers |= may_leave_stack(g) ? 1 : 0;
    lock_os_thread();
    answers |= may_leave_stack(g) ? 2 : 0;
    unlock_os_thread();
    answers |= 4;
    return false;
  });
  wait_until([&] { return answers >= 4; });
  BOOST_CHECK_EQUAL(answers.load(), 5);
  BOOST_CHECK(!may_leave_stack(current()));
  run([&] { require(!may_leave_stack(current())); });
}

BOOST_AUTO_TEST_SUITE_END()
