// Pool. Behaviours are those of Go's sync/pool_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include "../waiting.h"
#include "gort/sched/go.h"
#include "gort/sync/pool.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

struct Item {
  explicit Item(int v = 0) : value(v) { alive++; }
  ~Item() { alive--; }
  int value;
  static std::atomic<int> alive;
};
std::atomic<int> Item::alive{0};

int value_of(std::unique_ptr<Item> item) { return item ? item->value : -1; }

}  // namespace

BOOST_AUTO_TEST_SUITE(pool)

// TestPool; on a plain thread, so that no migration comes between.
BOOST_AUTO_TEST_CASE(it_gives_back_what_was_put_the_private_one_first_then_the_newest) {
  PoolOf<Item> pool;
  BOOST_TEST(!pool.get());
  pool.put(std::make_unique<Item>(1));
  pool.put(std::make_unique<Item>(2));
  pool.put(std::make_unique<Item>(3));
  pool.put(nullptr);
  BOOST_TEST(value_of(pool.get()) == 1);
  BOOST_TEST(value_of(pool.get()) == 3);
  BOOST_TEST(value_of(pool.get()) == 2);
  BOOST_TEST(!pool.get());
}

BOOST_AUTO_TEST_CASE(what_nobody_wants_lives_through_one_collection_and_not_two) {
  PoolOf<Item> pool;
  for (int i = 0; i < 100; i++) pool.put(std::make_unique<Item>(i));
  sync::clear_pools();
  BOOST_TEST(Item::alive == 100);
  BOOST_TEST(value_of(pool.get()) >= 0);
  BOOST_TEST(Item::alive == 99);
  pool.put(std::make_unique<Item>(100));
  sync::clear_pools();
  BOOST_TEST(Item::alive == 1);
  BOOST_TEST(value_of(pool.get()) == 100);
  BOOST_TEST(Item::alive == 0);
  sync::clear_pools();
  BOOST_TEST(!pool.get());
}

BOOST_AUTO_TEST_CASE(a_pool_that_dies_destroys_what_is_in_it) {
  {
    PoolOf<Item> pool;
    for (int i = 0; i < 10; i++) pool.put(std::make_unique<Item>(i));
    pool.clear();
    for (int i = 0; i < 10; i++) pool.put(std::make_unique<Item>(i));
    BOOST_TEST(Item::alive == 20);
  }
  BOOST_TEST(Item::alive == 0);
}

BOOST_AUTO_TEST_CASE(what_a_goroutine_put_can_be_got_by_others) {
  PoolOf<Item> pool;
  run([&] {
    for (int i = 0; i < 10; i++) pool.put(std::make_unique<Item>(i));
  });
  std::set<int> seen;
  for (int i = 0; i < 10; i++) seen.insert(value_of(pool.get()));
  BOOST_TEST(seen.size() >= 8u);  // the private slots of its Ps are for them alone
}

// TestPoolStress, with a check that no value is held by two at once, while collections go on.
BOOST_AUTO_TEST_CASE(no_value_is_handed_out_twice_under_stress) {
  run([] {
    PoolOf<Item> pool;
    std::atomic<int> wrong{0}, left{8};
    WaitGroup wg;
    for (int k = 0; k < 8; k++) {
      wg.go([&] {
        for (int i = 0; i < 1000 * kRounds; i++) {
          std::unique_ptr<Item> a = pool.get(), b = pool.get();
          if (!a) a = std::make_unique<Item>(0);
          if (!b) b = std::make_unique<Item>(0);
          if (a->value++ != 0 || b->value++ != 0) wrong++;
          if (i % 16 == 0) yield();
          a->value--, b->value--;
          pool.put(std::move(a));
          pool.put(std::move(b));
        }
        left--;
      });
    }
    wg.go([&] {
      while (left > 0) {
        sync::clear_pools();
        yield();
      }
    });
    wg.wait();
    BOOST_TEST(wrong == 0);
  });
  BOOST_TEST(Item::alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
