// Once. Behaviours are those of Go's sync/once_test.go.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <stdexcept>

#include "../waiting.h"
#include "gort/sched/go.h"
#include "gort/sync/once.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(once)

// Go: sync/once_test.go TestOnce
BOOST_AUTO_TEST_CASE(many_callers_run_the_function_once_and_all_see_it_done) {
  run([] {
    Once once;
    int value = 0;
    std::atomic<int> too_early{0};
    WaitGroup wg;
    for (int i = 0; i < 10; i++) {
      wg.go([&] {
        once.do_([&] {
          yield();
          value++;
        });
        too_early += value != 1;
      });
    }
    wg.wait();
    BOOST_TEST(value == 1);
    BOOST_TEST(too_early == 0);
  });
}

// Go: sync/once_test.go TestOncePanic
BOOST_AUTO_TEST_CASE(a_call_that_throws_counts_and_only_its_caller_sees_it) {
  run([] {
    Once once;
    BOOST_TEST(text_of<std::runtime_error>([&] { once.do_([] { throw std::runtime_error("failed"); }); }) == "failed");
    bool again = false;
    once.do_([&] { again = true; });
    BOOST_TEST(!again);
    BOOST_TEST(once.is_done());
  });
}

BOOST_AUTO_TEST_CASE(a_caller_that_gives_up_does_not_spoil_it) {
  run([] {
    Once once;
    Once::Begun first = once.begin();
    BOOST_TEST((first.outcome == Outcome::Fired && first.first));
    Once::Begun late = once.begin(soon());
    BOOST_TEST((late.outcome == Outcome::TimedOut && !late.first));
    once.finish();
    Once::Begun after = once.begin(kPast);
    BOOST_TEST((after.outcome == Outcome::Fired && !after.first));
  });
}

BOOST_AUTO_TEST_SUITE_END()
