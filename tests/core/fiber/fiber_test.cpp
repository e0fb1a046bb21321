#include <boost/test/unit_test.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cfenv>
#include <set>
#include <string>

#include "gort/fiber/fiber.h"

using namespace gort;

namespace {

// A fiber that runs `body` and then goes back to where it was first switched to from.
struct TestFiber {
  Fiber fiber, home;
  StackPool pool{64 * 1024};
  void (*body)(TestFiber&) = nullptr;
  std::string log;

  explicit TestFiber(void (*body_)(TestFiber&)) : body(body_) {
    describe_thread(home);
    fiber.stack = pool.take();
    prepare(fiber, main, this);
  }
  ~TestFiber() { release_sanitizer_state(fiber); }
  void resume() { switch_fiber(thread_exception_globals(), home, fiber); }
  void leave() { switch_fiber(thread_exception_globals(), fiber, home); }

  static void main(void* self) {
    auto* test = static_cast<TestFiber*>(self);
    finish_switch(test->fiber);
    test->body(*test);
    for (;;) test->leave();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(fiber)

BOOST_AUTO_TEST_CASE(a_fiber_goes_on_where_it_left) {
  TestFiber test([](TestFiber& t) {
    for (int i = 0; i < 3; i++) {
      t.log += char('a' + i);
      t.leave();
    }
  });
  for (int i = 0; i < 3; i++) {
    test.resume();
    test.log += char('0' + i);
  }
  BOOST_TEST(test.log == "a0b1c2");
}

BOOST_AUTO_TEST_CASE(callee_saved_registers_survive_a_switch) {
  TestFiber test([](TestFiber& t) {
    for (;;) t.leave();
  });
  long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7;
  for (int i = 0; i < 1000; i++) {
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
    test.resume();
    a += b, b += c, c += d, d += e, e += f, f += g;
  }
  BOOST_TEST(g == 7);
  BOOST_TEST(f == 6 + 7 * 1000);
}

BOOST_AUTO_TEST_CASE(an_exception_being_handled_stays_with_its_fiber) {
  TestFiber test([](TestFiber& t) {
    try {
      throw std::string("fiber");
    } catch (const std::string&) {
      t.leave();
      try {
        throw;
      } catch (const std::string& mine) {
        t.log += mine;
      }
    }
    t.leave();
  });
  try {
    throw std::string("thread");
  } catch (const std::string&) {
    test.resume();
    test.resume();
    try {
      throw;
    } catch (const std::string& mine) {
      test.log += "," + mine;
    }
  }
  BOOST_TEST(test.log == "fiber,thread");
}

BOOST_AUTO_TEST_CASE(the_rounding_mode_belongs_to_the_fiber) {
  TestFiber test([](TestFiber& t) {
    std::fesetround(FE_UPWARD);
    t.leave();
    t.log += std::fegetround() == FE_UPWARD ? "up" : "lost";
    t.leave();
  });
  test.resume();
  BOOST_TEST(std::fegetround() == FE_TONEAREST);
  test.resume();
  BOOST_TEST(test.log == "up");
  BOOST_TEST(std::fegetround() == FE_TONEAREST);
}

BOOST_AUTO_TEST_CASE(stacks_are_distinct_and_reused_last_in_first_out) {
  StackPool pool(64 * 1024);
  std::set<char*> seen;
  std::vector<Stack> stacks;
  for (int i = 0; i < 200; i++) {
    stacks.push_back(pool.take());
    BOOST_TEST(seen.insert(stacks.back().low).second);
    BOOST_TEST(stacks.back().size() == 60u * 1024);
    stacks.back().low[0] = stacks.back().high[-1] = 1;
  }
  pool.give_back(stacks[7]);
  BOOST_TEST(static_cast<void*>(pool.take().low) == static_cast<void*>(stacks[7].low));
}

// Asked by a system call, which does not fault. 200 stacks: of more slabs than one, and of each call that installs guards.
BOOST_AUTO_TEST_CASE(below_every_stack_is_a_page_that_cannot_be_touched) {
  int zeros = open("/dev/zero", O_RDONLY);
  BOOST_REQUIRE(zeros >= 0);
  StackPool pool(64 * 1024);
  for (int i = 0; i < 200; i++) {
    Stack stack = pool.take();
    BOOST_TEST(read(zeros, stack.low - 1, 1) == -1);
    BOOST_TEST(read(zeros, stack.low - kStackGuard, 1) == -1);
    BOOST_TEST(read(zeros, stack.low, 1) == 1);
    BOOST_TEST(read(zeros, stack.high - 1, 1) == 1);
  }
  close(zeros);
}

BOOST_AUTO_TEST_CASE(trimmed_stacks_are_zero_again_and_counted_once) {
  StackPool pool(64 * 1024);
  Stack stack = pool.take();
  stack.low[100] = 42;
  pool.give_back(stack);
  BOOST_TEST(pool.trim() == 64u);
  BOOST_TEST(pool.trim() == 0u);
  stack = pool.take();
  BOOST_TEST(stack.low[100] == 0);
}

BOOST_AUTO_TEST_CASE(a_stack_of_another_size_is_a_mapping_of_its_own) {
  StackPool pool(64 * 1024);
  Stack usual = pool.take();
  Stack large = pool.take(size_t(1) << 30);
  BOOST_TEST(large.size() == (size_t(1) << 30) - kStackGuard);
  large.low[0] = large.high[-1] = 1;
  BOOST_TEST(pool.usage().own == 1u);
  BOOST_TEST(pool.usage().reserved == 64u);
  pool.give_back(large);
  BOOST_TEST(pool.usage().own == 0u);
  pool.give_back(usual);
  BOOST_TEST(static_cast<void*>(pool.take().low) == static_cast<void*>(usual.low));
}

BOOST_AUTO_TEST_CASE(usage_tells_the_memory_in_use_and_the_deepest_stack) {
  StackPool pool(64 * 1024);
  Stack a = pool.take(), b = pool.take();
  BOOST_TEST(pool.usage().resident == 0u);
  a.high[-1] = 1;
  b.high[-1] = b.high[-20'000] = 1;
  StackPool::Usage usage = pool.usage();
  BOOST_TEST(usage.stack_size == 64u * 1024);
  BOOST_TEST(usage.resident == 3u * 4096);
  BOOST_TEST(usage.high_water == 5u * 4096);
  pool.give_back(b);
  pool.trim();
  BOOST_TEST(pool.usage().high_water == 4096u);
}

BOOST_AUTO_TEST_CASE(what_is_kept_above_a_stack_comes_and_goes_with_it) {
  constexpr size_t kAbove = 2 * 4096 + 1024;
  StackPool pool(64 * 1024, kAbove);
  Stack stack = pool.take(), large = pool.take(size_t(1) << 20);
  for (const Stack& s : {stack, large}) BOOST_TEST(s.high[kAbove - 1] == 0);
  BOOST_TEST(stack.size() == 60u * 1024 - kAbove);
  BOOST_TEST(large.size() == (size_t(1) << 20) - kStackGuard - kAbove);
  BOOST_TEST(pool.is_usual(stack));
  BOOST_TEST(!pool.is_usual(large));
  stack.high[-1] = stack.high[0] = stack.high[kAbove - 1] = 1;
  BOOST_TEST(pool.usage().high_water == 4096u);
  stack.high[-4096] = 1;
  BOOST_TEST(pool.usage().high_water == 2u * 4096);
  pool.drop_memory(stack);
  BOOST_TEST(stack.high[kAbove - 1] == 0);
  pool.give_back(large);
  BOOST_TEST(pool.usage().own == 0u);
  pool.give_back(stack);
}

BOOST_AUTO_TEST_CASE(after_a_change_of_size_stacks_of_the_former_size_are_unmapped_as_they_come_back) {
  StackPool pool(64 * 1024);
  Stack former = pool.take();
  pool.set_size(128 * 1024);
  Stack now = pool.take();
  BOOST_TEST(now.size() == 128u * 1024 - kStackGuard);
  BOOST_TEST(pool.usage().own == 1u);
  former.low[0] = 1;
  pool.give_back(former);
  BOOST_TEST(pool.usage().own == 0u);
  pool.give_back(now);
}

BOOST_AUTO_TEST_SUITE_END()
