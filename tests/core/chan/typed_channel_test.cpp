// Chan<T>: the typed face.
#include <boost/test/unit_test.hpp>

#include <memory>
#include <string>
#include <vector>

#include "gort/base/errors.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(typed_channel)

BOOST_AUTO_TEST_CASE(the_example_of_go_h_compiles_and_runs) {
  int got = 0;
  gort::run([&] {
    gort::Chan<int> ch(0);
    gort::go([=] { ch.send(42); });
    got = ch.recv();
  });
  BOOST_TEST(got == 42);
}

// test/range.go
BOOST_AUTO_TEST_CASE(a_range_loop_ends_at_close) {
  run([] {
    Chan<int> ch(3);
    go([=] {
      for (int i = 0; i < 10; i++) ch.send(i);
      ch.close();
    });
    std::vector<int> got;
    for (int v : ch) got.push_back(v);
    BOOST_TEST(got == (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), boost::test_tools::per_element());
    BOOST_TEST(ch.recv() == 0);
    BOOST_TEST(!ch.recv_ok().has_value());
  });
}

BOOST_AUTO_TEST_CASE(owning_values_move_through_and_are_freed_wherever_they_end) {
  auto alive = std::make_shared<int>(1);
  run([&] {
    Chan<std::shared_ptr<int>> ch(2);
    ch.send(alive);
    ch.send(alive);
    BOOST_TEST(alive.use_count() == 3);
    BOOST_TEST(!ch.try_send(alive));
    BOOST_TEST(!ch.send_until(alive, kPast));
    BOOST_TEST(alive.use_count() == 3);  // what was not sent is destroyed here
    BOOST_TEST(*ch.recv() == 1);
    BOOST_TEST(alive.use_count() == 2);
    std::optional<std::shared_ptr<int>> v;
    BOOST_TEST((ch.try_recv(&v) == TryReceived::Value));
    ch.send(alive);
    ch.close();
    BOOST_TEST(text_of<Panic>([&] { ch.send(alive); }) == "send on closed channel");
  });
  BOOST_TEST(alive.use_count() == 1);

  run([] {
    Chan<std::unique_ptr<std::string>> ch(0);
    go([=] {
      ch.send(std::make_unique<std::string>("a text that is too long for the small string buffer"));
      ch.close();
    });
    BOOST_TEST(ch.recv()->size() == 51u);
    BOOST_TEST(!ch.recv());
  });
}

BOOST_AUTO_TEST_CASE(a_nil_chan_is_never_ready) {
  run([] {
    Chan<int> ch;
    std::optional<int> v;
    BOOST_TEST(!ch.try_send(1));
    BOOST_TEST((ch.try_recv(&v) == TryReceived::WouldBlock));
    BOOST_TEST(!ch.send_until(1, kPast));
    BOOST_TEST(!ch.recv_until(&v, soon()));
    BOOST_TEST(ch.len() == 0);
    BOOST_TEST(ch.cap() == 0);
    BOOST_TEST(text_of<Panic>([&] { ch.close(); }) == "close of nil channel");
  });
}

BOOST_AUTO_TEST_CASE(recv_until_tells_a_deadline_from_a_value_and_from_close) {
  run([] {
    Chan<int> ch(1);
    std::optional<int> v = 5;
    BOOST_TEST(!ch.recv_until(&v, soon()));
    BOOST_TEST(*v == 5);
    ch.send(6);
    BOOST_TEST(ch.recv_until(&v, soon()));
    BOOST_TEST(*v == 6);
    ch.close();
    BOOST_TEST(ch.recv_until(&v, soon()));
    BOOST_TEST(!v.has_value());
  });
}

BOOST_AUTO_TEST_CASE(a_channel_of_channels_carries_replies) {
  run([] {
    struct Request {
      int argument;
      Chan<int>* reply;
    };
    Chan<Request> requests(0);
    go([=] {
      for (Request r : requests) r.reply->send(r.argument * 2);
    });
    for (int i = 0; i < 100; i++) {
      Chan<int> reply(0);
      requests.send({i, &reply});
      BOOST_REQUIRE(reply.recv() == 2 * i);
    }
    requests.close();

    Chan<Chan<int>> of_chans(1);
    Chan<int> inner(1);
    of_chans.send(inner);
    BOOST_TEST((of_chans.recv() == inner));
  });
}

// test/chan/sieve1.go
BOOST_AUTO_TEST_CASE(the_concurrent_prime_sieve_finds_primes) {
  run([] {
    Chan<int> numbers(0);
    go([=] {
      for (int i = 2; i < 200; i++) numbers.send(i);
      numbers.close();
    });
    std::vector<int> primes;
    Chan<int> from = numbers;
    for (;;) {
      std::optional<int> prime = from.recv_ok();
      if (!prime) break;
      primes.push_back(*prime);
      Chan<int> to(0);
      go([from, to, p = *prime] {
        for (int v : from) {
          if (v % p != 0) to.send(v);
        }
        to.close();
      });
      from = to;
    }
    BOOST_TEST(primes.size() == 46u);
    BOOST_TEST(primes.back() == 199);
  });
}

BOOST_AUTO_TEST_CASE(an_interrupted_wait_throws) {
  run([] {
    Chan<int> ch(0);
    std::atomic<G*> waiter{nullptr};
    std::atomic<bool> interrupted{false};
    WaitGroup wg;
    wg.go([&] {
      waiter = current();
      try {
        ch.recv();
      } catch (const Interrupted&) {
        interrupted = true;
      }
    });
    until([&] { return ch.ref()->waiting_receivers() == 1; });
    interrupt(waiter);
    wg.wait();
    BOOST_TEST(interrupted);
  });
}

BOOST_AUTO_TEST_SUITE_END()
