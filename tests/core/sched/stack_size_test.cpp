#include <boost/test/unit_test.hpp>

#include <atomic>

#include <stdexcept>

#include "../child.h"
#include "../waiting.h"
#include "gort/base/tier.h"
#include "gort/chan/typed_channel.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using gort::testing::text_of;
using gort::testing::until;

namespace {

StackPool& stacks() { return Runtime::get().native().stacks(); }

// Uses about `kilobytes` of stack.
[[gnu::noinline]] int deep(int kilobytes, const volatile char* above) {
  volatile char here[1024];
  here[0] = char(*above + 1);
  return kilobytes == 0 ? here[0] : deep(kilobytes - 1, here) + here[0];
}

int use(int kilobytes) {
  volatile char first = 0;
  return deep(kilobytes, &first);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(stack_size_)

BOOST_AUTO_TEST_CASE(a_goroutine_may_have_a_stack_of_its_own_size) {
  run([] {
    WaitGroup wg;
    wg.add(1);
    go({.stack_size = size_t(64) << 20}, [&] {
      use(20'000);
      wg.done();
    });
    wg.wait();
  });
  until([] { return stacks().usage().own == 0; });
}

BOOST_AUTO_TEST_CASE(many_of_them_come_and_go_among_usual_ones) {
  run([] {
    WaitGroup wg;
    for (int i = 0; i < 200; i++) {
      wg.add(1);
      size_t size = i % 2 ? size_t(256 + i) << 10 : 0;
      go({.stack_size = size}, [&] {
        yield();
        use(100);
        wg.done();
      });
    }
    wg.wait();
  });
  until([] { return stacks().usage().own == 0; });
}

BOOST_AUTO_TEST_CASE(a_gigabyte_is_reserved_and_not_used) {
  run([] {
    std::atomic<bool> done{false};
    go({.stack_size = kMostStack}, [&] { done = true; });
    until([&] { return done.load(); });
  });
  BOOST_TEST(true);   // it would not fit into memory
}

BOOST_AUTO_TEST_CASE(a_size_out_of_range_is_named_and_nothing_is_started) {
  int64_t before = (current(), num_goroutine());
  BOOST_TEST(text_of<std::invalid_argument>([] { go({.stack_size = 100}, [] {}); }) ==
             "go: the stack size must be from 16384 to 1073741824 bytes, got 100");
  BOOST_TEST(text_of<std::invalid_argument>([] { stack_size(kMostStack + 1); }) ==
             "stack_size: the stack size must be from 16384 to 1073741824 bytes, got 1073741825");
  BOOST_TEST(num_goroutine() <= before);   // the last of another case may have ended
}

BOOST_AUTO_TEST_CASE(stack_size_holds_for_goroutines_that_are_started_from_now_on) {
  size_t before = stack_size();
  run([] { go([] {}); });   // one that is kept with a stack of the former size
  BOOST_TEST(stack_size(size_t(8) << 20) == before);
  run([] { use(6'000); });
  BOOST_TEST(stack_size(before) == size_t(8) << 20);
  BOOST_TEST(stack_size() == before);
  run([] { use(100); });
}

BOOST_AUTO_TEST_CASE(an_overflow_tells_the_size_of_the_goroutines_own_stack, *boost::unit_test::enable_if<!kAddressSanitizer>()) {
  testing::Ended child = testing::in_child([] {
    run([] {
      go({.stack_size = size_t(1) << 20}, [] { use(2'000); });
      for (;;) yield();
    });
  });
  BOOST_TEST(child.status == 2);
  BOOST_TEST(child.error.starts_with("runtime: goroutine stack exceeds 1044480-byte limit\n"), child.error);
}

BOOST_AUTO_TEST_CASE(memory_of_stacks_that_nobody_needs_for_long_is_given_back) {
  Lane& lane = Runtime::get().native();
  int procs = gomaxprocs(1);   // each P keeps a few warm ones
  run([] {
    WaitGroup wg;
    for (int i = 0; i < 500; i++) {
      wg.go([] {
        use(60);
        yield();
      });
    }
    wg.wait();
  });
  size_t used = stacks().usage().resident;
  lane.cool_stacks();   // the interval begins
  lane.cool_stacks();
  BOOST_TEST(stacks().usage().resident < used / 2);
  run([] {   // and they work as before
    WaitGroup wg;
    for (int i = 0; i < 500; i++) wg.go([] { use(60); });
    wg.wait();
  });
  gomaxprocs(procs);
}

BOOST_AUTO_TEST_CASE(the_monitor_gives_it_back_also_when_nothing_runs) {
  Options& options = Runtime::get().options;
  options.stack_idle = 20 * kMillisecond;
  int procs = gomaxprocs(1);
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 500; i++) {
      wg.go([] {
        use(60);
        yield();
      });
    }
    wg.wait();
  });
  // The main thread only looks; no goroutine runs.
  while (stacks().usage().resident > (size_t(200) * 60 << 10)) {}
  gomaxprocs(procs);
  options.stack_idle = Options{}.stack_idle;
}

BOOST_AUTO_TEST_CASE(goroutines_that_wait_for_long_give_back_what_lies_below_their_stack_pointers) {
  static constexpr size_t kWaiting = 500, kKilobytes = 100, kUsed = kWaiting * kKilobytes << 10;
  Options& options = Runtime::get().options;
  std::atomic<size_t> waiting{0}, intact{0};
  run([&] {
    Chan<int> gate(0);
    WaitGroup wg;
    for (size_t i = 0; i < kWaiting; i++) {
      wg.go([&, i, gate]() mutable {
        volatile char mine[3000];   // over a page boundary in one of two
        for (size_t k = 0; k < sizeof mine; k++) mine[k] = char(i + k);
        use(kKilobytes);
        waiting++;
        gate.recv();
        bool same = true;
        for (size_t k = 0; k < sizeof mine; k++) same = same && mine[k] == char(i + k);
        use(kKilobytes);
        intact += same;
      });
    }
    until([&] { return waiting == kWaiting; });
    BOOST_TEST(stacks().usage().resident > kUsed / 2);
    options.stack_idle = 20 * kMillisecond;
    until([] { return stacks().usage().resident < kUsed / 4; });
    gate.close();
    wg.wait();
  });
  options.stack_idle = Options{}.stack_idle;
  BOOST_TEST(intact == kWaiting);
}

// Each of them waits and goes on while it is being looked at.
BOOST_AUTO_TEST_CASE(cooling_harms_nobody_who_wakes_meanwhile) {
  Options& options = Runtime::get().options;
  options.stack_idle = 1;
  std::atomic<int> wrong{0};
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 100; i++) {
      wg.go([&, i] {
        for (int turn = 0; turn < 20 * gort::testing::kRounds; turn++) {
          int before = use(40);
          sleep_until(deadline_after((i + turn) % 7 * 30 * kMicrosecond));
          wrong += use(40) != before;
        }
      });
    }
    wg.wait();
  });
  options.stack_idle = Options{}.stack_idle;
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
