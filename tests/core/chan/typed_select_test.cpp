// select(recv(a, &x), send(b, v), otherwise): the typed face. What a select does at all is in select_test.cpp.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "gort/base/errors.h"
#include "gort/chan/typed_select.h"
#include "gort/context/context.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(typed_select)

BOOST_AUTO_TEST_CASE(the_arm_that_is_ready_happens_and_its_number_is_returned) {
  run([] {
    Chan<int> a(1), b(1);
    int x = 5;
    bool ok = false;
    BOOST_TEST(select(recv(a, &x), send(b, 7), otherwise) == 1);
    BOOST_TEST(x == 5);
    BOOST_TEST(b.recv() == 7);
    a.send(3);
    b.send(8);
    BOOST_TEST(select(recv(a, &x, &ok), send(b, 7)) == 0);
    BOOST_TEST(x == 3);
    BOOST_TEST(ok);
    BOOST_TEST(select(recv(a, &x), send(b, 7), otherwise) == -1);
    BOOST_TEST(select(otherwise) == -1);
    BOOST_TEST(select_until(kPast, recv(a), send(b, 7)) == -1);
  });
}

BOOST_AUTO_TEST_CASE(an_arm_may_be_waited_for) {
  run([] {
    Chan<int> a(0), b(0), gone(0);
    go([=] { a.send(1); });
    int x = 0;
    BOOST_TEST(select(recv(a, &x), recv(b, &x)) == 0);
    BOOST_TEST(x == 1);
    go([=] { gone.send(b.recv()); });
    BOOST_TEST(select(recv(a, &x), send(b, 2)) == 1);
    BOOST_TEST(gone.recv() == 2);
  });
}

BOOST_AUTO_TEST_CASE(a_closed_channel_gives_zero_nothing_or_not_ok) {
  run([] {
    Chan<int> closed(0);
    closed.close();
    int x = 5;
    bool ok = true;
    std::optional<int> maybe = 5;
    BOOST_TEST(select(recv(closed, &x, &ok)) == 0);
    BOOST_TEST(x == 0);
    BOOST_TEST(!ok);
    BOOST_TEST(select(recv(closed, &maybe), otherwise) == 0);
    BOOST_TEST(!maybe.has_value());
    BOOST_TEST(select(recv(closed)) == 0);
    BOOST_TEST(text_of<Panic>([&] { select(send(closed, 1), otherwise); }) == "send on closed channel");
  });
}

BOOST_AUTO_TEST_CASE(a_nil_channel_never_happens) {
  run([] {
    Chan<int> nil;
    int x = 5;
    BOOST_TEST(select(recv(nil, &x), send(nil, 1), recv(TimerChan()), otherwise) == -1);
    BOOST_TEST(x == 5);
  });
}

BOOST_AUTO_TEST_CASE(values_that_own_something_end_in_one_place) {
  auto alive = std::make_shared<std::string>("a value");
  run([&] {
    Chan<std::shared_ptr<std::string>> a(1), b(1);
    std::shared_ptr<std::string> got;
    std::optional<std::shared_ptr<std::string>> maybe;
    BOOST_TEST(select(send(a, alive), recv(b, &got)) == 0);
    BOOST_TEST(alive.use_count() == 2);
    BOOST_TEST(select(send(a, alive), send(a, alive), otherwise) == -1);
    BOOST_TEST(alive.use_count() == 2);   // what was not sent is destroyed
    BOOST_TEST(select(recv(b, &got), recv(a, &got)) == 1);
    BOOST_TEST(got == alive);
    BOOST_TEST(alive.use_count() == 2);
    a.send(std::move(got));
    BOOST_TEST(select(recv(a, &maybe)) == 0);
    BOOST_TEST(alive.use_count() == 2);
    a.send(std::move(*maybe));
    maybe.reset();
    BOOST_TEST(select(recv(a)) == 0);     // dropped
    BOOST_TEST(alive.use_count() == 1);
    b.close();
    BOOST_TEST(text_of<Panic>([&] { select(send(b, alive)); }) == "send on closed channel");
  });
  BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(contexts_and_timers_are_arms_too) {
  run([] {
    ContextRef ctx = context::with_cancel(context::background());
    Chan<std::unique_ptr<int>> results(0);
    std::unique_ptr<int> result;
    TimerChan never = after(3600 * kSecond), soon = after(kMillisecond);
    double when = 0;
    BOOST_TEST(select(recv(results, &result), recv(ctx->done()), recv(never), recv(soon, &when)) == 3);
    BOOST_TEST(when > 0);
    ctx->cancel();
    BOOST_TEST(select(recv(results, &result), recv(ctx->done()), recv(never)) == 1);
    go([=] { results.send(std::make_unique<int>(42)); });
    BOOST_TEST(select_until(deadline_after(3600 * kSecond), recv(results, &result), recv(never)) == 0);
    BOOST_TEST(*result == 42);
  });
}

BOOST_AUTO_TEST_CASE(a_wait_that_the_runtime_ends_throws_and_sends_nothing) {
  auto kept = std::make_shared<int>(1);
  run([&] {
    Chan<std::shared_ptr<int>> ch(0);
    std::atomic<G*> waiter{nullptr};
    bool interrupted = false;
    WaitGroup wg;
    wg.go([&] {
      waiter = current();
      try {
        select(send(ch, kept), recv(Chan<int>()));
      } catch (const Interrupted&) {
        interrupted = true;
      }
    });
    until([&] { return ch.ref()->waiting_senders() == 1; });
    interrupt(waiter);
    wg.wait();
    BOOST_TEST(interrupted);
    BOOST_TEST(ch.ref()->waiting_senders() == 0u);
    BOOST_TEST(kept.use_count() == 1);
  });
}

BOOST_AUTO_TEST_SUITE_END()
