// Context. Behaviours are those of Go's context/context_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/chan/typed_channel.h"
#include "gort/context/context.h"
#include "gort/context/time_text.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;
using namespace gort::context;

namespace {

struct Key {
  int number;
  bool operator==(const Key&) const = default;
};

bool is_done(const ContextRef& ctx) {
  ChannelRef done = ctx->done();
  return done && done->closed();
}
// The context was cancelled in this way, consistently.
bool ended(const ContextRef& ctx, Err err) { return ctx->err() == err && is_done(ctx) == (err != Err::None); }

int cause_of(const ContextRef& ctx) {
  Value cause = ctx->cause();
  const int* number = cause.as<int>();
  return number ? *number : 0;
}

void wait_done(const ContextRef& ctx) { (void)ctx->done()->recv(nullptr); }

// A value that counts how many of its kind there are.
struct Owned {
  std::shared_ptr<int> alive;
};
const ValueType& owned_type() {
  using Pointer = std::unique_ptr<Owned>;
  static const ValueType type{&element_type<Pointer>(), [](const void* a, const void* b) { return a == b; },
                              [](const void*) { return std::string("owned"); }};
  return type;
}
Value owned(const std::shared_ptr<int>& alive) {
  auto* raw = new Owned{alive};
  return Value(owned_type(), &raw);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(contexts)

// Go: context/x_test.go TestBackground, TestTODO
BOOST_AUTO_TEST_CASE(the_roots_are_never_cancelled) {
  for (const ContextRef& root : {background(), todo()}) {
    BOOST_TEST(!root->done());
    BOOST_TEST((root->err() == Err::None));
    BOOST_TEST(root->deadline() == kForever);
    BOOST_TEST(!root->value(Value::of(Key{1})));
    root->cancel();
    BOOST_TEST((root->err() == Err::None));
  }
  BOOST_TEST(background()->to_string() == "context.Background");
  BOOST_TEST(todo()->to_string() == "context.TODO");
  BOOST_TEST(!(background() == todo()));
}

// Go: context/x_test.go TestInvalidDerivedFail, TestWithValueChecksKey
BOOST_AUTO_TEST_CASE(a_nil_parent_or_key_panics) {
  const std::string nil_parent = "cannot create context from nil parent";
  BOOST_TEST(text_of<Panic>([] { with_cancel(nullptr); }) == nil_parent);
  BOOST_TEST(text_of<Panic>([] { with_deadline(nullptr, kPast); }) == nil_parent);
  BOOST_TEST(text_of<Panic>([] { with_timeout(nullptr, 1); }) == nil_parent);
  BOOST_TEST(text_of<Panic>([] { with_value(nullptr, Value::of(Key{1}), Value()); }) == nil_parent);
  BOOST_TEST(text_of<Panic>([] { without_cancel(nullptr); }) == nil_parent);
  BOOST_TEST(text_of<Panic>([] { with_value(background(), Value(), Value()); }) == "nil key");
}

// Go: context/x_test.go TestWithCancel
BOOST_AUTO_TEST_CASE(cancel_closes_done_sets_err_and_only_the_first_counts) {
  run([] {
    ContextRef ctx = with_cancel(background());
    BOOST_TEST(ctx->to_string() == "context.Background.WithCancel");
    ChannelRef done = ctx->done();
    BOOST_TEST((done == ctx->done()));
    BOOST_TEST((done->recv(nullptr, kPast).outcome == Outcome::TimedOut));
    BOOST_TEST(ended(ctx, Err::None));
    WaitGroup wg;
    std::atomic<bool> woken{false};
    wg.go([&] {
      wait_done(ctx);
      woken = ctx->err() == Err::Canceled;
    });
    until([&] { return done->waiting_receivers() == 1; });
    ctx->cancel(Value::of(7));
    wg.wait();
    BOOST_TEST(woken);
    BOOST_TEST(ended(ctx, Err::Canceled));
    BOOST_TEST(cause_of(ctx) == 7);
    ctx->cancel(Value::of(8));
    BOOST_TEST(cause_of(ctx) == 7);
    BOOST_TEST((done == ctx->done()));
  });
}

BOOST_AUTO_TEST_CASE(done_may_be_asked_for_after_the_cancellation) {
  ContextRef ctx = with_cancel(background());
  ctx->cancel();
  BOOST_TEST(ended(ctx, Err::Canceled));
  BOOST_TEST(!ctx->cause());
  BOOST_TEST((ctx->done() == ctx->done()));
}

// Go: context/x_test.go TestParentFinishesChild
BOOST_AUTO_TEST_CASE(a_parent_cancels_everything_below_it_before_cancel_returns) {
  run([] {
    ContextRef parent = with_cancel(background());
    ContextRef child = with_cancel(parent);
    ContextRef value = with_value(parent, Value::of(Key{1}), Value::of(2));
    ContextRef under_value = with_cancel(value);
    ContextRef timer = with_timeout(value, 3600 * kSecond);
    ContextRef free_one = with_cancel(without_cancel(parent));
    BOOST_TEST(parent->children().size() == 3u);
    BOOST_TEST(value->children().size() == 2u);
    parent->cancel(Value::of(3));
    for (const ContextRef& ctx : {parent, child, value, under_value, timer}) {
      BOOST_TEST(ended(ctx, Err::Canceled));
      BOOST_TEST(cause_of(ctx) == 3);
    }
    BOOST_TEST(ended(free_one, Err::None));
    BOOST_TEST(parent->children().empty());

    // TestWithCancelCanceledParent
    ContextRef late = with_cancel(value);
    BOOST_TEST(ended(late, Err::Canceled));
    BOOST_TEST(cause_of(late) == 3);
    BOOST_TEST(ended(with_timeout(parent, 3600 * kSecond), Err::Canceled));
  });
}

// Go: context/x_test.go TestChildFinishesFirst, TestCancelRemoves
BOOST_AUTO_TEST_CASE(a_cancelled_or_forgotten_child_leaves_its_parent) {
  run([] {
    ContextRef parent = with_cancel(background());
    ContextRef child = with_cancel(parent);
    ContextRef timed = with_timeout(parent, 3600 * kSecond);
    BOOST_TEST(parent->children().size() == 2u);
    child->cancel();
    BOOST_TEST(parent->children().size() == 1u);
    BOOST_TEST((parent->err() == Err::None));
    BOOST_TEST(ended(child, Err::Canceled));
    timed->cancel();
    BOOST_TEST(parent->children().empty());
    with_cancel(parent);
    BOOST_TEST(parent->children().empty());
  });
}

// Go: context/x_test.go TestDeadline, TestTimeout, TestCanceledTimeout
BOOST_AUTO_TEST_CASE(a_deadline_cancels_by_itself_and_cancel_stops_it) {
  run([] {
    ContextRef ctx = with_timeout(background(), kMillisecond, Value::of(5));
    ContextRef child = with_cancel(ctx);
    BOOST_TEST(child->deadline() == ctx->deadline());
    wait_done(ctx);
    BOOST_TEST(ended(ctx, Err::DeadlineExceeded));
    BOOST_TEST(cause_of(ctx) == 5);
    wait_done(child);
    BOOST_TEST(ended(child, Err::DeadlineExceeded));
    BOOST_TEST(cause_of(child) == 5);

    ContextRef cancelled = with_timeout(background(), 3600 * kSecond, Value::of(5));
    cancelled->cancel();
    BOOST_TEST(ended(cancelled, Err::Canceled));
    BOOST_TEST(!cancelled->cause());

    ContextRef late = with_deadline(background(), kPast, Value::of(6));
    BOOST_TEST(ended(late, Err::DeadlineExceeded));
    BOOST_TEST(cause_of(late) == 6);
    BOOST_TEST(!with_timeout(background(), 0)->cause());
    BOOST_TEST(ended(with_timeout(background(), -5), Err::DeadlineExceeded));
  });
}

BOOST_AUTO_TEST_CASE(an_earlier_deadline_above_makes_with_deadline_a_with_cancel) {
  run([] {
    ContextRef parent = with_timeout(background(), 2 * kMillisecond);
    ContextRef child = with_timeout(parent, 3600 * kSecond, Value::of(9));
    BOOST_TEST((child->kind() == Context::Kind::Cancel));
    BOOST_TEST(child->deadline() == parent->deadline());
    wait_done(child);
    BOOST_TEST(ended(child, Err::DeadlineExceeded));
    BOOST_TEST(!child->cause());
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_fires_although_nobody_holds_the_context) {
  run([] {
    ChannelRef done;
    {
      ContextRef ctx = with_timeout(background(), kMillisecond);
      done = ctx->done();
    }
    BOOST_TEST((done->recv(nullptr).outcome == Outcome::Fired));
  });
}

// Go: context/x_test.go TestValues
BOOST_AUTO_TEST_CASE(values_are_found_upwards_the_nearest_first) {
  Value one = Value::of(Key{1}), two = Value::of(Key{2}), other_type = Value::of(1);
  ContextRef a = with_value(background(), one, Value::of(10));
  ContextRef b = with_value(with_cancel(a), two, Value::of(20));
  ContextRef c = with_value(without_cancel(b), one, Value::of(30));
  ContextRef d = with_value(c, other_type, Value());
  BOOST_TEST(*a->value(one).as<int>() == 10);
  BOOST_TEST(!a->value(two));
  BOOST_TEST(*b->value(one).as<int>() == 10);
  BOOST_TEST(*d->value(Value::of(Key{1})).as<int>() == 30);
  BOOST_TEST(*d->value(two).as<int>() == 20);
  BOOST_TEST(!d->value(other_type));
  BOOST_TEST(!d->value(Value::of(Key{3})));
}

BOOST_AUTO_TEST_CASE(the_text_is_that_of_go) {
  ContextRef ctx = with_value(with_cancel(background()), Value::of("key"), Value());
  BOOST_TEST(ctx->to_string() == "context.Background.WithCancel.WithValue(key, <nil>)");
  BOOST_TEST(without_cancel(with_cancel(todo()))->to_string() == "context.TODO.WithCancel.WithoutCancel");
  ContextRef hour = with_timeout(background(), 3600 * kSecond);
  std::string text = hour->to_string();
  hour->cancel();   // its timer would outlive the case
  BOOST_TEST(text.starts_with("context.Background.WithDeadline("));
  BOOST_TEST(text.find(" m=+") != std::string::npos);
  BOOST_TEST(text.find(" [59m5") != std::string::npos);
  BOOST_TEST(text.ends_with("s])"));
  BOOST_TEST(err_text(Err::Canceled) == "context canceled");
  BOOST_TEST(err_text(Err::DeadlineExceeded) == "context deadline exceeded");
}

BOOST_AUTO_TEST_CASE(durations_have_the_text_of_go) {
  BOOST_TEST(duration_text(0) == "0s");
  BOOST_TEST(duration_text(1) == "1ns");
  BOOST_TEST(duration_text(1'100) == "1.1\u00b5s");
  BOOST_TEST(duration_text(2'200'000) == "2.2ms");
  BOOST_TEST(duration_text(3'300 * kMillisecond) == "3.3s");
  BOOST_TEST(duration_text(4 * 60 * kSecond + 5 * kSecond) == "4m5s");
  BOOST_TEST(duration_text(4 * 60 * kSecond + 5'001 * kMillisecond) == "4m5.001s");
  BOOST_TEST(duration_text(5 * 3600 * kSecond + 7'001 * kMillisecond) == "5h0m7.001s");
  BOOST_TEST(duration_text(8 * 60 * kSecond + 1) == "8m0.000000001s");
  BOOST_TEST(duration_text(-1500 * kMillisecond) == "-1.5s");
  BOOST_TEST(duration_text(INT64_MAX) == "2562047h47m16.854775807s");
  BOOST_TEST(duration_text(INT64_MIN) == "-2562047h47m16.854775808s");
}

// Go: context/x_test.go TestWithoutCancel
BOOST_AUTO_TEST_CASE(without_cancel_keeps_values_only) {
  Value key = Value::of(Key{1});
  ContextRef parent = with_cancel(with_value(with_timeout(background(), 3600 * kSecond), key, Value::of(4)));
  ContextRef ctx = without_cancel(parent);
  parent->cancel(Value::of(1));
  BOOST_TEST(!ctx->done());
  BOOST_TEST((ctx->err() == Err::None));
  BOOST_TEST(!ctx->cause());
  BOOST_TEST(ctx->deadline() == kForever);
  BOOST_TEST(*ctx->value(key).as<int>() == 4);
}

// Go's TestCause in a few lines (its table is in tests/python): the first cancellation's cause holds for all that it reaches.
BOOST_AUTO_TEST_CASE(causes_come_from_the_first_cancellation) {
  ContextRef parent = with_cancel(background());
  ContextRef child = with_cancel(parent);
  child->cancel(Value::of(1));
  parent->cancel(Value::of(2));
  BOOST_TEST(cause_of(child) == 1);
  BOOST_TEST(cause_of(parent) == 2);
  ContextRef below = with_value(parent, Value::of(Key{1}), Value());
  BOOST_TEST(cause_of(below) == 2);
  ContextRef deadline = with_deadline(with_cancel(background()), kPast, Value::of(3));
  deadline->cancel(Value::of(4));
  BOOST_TEST(cause_of(deadline) == 3);
}

// Go: context/x_test.go TestAfterFuncCalledAfterCancel, TestAfterFuncCalledImmediately, TestAfterFuncNotCalledAfterStop
BOOST_AUTO_TEST_CASE(after_func_runs_once_after_the_cancellation_or_at_once_or_never) {
  run([] {
    std::atomic<int> ran{0};
    ContextRef ctx = with_cancel(background());
    AfterFunc one = after_func(ctx, [&] { ran++; });
    AfterFunc two = after_func(ctx, [&] { ran++; });
    AfterFunc stopped = after_func(ctx, [&] { ran += 100; });
    BOOST_TEST(stopped.stop());
    BOOST_TEST(!stopped.stop());
    BOOST_TEST(ran == 0);
    ctx->cancel();
    until([&] { return ran == 2; });
    BOOST_TEST(!one.stop());
    AfterFunc late = after_func(ctx, [&] { ran++; });
    until([&] { return ran == 3; });
    BOOST_TEST(!late.stop());
    AfterFunc never = after_func(background(), [&] { ran += 100; });
    BOOST_TEST(never.stop());
    BOOST_TEST(!never.stop());
    for (int i = 0; i < 100; i++) yield();
    BOOST_TEST(ran == 3);
  });
}

BOOST_AUTO_TEST_CASE(after_func_runs_although_its_registration_and_the_context_in_between_are_dropped) {
  run([] {
    std::atomic<int> ran{0};
    ContextRef root = with_cancel(background());
    after_func(with_cancel(root), [&] { ran++; });
    root->cancel();
    until([&] { return ran > 0; });
    BOOST_TEST(ran == 1);
  });
}

BOOST_AUTO_TEST_CASE(after_func_drops_its_function_when_it_will_not_run) {
  auto alive = std::make_shared<int>(0);
  {
    AfterFunc stopped = after_func(with_cancel(background()), [alive] {});
    BOOST_TEST(alive.use_count() == 2);
    BOOST_TEST(stopped.stop());
    BOOST_TEST(alive.use_count() == 1);
    AfterFunc never = after_func(background(), [alive] {});
    BOOST_TEST(alive.use_count() == 2);
  }
  BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_deadline_starts_after_func_from_the_timer) {
  run([] {
    Chan<int> ran(1);
    ContextRef ctx = with_timeout(background(), kMillisecond);
    after_func(ctx, [=] { ran.send(1); });
    BOOST_TEST(ran.recv() == 1);
  });
}

BOOST_AUTO_TEST_CASE(keys_values_and_causes_are_destroyed_with_their_last_owner) {
  auto alive = std::make_shared<int>(0);
  run([&] {
    {
      ContextRef ctx = with_value(background(), owned(alive), owned(alive));
      ContextRef cancelled = with_cancel(ctx);
      ContextRef child = with_cancel(cancelled);
      cancelled->cancel(owned(alive));
      cancelled->cancel(owned(alive));  // too late
      with_deadline(ctx, kPast, owned(alive));
      BOOST_TEST(alive.use_count() == 1 + 2 + 1);
      Value cause = child->cause();
      cancelled = nullptr;
      child = nullptr;
      BOOST_TEST(alive.use_count() == 1 + 2 + 1);
      cause = Value();
      BOOST_TEST(alive.use_count() == 1 + 2);
    }
    BOOST_TEST(alive.use_count() == 1);
  });
}

BOOST_AUTO_TEST_CASE(a_long_chain_and_a_deep_tree_need_no_deep_stack) {
  run([] {
    ContextRef root = with_cancel(background()), ctx = root;
    for (int i = 0; i < 100'000; i++) ctx = with_value(ctx, Value::of(Key{i}), Value());
    for (int i = 0; i < 100'000; i++) ctx = with_cancel(ctx);
    root->cancel();
    BOOST_TEST(ended(ctx, Err::Canceled));
    ctx = nullptr;
  });
}

// Go: context/x_test.go TestSimultaneousCancels, TestInterlockedCancels
BOOST_AUTO_TEST_CASE(simultaneous_cancels_do_not_get_stuck) {
  run([] {
    ContextRef root = with_cancel(background());
    std::vector<ContextRef> all{root};
    for (size_t i = 0; i < 300; i++) all.push_back(with_cancel(all[i / 2]));
    WaitGroup cancelled, seen;
    for (auto& ctx : all) {
      cancelled.go([ctx] { ctx->cancel(); });
      seen.go([ctx] { wait_done(ctx); });
    }
    cancelled.wait();
    seen.wait();
    for (auto& ctx : all) BOOST_TEST(ended(ctx, Err::Canceled));
    for (auto& ctx : all) BOOST_TEST(ctx->children().empty());
  });
}

// Go: context/x_test.go TestContextErrDoneRace
BOOST_AUTO_TEST_CASE(err_and_done_never_contradict_each_other) {
  run([] {
    int wrong = 0;
    for (int i = 0; i < 500 * kRounds; i++) {
      ContextRef ctx = with_cancel(background());
      if (i % 2) ctx->done();
      std::atomic<bool> bad{false};
      WaitGroup wg;
      wg.go([ctx] { ctx->cancel(); });
      wg.go([&, ctx] {
        while (ctx->err() == Err::None) yield();
        bad = bad || !is_done(ctx);
      });
      wg.go([&, ctx] {
        wait_done(ctx);
        bad = bad || ctx->err() != Err::Canceled;
      });
      wg.wait();
      wrong += bad;
    }
    BOOST_TEST(wrong == 0);
  });
}

// Random trees that are built, cancelled, timed out and dropped by several parties at once.
// Go: context/x_test.go TestLayersTimeout
BOOST_AUTO_TEST_CASE(random_trees_survive_cancels_timeouts_and_drops_from_all_sides) {
  auto alive = std::make_shared<int>(0);
  run([&] {
    for (uint64_t seed = 1; seed <= uint64_t(2 * kRounds); seed++) {
      ContextRef root = with_cancel(background());
      std::atomic<int> started{0}, expected{0};
      WaitGroup wg;
      for (uint64_t k = 0; k < 6; k++) {
        wg.go([&, k] {
          Xorshift random(seed * 10 + k);
          std::vector<ContextRef> mine{root};
          for (int i = 0; i < 200; i++) {
            ContextRef ctx = mine[random.below(uint32_t(mine.size()))];
            switch (random.below(8)) {
              case 0: case 1: mine.push_back(with_cancel(ctx)); break;
              case 2: mine.push_back(with_value(ctx, owned(alive), owned(alive))); break;
              case 3: mine.push_back(with_timeout(ctx, random.below(2'000'000), owned(alive))); break;
              case 4: if (!(ctx == root)) ctx->cancel(owned(alive)); break;
              case 5: mine.erase(mine.begin() + ptrdiff_t(random.below(uint32_t(mine.size())))); break;
              case 6: {
                AfterFunc f = after_func(ctx, [&] { started++; });
                if (random.below(2) || !f.stop()) expected++;
                break;
              }
              case 7: (void)ctx->children(); break;
            }
            if (mine.empty()) mine.push_back(root);
            if (random.below(8) == 0) yield();
          }
        });
      }
      wg.wait();
      root->cancel();
      until([&] { return started == expected; });
      BOOST_TEST(root->children().empty());
    }
  });
  // A timer that is firing this moment still holds its context.
  until([&] { return alive.use_count() == 1; });
  BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_child_of_a_custom_context_follows_another_one_without_a_goroutine) {
  run([] {
    ContextRef followed = with_cancel(background());
    ContextRef root = context::custom({}, kForever);
    BOOST_TEST(!root->done());
    ContextRef child = with_cancel(with_value(root, Value::of(1), Value::of(2)), followed);
    ContextRef timed = with_deadline(root, deadline_after(3600 * kSecond), {}, followed);
    ContextRef below = with_cancel(child);
    BOOST_TEST(followed->children().size() == 2);
    timed->cancel();
    BOOST_TEST(followed->children().size() == 1);
    BOOST_TEST(*below->value(Value::of(1)).as<int>() == 2);
    followed->cancel(Value::of(7));
    for (const ContextRef& c : {child, below}) {
      BOOST_TEST((c->err() == Err::Canceled));
      BOOST_TEST(*c->cause().as<int>() == 7);
    }
    BOOST_TEST((root->err() == Err::None));
    BOOST_TEST((with_cancel(root, followed)->err() == Err::Canceled));   // born cancelled
  });
}

BOOST_AUTO_TEST_CASE(a_child_keeps_what_it_follows_and_leaves_it) {
  run([] {
    ContextRef root = context::custom({}, 5 * kSecond);
    BOOST_TEST(root->to_string() == "<nil>");
    ContextRef child = with_cancel(root, with_cancel(background()));
    BOOST_TEST(child->deadline() == 5 * kSecond);
    child->cancel({}, Err::DeadlineExceeded);
    BOOST_TEST((child->err() == Err::DeadlineExceeded));
    ContextRef followed = with_cancel(background());
    { ContextRef forgotten = with_cancel(root, followed); }
    BOOST_TEST(followed->children().empty());
  });
}

BOOST_AUTO_TEST_SUITE_END()
