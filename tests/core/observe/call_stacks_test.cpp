// The table of call stacks, and native ones.
#include <boost/test/unit_test.hpp>

#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/observe/call_stacks.h"
#include "gort/sched/go.h"

using namespace gort;
using namespace gort::observe;

namespace {

int released;
const StackKind counted{[](const Place&) { released++; }};

// The caller's stack, from a function of its own.
[[gnu::noinline]] StackId here_one() {
  StackId id = native_stack_here();
  asm volatile("" ::: "memory");   // a call, not a jump
  return id;
}
[[gnu::noinline]] StackId here_two() {
  StackId id = native_stack_here();
  asm volatile("nop" ::: "memory");
  return id;
}

bool passes_through(StackId id, StackId (*function)()) {
  auto stacks = call_stacks();
  const CallStack* stack = stacks->find(id);
  return stack && std::ranges::any_of(stack->places(), [&](const Place& place) {
    return _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(place.where)) == reinterpret_cast<void*>(function);
  });
}

[[gnu::noinline]] StackId deeper(int n) {
  StackId id = n == 0 ? native_stack_here() : deeper(n - 1);
  asm volatile("" ::: "memory");
  return id;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(call_stacks_table)

BOOST_AUTO_TEST_CASE(a_stack_is_kept_once_and_found_by_its_number) {
  CallStacks stacks;
  bool taken;
  std::vector<Place> a{{1, 2}, {3, 4}}, b{{1, 2}, {3, 5}}, c{{1, 2}};
  StackId id = stacks.keep(native_stack, a, taken);
  BOOST_TEST(taken);
  BOOST_TEST(id != 0u);
  BOOST_TEST(stacks.keep(native_stack, a, taken) == id);
  BOOST_TEST(!taken);
  for (auto& other : {b, c}) {
    BOOST_TEST(stacks.keep(native_stack, other, taken) != id);
    BOOST_TEST(taken);
  }
  BOOST_TEST(stacks.keep(counted, a, taken) != id);   // of another kind
  const CallStack* found = stacks.find(id);
  BOOST_REQUIRE(found);
  BOOST_TEST((found->kind() == &native_stack));
  BOOST_TEST(std::ranges::equal(found->places(), a));
}

BOOST_AUTO_TEST_CASE(an_empty_stack_and_a_number_of_another_table_are_unknown) {
  CallStacks one, two;
  bool taken;
  std::vector<Place> places{{1, 0}};
  BOOST_TEST(one.keep(native_stack, {}, taken) == 0u);
  BOOST_TEST(!taken);
  StackId id = one.keep(native_stack, places, taken);
  BOOST_TEST(!two.find(id));
  BOOST_TEST(!one.find(0));
  BOOST_TEST(!one.find(id + 1));
}

BOOST_AUTO_TEST_CASE(what_a_stack_owns_is_released_with_the_table_once_for_each_place) {
  released = 0;
  {
    CallStacks stacks;
    bool taken;
    std::vector<Place> places{{1, 0}, {1, 1}, {2, 0}};
    for (int i = 0; i < 3; i++) stacks.keep(counted, places, taken);
    BOOST_TEST(released == 0);
  }
  BOOST_TEST(released == 3);
}

BOOST_AUTO_TEST_CASE(a_full_table_takes_no_more_and_still_knows_what_it_has) {
  CallStacks stacks;
  bool taken;
  std::vector<Place> places{{0, 0}};
  StackId first = stacks.keep(native_stack, places, taken);
  for (uintptr_t i = 1; i < CallStacks::kStacks; i++) {
    places[0].where = i;
    BOOST_REQUIRE(stacks.keep(native_stack, places, taken) != 0u);
  }
  places[0].where = CallStacks::kStacks;
  BOOST_TEST(stacks.keep(native_stack, places, taken) == 0u);
  BOOST_TEST(!taken);
  places[0].where = 0;
  BOOST_TEST(stacks.keep(native_stack, places, taken) == first);

  CallStacks deep;   // full of places before it is full of stacks
  places.assign(CallStacks::kMostPlaces, {});
  for (uintptr_t i = 0; i < CallStacks::kPlaces / CallStacks::kMostPlaces; i++) {
    places[0].where = i;
    BOOST_REQUIRE(deep.keep(native_stack, places, taken) != 0u);
  }
  BOOST_TEST(deep.keep(native_stack, std::vector<Place>{{7, 7}}, taken) == 0u);
}

BOOST_AUTO_TEST_CASE(only_the_inner_places_of_a_deep_stack_count) {
  CallStacks stacks;
  bool taken;
  std::vector<Place> places(CallStacks::kMostPlaces + 1, Place{5, 5});
  StackId id = stacks.keep(native_stack, places, taken);
  BOOST_TEST(stacks.find(id)->places().size() == CallStacks::kMostPlaces);
  places.back() = {6, 6};
  BOOST_TEST(stacks.keep(native_stack, places, taken) == id);
}

BOOST_AUTO_TEST_CASE(threads_may_keep_and_find_at_once) {
  CallStacks stacks;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  std::vector<StackId> ids(200);
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (uintptr_t i = 0; i < 200; i++) {
        std::vector<Place> places{{i, i}, {i + 1, 0}};
        bool taken;
        StackId id = stacks.keep(native_stack, places, taken);
        const CallStack* found = stacks.find(id);
        if (!found || !std::ranges::equal(found->places(), places)) wrong++;
        if (std::atomic_ref(ids[i]).exchange(id) > id) wrong++;   // always the same: never another one
      }
    });
  }
  for (auto& t : threads) t.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(a_native_stack_shows_who_called) {
  set_call_stacks(std::make_shared<CallStacks>());
  StackId one = here_one(), two = here_two();
  BOOST_TEST(one != two);
  BOOST_TEST(passes_through(one, here_one));
  BOOST_TEST(!passes_through(one, here_two));
  BOOST_TEST(passes_through(two, here_two));
  StackId same[2];
  volatile int rounds = 2;   // one call in a loop, not two
  for (int i = 0; i < rounds; i++) same[i] = here_one();
  BOOST_TEST(same[0] == same[1]);
}

BOOST_AUTO_TEST_CASE(a_goroutines_native_stack_begins_with_its_function_and_hides_the_runtime) {
  run([] {
    set_call_stacks(std::make_shared<CallStacks>());
    StackId id = here_one();
    BOOST_TEST(passes_through(id, here_one));
    size_t count = 0;
    StackId in_goroutine = 0;
    std::atomic<bool> done{false};
    go([&] {
      in_goroutine = here_two();
      done = true;
    });
    testing::until([&] { return done.load(); });
    auto stacks = call_stacks();
    const CallStack* stack = stacks->find(in_goroutine);
    BOOST_REQUIRE(stack);
    count = stack->places().size();
    BOOST_TEST(passes_through(in_goroutine, here_two));
    NativeFrame runtime = describe_native({reinterpret_cast<uintptr_t>(&native_stack_here), 0});
    BOOST_TEST(runtime.function.find("native_stack_here") != std::string::npos);
    for (const Place& place : {stack->places().front(), stack->places()[count - 1]}) {
      BOOST_TEST(describe_native(place).file != runtime.file);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_deep_native_stack_is_cut) {
  set_call_stacks(std::make_shared<CallStacks>());
  auto stacks = call_stacks();
  const CallStack* stack = stacks->find(deeper(200));
  BOOST_REQUIRE(stack);
  BOOST_TEST(stack->places().size() == CallStacks::kMostPlaces);
}

BOOST_AUTO_TEST_CASE(an_address_of_nobody_has_no_name) {
  NativeFrame frame = describe_native({1, 0});
  BOOST_TEST(frame.function == "");
  BOOST_TEST(frame.file == "");
}

BOOST_AUTO_TEST_SUITE_END()
