// Pool: nothing is lost, nothing is handed out twice, and collections empty it.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <vector>

#include "../waiting.h"
#include "gort/gc/collector.h"
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

// On a plain thread, so that no migration comes between.
// Go: sync/pool_test.go TestPool
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

// Go: sync/pool_test.go TestPoolRelease
BOOST_AUTO_TEST_CASE(the_second_collection_destroys_what_nobody_wanted) {
  PoolOf<Item> pool;
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 100; i++) pool.put(std::make_unique<Item>(i));
    gc::collect();
    BOOST_TEST(Item::alive == 100);
    gc::collect();
    BOOST_TEST(Item::alive == 0);
  }
}

// Without a heap nothing else starts a collection, and without a pool nobody wants one. (Alone in its process this shows that a pool suffices.)
BOOST_AUTO_TEST_CASE(a_pool_makes_periodic_collections_come) {
  PoolOf<Item> pool;
  pool.put(std::make_unique<Item>(1));
  auto look = Runtime::get().sysmon_hook.load();
  BOOST_REQUIRE((look != nullptr));
  int64_t periods = 0;
  until([&] {
    look(nanotime() + ++periods * 121 * kSecond);
    return Item::alive == 0;
  });
  BOOST_TEST(periods >= 2);
}

// Go: sync/pool_test.go TestPoolGC
BOOST_AUTO_TEST_CASE(on_one_processor_everything_can_be_got_and_the_pool_keeps_nothing) {
  int before = gomaxprocs(1);
  run([] {
    PoolOf<Item> pool;
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < 100; i++) pool.put(std::make_unique<Item>(i));
      for (int i = 0; i < 100; i++) BOOST_TEST(value_of(pool.get()) >= 0);
      BOOST_TEST(Item::alive == 0);
    }
  });
  gomaxprocs(before);
}

// A collection that aged pools in its stop would wait there for the lock of a goroutine that stands.
BOOST_AUTO_TEST_CASE(collections_and_goroutines_inside_a_pool_do_not_wait_for_one_another) {
  run([] {
    PoolOf<Item> pool;
    std::atomic<bool> over{false};
    WaitGroup wg;
    for (int k = 0; k < 4; k++) {
      wg.go([&] {
        while (!over) {
          for (int i = 0; i < 8; i++) pool.put(std::make_unique<Item>(i));
          for (int i = 0; i < 8; i++) static_cast<void>(pool.get());
          yield();
        }
      });
    }
    for (int i = 0; i < 10 * kRounds; i++) gc::collect();
    over = true;
    wg.wait();
  });
  BOOST_TEST(Item::alive == 0);
}

// Go: sync/pool_test.go TestPoolDequeue, TestPoolChain
BOOST_AUTO_TEST_CASE(what_one_puts_in_others_take_out_each_value_once) {
  run([] {
    constexpr int kValues = 2'000 * kRounds;
    gc::collect();   // so that none is due before ours, which would be the second
    PoolOf<Item> pool;
    std::vector<std::atomic<int>> taken(kValues);
    std::atomic<int> left{kValues};
    WaitGroup wg;
    auto take = [&] {
      std::unique_ptr<Item> item = pool.get();
      if (!item) return false;
      taken[size_t(item->value)]++;
      left--;
      return true;
    };
    for (int k = 0; k < 9; k++) {
      wg.go([&] {
        while (left > 0) {
          if (!take()) yield();
        }
      });
    }
    wg.go([&] {
      for (int i = 0; i < kValues; i++) {
        pool.put(std::make_unique<Item>(i));
        if (i % 10 == 0) take();
      }
      gc::collect();   // private ones are for their P alone; as victims they are for everybody
    });
    wg.wait();
    BOOST_TEST(std::all_of(taken.begin(), taken.end(), [](const std::atomic<int>& n) { return n == 1; }));
  });
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

BOOST_AUTO_TEST_CASE(what_stands_in_the_private_slots_of_idle_processors_ages_too) {
  int before = gomaxprocs(4);
  run([] {
    PoolOf<Item> pool;
    WaitGroup wg;
    for (int k = 0; k < 64; k++) {
      wg.go([&pool, k] {
        yield();
        pool.put(std::make_unique<Item>(k));
      });
    }
    wg.wait();
    sync::clear_pools();
    sync::clear_pools();
    BOOST_TEST(Item::alive == 0);
    BOOST_TEST(!pool.get());
  });
  gomaxprocs(before);
}

BOOST_AUTO_TEST_CASE(what_stood_in_private_slots_is_for_everybody_after_a_collection) {
  int before = gomaxprocs(4);
  gc::collect();   // so that none is due before ours, which would be the second
  PoolOf<Item> pool;
  run([&] {
    WaitGroup wg;
    for (int k = 0; k < 64; k++) {
      wg.go([&pool, k] {
        yield();
        pool.put(std::make_unique<Item>(k));
      });
    }
    wg.wait();
  });
  sync::clear_pools();
  std::set<int> seen;
  for (int i = 0; i < 64; i++) seen.insert(value_of(pool.get()));
  BOOST_TEST(seen.size() == 64u);
  BOOST_TEST(!seen.count(-1));
  gomaxprocs(before);
}

// They make no safe point, so their Ps are taken from them, one side of a slot's use or the other.
BOOST_AUTO_TEST_CASE(no_value_is_handed_out_twice_where_processors_are_taken_away) {
  for (int procs : {1, 3}) {
    int before = gomaxprocs(procs);
    run([] {
      Pool pool(element_type<std::unique_ptr<Item>>());
      std::atomic<int> wrong{0}, left{6};
      WaitGroup wg;
      for (int k = 0; k < 6; k++) {
        wg.go([&] {
          for (int i = 0; i < 20'000 * kRounds; i++) {
            Item* item;
            if (!pool.get(&item)) item = new Item(0);
            if (item->value++ != 0) wrong++;
            item->value--;
            pool.put(&item);
          }
          left--;
        });
      }
      wg.go([&] {
        while (left > 0) {
          pool.clear();
          yield();
        }
      });
      wg.wait();
      BOOST_TEST(wrong == 0);
    });
    BOOST_TEST(Item::alive == 0);
    gomaxprocs(before);
  }
}

// With a check that no value is held by two at once, while collections go on.
// Go: sync/pool_test.go TestPoolStress
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
