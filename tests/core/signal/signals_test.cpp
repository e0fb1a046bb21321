#include <boost/test/unit_test.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "../waiting.h"
#include "gort/signal/signals.h"

using namespace gort;
using gort::testing::until;

namespace {

std::atomic<signals::Set> seen{0};
std::atomic<int> handled{0};

void collect() { seen.fetch_or(signals::take_pending()); }

struct Fixture {
  Fixture() {
    signals::set_sink(collect);
    seen = 0;
    handled = 0;
    signal(SIGUSR1, [](int) { handled.fetch_add(1); });
  }
  ~Fixture() {
    for (int number : {SIGUSR1, SIGUSR2}) {
      signals::give_back(number);
      signal(number, SIG_DFL);
    }
  }
};

void (*handler_of(int number))(int) {
  struct sigaction present;
  sigaction(number, nullptr, &present);
  return present.sa_handler;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(signals_, Fixture)

BOOST_AUTO_TEST_CASE(a_signal_that_came_is_told_and_its_default_action_does_not_happen) {
  signals::take(SIGUSR2, true);
  kill(getpid(), SIGUSR2);
  until([] { return seen.load() == signals::bit(SIGUSR2); });
  BOOST_TEST(signals::take_pending() == 0u);
}

BOOST_AUTO_TEST_CASE(the_handler_that_was_there_before_is_called_if_the_signal_is_passed_on) {
  signals::take(SIGUSR1, true);
  raise(SIGUSR1);
  BOOST_TEST(handled == 1);
  until([] { return seen.load() == signals::bit(SIGUSR1); });
  signals::take(SIGUSR1, false);
  raise(SIGUSR1);
  BOOST_TEST(handled == 1);
}

BOOST_AUTO_TEST_CASE(no_signal_is_lost_however_they_race_with_the_sink) {
  signals::take(SIGUSR1, false);
  signals::take(SIGUSR2, false);
  for (int i = 0; i < 2000; i++) {
    int number = i % 2 ? SIGUSR1 : SIGUSR2;
    seen.fetch_and(~signals::bit(number));
    raise(number);
    if (i % 3 == 0) continue;   // the next round finds it on its way, or come
    until([&] { return (seen.load() & signals::bit(number)) != 0; });
  }
  until([] { return seen.load() == (signals::bit(SIGUSR1) | signals::bit(SIGUSR2)); });
  BOOST_TEST(handled == 0);
}

BOOST_AUTO_TEST_CASE(given_back_it_does_what_it_did_before) {
  auto before = handler_of(SIGUSR1);
  signals::take(SIGUSR1, false);
  signals::take(SIGUSR1, false);
  signals::give_back(SIGUSR1);
  BOOST_TEST((handler_of(SIGUSR1) == before));
  raise(SIGUSR1);
  BOOST_TEST(handled == 1);
  BOOST_TEST(signals::take_pending() == 0u);
}

BOOST_AUTO_TEST_CASE(ignored_it_reaches_nobody_until_it_is_given_back_or_taken) {
  auto before = handler_of(SIGUSR1);
  signals::ignore(SIGUSR1);
  raise(SIGUSR1);
  BOOST_TEST(handled == 0);
  signals::take(SIGUSR1, true);
  raise(SIGUSR1);
  BOOST_TEST(handled == 1);
  until([] { return seen.load() == signals::bit(SIGUSR1); });
  signals::ignore(SIGUSR1);
  signals::give_back(SIGUSR1);
  BOOST_TEST((handler_of(SIGUSR1) == before));
}

BOOST_AUTO_TEST_CASE(a_handler_that_the_program_installs_over_ours_stays_when_the_signal_is_given_back) {
  signals::take(SIGUSR2, false);
  auto mine = +[](int) { handled.fetch_add(100); };
  signal(SIGUSR2, mine);
  signals::give_back(SIGUSR2);
  BOOST_TEST((handler_of(SIGUSR2) == mine));
}

BOOST_AUTO_TEST_CASE(what_is_changed_between_lower_and_lift_is_what_the_signal_is_passed_on_to) {
  signals::take(SIGUSR1, true);
  signals::lower(SIGUSR1);
  signal(SIGUSR1, [](int) { handled.fetch_add(10); });
  signals::lift(SIGUSR1);
  raise(SIGUSR1);
  BOOST_TEST(handled == 10);
  until([] { return seen.load() == signals::bit(SIGUSR1); });
}

BOOST_AUTO_TEST_CASE(signals_of_faults_and_those_nobody_can_catch_cannot_be_taken) {
  for (int number : {0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGURG, 32}) BOOST_TEST(!signals::can_be_taken(number));
  for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGCHLD, SIGWINCH, SIGRTMIN, SIGRTMAX})
    BOOST_TEST(signals::can_be_taken(number));
}

BOOST_AUTO_TEST_SUITE_END()
