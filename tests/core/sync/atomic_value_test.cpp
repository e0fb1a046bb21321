// AtomicValue. Its Python face has Go's other tests (tests/python/atomic/test_value.py).
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "../waiting.h"
#include "gort/sched/go.h"
#include "gort/sync/atomic_value.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

template <class T>
T held(const AtomicValue& value, T none) {
  std::shared_ptr<const T> now = value.load<T>();
  return now ? *now : none;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(atomic_value)

BOOST_AUTO_TEST_CASE(load_gives_the_latest_value_and_null_before_the_first) {
  AtomicValue numbers, texts;
  BOOST_TEST(!numbers.load<int>());
  numbers.store(42);
  BOOST_TEST(held(numbers, 0) == 42);
  numbers.store(84);
  BOOST_TEST(held(numbers, 0) == 84);
  texts.store(std::string("foo"));
  texts.store(std::string("barbaz"));
  BOOST_TEST(held(texts, std::string()) == "barbaz");
}

BOOST_AUTO_TEST_CASE(another_type_is_a_panic_and_changes_nothing) {
  AtomicValue value;
  value.store(42);
  BOOST_TEST(text_of<Panic>([&] { value.store(std::string("foo")); }) == "sync/atomic: store of inconsistently typed value into Value");
  BOOST_TEST(text_of<Panic>([&] { value.swap(true); }) == "sync/atomic: swap of inconsistently typed value into Value");
  BOOST_TEST(text_of<Panic>([&] { value.compare_and_swap(true, false); }) ==
             "sync/atomic: compare and swap of inconsistently typed value into Value");
  BOOST_TEST(text_of<Panic>([&] { value.compare_and_swap(nullptr, false); }) ==
             "sync/atomic: compare and swap of inconsistently typed value into Value");
  BOOST_CHECK_THROW((void)value.load<long>(), std::bad_cast);
  BOOST_TEST(held(value, 0) == 42);
}

BOOST_AUTO_TEST_CASE(swap_and_compare_and_swap_say_what_was_there) {
  AtomicValue value;
  BOOST_TEST(!value.compare_and_swap(1, 2));
  BOOST_TEST(value.compare_and_swap(nullptr, 1));
  BOOST_TEST(!value.compare_and_swap(nullptr, 2));
  BOOST_TEST(!value.compare_and_swap(2, 3));
  BOOST_TEST(value.compare_and_swap(1, 3));
  BOOST_TEST(*value.swap(4) == 3);
  BOOST_TEST(held(value, 0) == 4);
  AtomicValue fresh;
  BOOST_TEST(!fresh.swap(1));
}

BOOST_AUTO_TEST_CASE(a_loaded_value_stays_as_it_is_and_ends_with_its_last_reader) {
  AtomicValue value;
  auto probe = std::make_shared<int>(7);
  value.store(std::vector<std::shared_ptr<int>>{probe});
  auto seen = value.load<std::vector<std::shared_ptr<int>>>();
  value.store(std::vector<std::shared_ptr<int>>{});
  BOOST_TEST(*seen->at(0) == 7);
  BOOST_TEST(probe.use_count() == 2);
  seen = nullptr;
  BOOST_TEST(probe.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(every_value_swapped_in_comes_out_once) {
  run([] {
    constexpr uint64_t kGoroutines = 20, kEach = 500;
    AtomicValue value;
    std::atomic<uint64_t> total{0};
    WaitGroup wg;
    for (uint64_t first = 0; first < kGoroutines * kEach; first += kEach) {
      wg.go([&, first] {
        uint64_t mine = 0;
        for (uint64_t n = first; n < first + kEach; n++) {
          if (auto old = value.swap(n)) mine += *old;
        }
        total += mine;
      });
    }
    wg.wait();
    uint64_t count = kGoroutines * kEach;
    BOOST_TEST(total + held(value, uint64_t(0)) == count * (count - 1) / 2);
  });
}

BOOST_AUTO_TEST_CASE(goroutines_count_in_turn_by_compare_and_swap) {
  run([] {
    constexpr int kGoroutines = 20, kEach = 50;
    AtomicValue value;
    value.store(0);
    WaitGroup wg;
    for (int first = 0; first < kGoroutines; first++) {
      wg.go([&, first] {
        for (int mine = first; mine < kGoroutines * kEach; yield()) {
          if (value.compare_and_swap(mine, mine + 1)) mine += kGoroutines;
        }
      });
    }
    wg.wait();
    BOOST_TEST(held(value, -1) == kGoroutines * kEach);
  });
}

BOOST_AUTO_TEST_SUITE_END()
