// with_defer and the report of uncaught panics. Behaviours are those of Go's test/recover*.go, runtime/defer_test.go and crash_test.go.
#include <boost/test/unit_test.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include "../child.h"
#include "../waiting.h"
#include "gort/base/errors.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/defer.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

using Said = std::vector<std::string>;

std::string text(const std::exception_ptr& error) {
  if (!error) return "nil";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "?";
  }
}

// The first paragraph of what a goroutine prints that fn's exception leaves.
template <class F>
std::string report(F fn) {
  Ended child = in_child([&] {
    go(fn);
    Chan<int>(0).recv();
  });
  BOOST_TEST(child.status == 2);
  size_t end = child.error.find("\n\ngoroutine ");
  BOOST_TEST(end != std::string::npos, child.error);
  BOOST_TEST(child.error.ends_with(" [running]:\n"), child.error);
  return child.error.substr(0, end);
}

}  // namespace

#define TEST_SAID(said, ...)                                                                       \
  do {                                                                                             \
    Said expected{__VA_ARGS__};                                                                    \
    BOOST_TEST(said == expected, boost::test_tools::per_element());                                \
  } while (false)

BOOST_AUTO_TEST_SUITE(defer)

// Go: test/defer.go test1
BOOST_AUTO_TEST_CASE(deferred_calls_run_last_in_first_out_after_the_function) {
  std::string result;
  int value = with_defer([&](Defer& defer) {
    for (int i = 0; i < 10; i++) defer([&result, i] { result += std::to_string(i); });
    BOOST_TEST(result.empty());
    return 7;
  });
  BOOST_TEST(value == 7);
  BOOST_TEST(result == "9876543210");
}

// Go: test/recover.go test1
BOOST_AUTO_TEST_CASE(recover_stops_the_panic_once_and_later_calls_see_none) {
  Said said;
  with_defer([&](Defer& defer) {
    defer([&] { said.push_back(text(defer.recover())); });
    defer([&] {
      said.push_back(text(defer.recover()));
      said.push_back(text(defer.recover()));
    });
    throw Panic("1");
  });
  TEST_SAID(said, "1", "nil", "nil");
}

BOOST_AUTO_TEST_CASE(recover_gives_nothing_without_a_panic_or_outside_of_a_deferred_call) {
  Said said;
  with_defer([&](Defer& defer) {
    defer([&] { said.push_back(text(defer.recover())); });
    try {
      throw Panic("caught");
    } catch (const Panic&) {
      said.push_back(text(defer.recover()));
    }
  });
  TEST_SAID(said, "nil", "nil");
}

BOOST_AUTO_TEST_CASE(an_exception_that_nobody_recovers_goes_on_as_the_same_object) {
  std::exception_ptr original = std::make_exception_ptr(std::out_of_range("x")), seen;
  bool ran = false;
  try {
    with_defer([&](Defer& defer) {
      defer([&] { ran = true; });
      std::rethrow_exception(original);
    });
  } catch (const std::out_of_range&) {
    seen = std::current_exception();
  }
  BOOST_TEST(ran);
  BOOST_TEST((seen == original));
}

// Go: test/recover.go test5
BOOST_AUTO_TEST_CASE(a_recovered_function_returns_what_it_had_returned_or_nothing) {
  auto attempt = [](bool before, bool after) {
    return with_defer([&](Defer& defer) -> std::string {
      defer([&] { defer.recover(); });
      defer([&] { if (after) throw Panic("after"); });
      if (before) throw Panic("before");
      return "value";
    });
  };
  BOOST_TEST(attempt(false, false) == "value");
  BOOST_TEST(attempt(false, true) == "value");
  BOOST_TEST(attempt(true, false) == "");
}

BOOST_AUTO_TEST_CASE(any_exception_can_be_recovered) {
  bool recovered = false;
  with_defer([&](Defer& defer) {
    defer([&] { recovered = defer.recover() != nullptr; });
    throw 5;
  });
  BOOST_TEST(recovered);
}

BOOST_AUTO_TEST_CASE(what_was_deferred_may_be_movable_only_and_is_destroyed_when_it_has_run) {
  auto held = std::make_shared<int>(1);
  std::weak_ptr<int> watch = held;
  with_defer([&](Defer& defer) {
    defer([&] { BOOST_TEST(watch.expired()); });
    defer([own = std::make_unique<std::shared_ptr<int>>(std::move(held))] {});
    BOOST_TEST(!watch.expired());
  });
}

// Go: test/recover1.go test1, runtime/defer_test.go TestIssue43921
BOOST_AUTO_TEST_CASE(nested_panics_are_recovered_each_at_its_level) {
  Said said;
  with_defer([&](Defer& outer) {
    outer([&] { said.push_back(text(outer.recover())); });
    outer([&] {
      with_defer([&](Defer& inner) {
        inner([&] { said.push_back(text(inner.recover())); });
        throw Panic("2");
      });
    });
    throw Panic("1");
  });
  TEST_SAID(said, "2", "1");
}

// Go: test/recover1.go test2
BOOST_AUTO_TEST_CASE(a_deferred_call_may_recover_and_panic_again) {
  Said said;
  with_defer([&](Defer& defer) {
    defer([&] { said.push_back(text(defer.recover())); });
    defer([&] { said.push_back(text(defer.recover())); });
    defer([&] {
      said.push_back(text(defer.recover()));
      throw Panic("3");
    });
    throw Panic("2");
  });
  TEST_SAID(said, "2", "3", "nil");
}

// Go: runtime/defer_test.go TestAbortedPanic
BOOST_AUTO_TEST_CASE(a_newer_panic_takes_the_place_of_the_older) {
  Said said;
  with_defer([&](Defer& defer) {
    defer([&] { said.push_back(text(defer.recover())); });
    defer([&] { said.push_back(text(defer.recover())); });
    defer([] { throw Panic("panic2"); });
    throw Panic("panic1");
  });
  TEST_SAID(said, "panic2", "nil");
}

// Go: runtime/defer_test.go TestRecoverMatching
BOOST_AUTO_TEST_CASE(a_nested_function_does_not_see_the_panic_of_the_outer_one) {
  Said said;
  with_defer([&](Defer& outer) {
    outer([&] { said.push_back(text(outer.recover())); });
    outer([&] { with_defer([&](Defer& inner) { inner([&] { said.push_back(text(inner.recover())); }); }); });
    throw Panic("panic1");
  });
  TEST_SAID(said, "nil", "panic1");
}

BOOST_AUTO_TEST_CASE(thousands_of_deferred_panics_leave_the_last) {
  BOOST_TEST(text_of<Panic>([] {
    with_defer([](Defer& defer) {
      for (int i = 0; i < 10'000; i++) defer([i] { throw Panic(std::to_string(i)); });
    });
  }) == "0");
}

BOOST_AUTO_TEST_CASE(fatal_errors_are_not_recovered_but_deferred_calls_run) {
  Said said;
  BOOST_TEST(text_of<Fatal>([&] {
    with_defer([&](Defer& defer) {
      defer([&] { said.push_back(text(defer.recover())); });
      throw Fatal("unlock of unlocked mutex");
    });
  }) == "unlock of unlocked mutex");
  TEST_SAID(said, "nil");
}

// Go: runtime/crash_test.go TestGoexitDefer, TestGoexitInPanic
BOOST_AUTO_TEST_CASE(a_goexit_runs_deferred_calls_cannot_be_recovered_and_aborts_a_panic) {
  run([] {
    Said said;
    WaitGroup wg;
    wg.go([&] {
      with_defer([&](Defer& defer) {
        defer([&] { said.push_back(text(defer.recover())); });
        defer([] { goexit(); });
        throw Panic("hello");
      });
      said.push_back("not reached");
    });
    wg.wait();
    TEST_SAID(said, "nil");
  });
}

// Go: runtime/crash_test.go TestRecoveredPanicAfterGoexit
BOOST_AUTO_TEST_CASE(a_panic_recovered_in_a_deferred_call_leaves_the_goexit) {
  run([] {
    Said said;
    WaitGroup wg;
    wg.go([&] {
      with_defer([&](Defer& outer) {
        outer([&] {
          with_defer([&](Defer& inner) {
            inner([&] { said.push_back(text(inner.recover())); });
            throw Panic("hello");
          });
          said.push_back("after");
        });
        goexit();
      });
      said.push_back("not reached");
    });
    wg.wait();
    TEST_SAID(said, "hello", "after");
  });
}

// Go: runtime/crash_test.go TestRecoverBeforePanicAfterGoexit, TestRecoverBeforePanicAfterGoexit2
BOOST_AUTO_TEST_CASE(a_goexit_goes_on_after_a_panic_over_it_was_recovered_here_or_further_out) {
  run([] {
    Said said;
    WaitGroup wg;
    wg.go([&] {
      with_defer([&](Defer& defer) {
        defer([&] { said.push_back(text(defer.recover())); });
        defer([&] { said.push_back(text(defer.recover())); });
        defer([] { throw Panic("hello"); });
        goexit();
      });
      said.push_back("not reached");
    });
    wg.wait();
    wg.go([&] {
      with_defer([&](Defer& outer) {
        outer([&] { said.push_back(text(outer.recover())); });
        with_defer([&](Defer& inner) {
          inner([] { throw Panic("further out"); });
          goexit();
        });
      });
      said.push_back("not reached");
    });
    wg.wait();
    TEST_SAID(said, "hello", "nil", "further out");
  });
}

BOOST_AUTO_TEST_CASE(a_goexit_below_an_exception_that_somebody_caught_is_over_with_it) {
  run([] {
    Said said;
    WaitGroup wg;
    wg.go([&] {
      try {
        with_defer([&](Defer& defer) {
          defer([] { throw Panic("caught"); });
          goexit();
        });
      } catch (const Panic&) {
      }
      with_defer([&](Defer& defer) {
        defer([&] { said.push_back(text(defer.recover())); });
        throw Panic("another");
      });
      said.push_back("reached");
    });
    wg.wait();
    TEST_SAID(said, "another", "reached");
  });
}

BOOST_AUTO_TEST_CASE(deferred_calls_may_park_while_others_panic) {
  run([] {
    Chan<int> ch(0);
    Said said;
    WaitGroup wg;
    for (int i = 0; i < 20; i++) {
      wg.go([&, i] {
        with_defer([&](Defer& defer) {
          defer([&] {
            ch.recv();
            std::string mine = text(defer.recover());
            if (mine != std::to_string(i)) throw Fatal("somebody else's panic: " + mine);
          });
          throw Panic(std::to_string(i));
        });
      });
    }
    for (int i = 0; i < 20; i++) ch.send(i);
    wg.wait();
  });
}

// Go: runtime/crash_test.go TestMainGoroutineID
BOOST_AUTO_TEST_CASE(an_uncaught_panic_is_reported) {
  BOOST_TEST(report([] { throw Panic("test\nline"); }) == "panic: test\n\tline");
}

BOOST_AUTO_TEST_CASE(an_uncaught_fatal_error_is_called_so) {
  BOOST_TEST(report([] { throw Fatal("sync: unlock of unlocked mutex"); }) == "fatal error: sync: unlock of unlocked mutex");
}

// Go: runtime/crash_test.go TestRecursivePanic4
BOOST_AUTO_TEST_CASE(a_recovered_panic_before_the_uncaught_one_is_marked) {
  BOOST_TEST(report([] {
    with_defer([](Defer& defer) {
      defer([&] {
        defer.recover();
        throw Panic("second panic");
      });
      throw Panic("first panic");
    });
  }) == "panic: first panic [recovered]\n\tpanic: second panic");
}

// Go: runtime/crash_test.go TestRepanickedMiddlePanic
BOOST_AUTO_TEST_CASE(a_panic_thrown_again_is_printed_once) {
  BOOST_TEST(report([] {
    with_defer([](Defer& outer) {
      outer([&] {
        outer.recover();
        throw Panic("outer");
      });
      with_defer([](Defer& middle) {
        middle([&] { std::rethrow_exception(middle.recover()); });
        with_defer([](Defer& inner) {
          inner([&] {
            inner.recover();
            throw Panic("middle");
          });
          throw Panic("inner");
        });
      });
    });
  }) == "panic: inner [recovered]\n\tpanic: middle [recovered, repanicked]\n\tpanic: outer");
}

// Go: runtime/crash_test.go TestPanicAfterGoexit
BOOST_AUTO_TEST_CASE(a_panic_after_a_goexit_is_reported_without_it) {
  BOOST_TEST(report([] {
    with_defer([](Defer& defer) {
      defer([] { throw Panic("hello"); });
      goexit();
    });
  }) == "panic: hello");
}

BOOST_AUTO_TEST_SUITE_END()
