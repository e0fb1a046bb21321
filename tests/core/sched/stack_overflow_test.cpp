#include <boost/test/unit_test.hpp>

#include <signal.h>

#include <cstring>
#include <regex>
#include <thread>

#include "../child.h"
#include "gort/base/tier.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"

using namespace gort;
using gort::testing::Ended;
using gort::testing::in_child;

namespace {

[[gnu::noinline]] int deep(const volatile char* above) {
  volatile char here[200];
  here[0] = char(*above + 1);
  return here[0] == 0 && *above == 0 ? 0 : deep(here) + here[0];   // never both
}

int overflow() {
  volatile char first = 0;
  return deep(&first);
}

void touch_nothing() {
  volatile int* volatile nowhere = nullptr;   // the optimiser is not to know
  *nowhere = 1;
}

void handle_with(void (*handler)(int)) { signal(SIGSEGV, handler); }

}  // namespace

namespace utf = boost::unit_test;

// AddressSanitizer handles faults by itself, and gort keeps out of its way.
BOOST_AUTO_TEST_SUITE(stack_overflow_, *utf::enable_if<!kAddressSanitizer>())

BOOST_AUTO_TEST_CASE(it_is_reported_as_go_words_it_with_the_goroutine_and_ends_the_process_with_status_2) {
  Ended child = in_child([] {
    run([] {
      std::fprintf(stderr, "%d\n", int(goroutine_id()));
      overflow();
    });
  });
  BOOST_TEST(child.status == 2);
  std::smatch found;
  std::regex text(
      "(\\d+)\n"
      "runtime: goroutine stack exceeds (\\d+)-byte limit\n"
      "runtime: sp=0x[0-9a-f]+ stack=\\[0x[0-9a-f]+, 0x[0-9a-f]+\\]\n"
      "fatal error: stack overflow\n\n"
      "goroutine (\\d+) \\[running\\]:\n");
  BOOST_TEST_REQUIRE(std::regex_match(child.error, found, text), child.error);
  BOOST_TEST(found[1] == found[3]);
  BOOST_TEST(std::stol(found[2]) >= 256 * 1024);
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_parked_before_and_moved_is_named_too) {
  Ended child = in_child([] {
    run([] {
      for (int i = 0; i < 100; i++) go([] { for (;;) yield(); });
      for (int i = 0; i < 1000; i++) yield();
      std::fprintf(stderr, "goroutine %d [running]:\n", int(goroutine_id()));
      overflow();
    });
  });
  BOOST_TEST(child.status == 2);
  std::string name = child.error.substr(0, child.error.find('\n') + 1);
  BOOST_TEST(child.error.ends_with("fatal error: stack overflow\n\n" + name), child.error);
}

BOOST_AUTO_TEST_CASE(another_fault_in_a_goroutine_goes_to_the_handler_that_was_there_before) {
  Ended child = in_child([] {
    handle_with([](int) { _exit(7); });
    run([] { touch_nothing(); });
  });
  BOOST_TEST(child.status == 7);
  BOOST_TEST(child.error == "");
}

BOOST_AUTO_TEST_CASE(a_handler_of_three_arguments_gets_the_address_of_the_fault) {
  Ended child = in_child([] {
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* info, void*) { _exit(info->si_addr == nullptr ? 7 : 8); };
    sigaction(SIGSEGV, &action, nullptr);
    run([] { touch_nothing(); });
  });
  BOOST_TEST(child.status == 7);
}

BOOST_AUTO_TEST_CASE(without_a_handler_a_fault_ends_the_process_by_the_signal) {
  BOOST_TEST(in_child([] { handle_with(SIG_DFL), run([] { touch_nothing(); }); }).signal == SIGSEGV);
}

BOOST_AUTO_TEST_CASE(without_a_handler_a_signal_that_was_sent_ends_the_process_by_the_signal) {
  BOOST_TEST(in_child([] { handle_with(SIG_DFL), run([] { raise(SIGSEGV); }); }).signal == SIGSEGV);
}

BOOST_AUTO_TEST_CASE(an_ignored_signal_that_was_sent_stays_ignored) {
  BOOST_TEST(in_child([] { handle_with(SIG_IGN), run([] { raise(SIGSEGV); }); }).status == 0);
}

BOOST_AUTO_TEST_CASE(an_alternate_stack_that_a_thread_has_already_is_left_alone) {
  char own[64 * 1024];
  stack_t after{};
  std::thread([&] {
    stack_t mine{};
    mine.ss_sp = own;
    mine.ss_size = sizeof(own);
    sigaltstack(&mine, nullptr);
    current();
    sigaltstack(nullptr, &after);
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    sigaltstack(&none, nullptr);
  }).join();
  BOOST_TEST(after.ss_sp == static_cast<void*>(own));
}

BOOST_AUTO_TEST_SUITE_END()
