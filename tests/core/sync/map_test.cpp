#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <bitset>
#include <climits>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sync/map.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

// Hashes of Go's tests: a good one, one that tells nothing (one list), and one in whose lowest bits alone keys differ (deep nodes, lists).
struct GoodHash : MixedHash<std::string> {};
struct BadHash {
  uint64_t operator()(const std::string&) const { return 0; }
};
struct TruncatedHash {
  uint64_t operator()(const std::string& key) const { return GoodHash()(key) & ((uint64_t(1) << 4) - 1); }
};

template <class Hash>
using Names = Map<std::string, int, Hash>;
using Hashes = boost::mpl::list<GoodHash, BadHash, TruncatedHash>;

constexpr int kNames = 128;
constexpr int kTasks = 4;

std::vector<std::string> make_names() {
  std::vector<std::string> result;
  for (int i = 0; i < kNames; i++) result.push_back(std::bitset<8>(unsigned(i)).to_string());
  return result;
}
const std::vector<std::string> names = make_names();

// What a case saw, counted by any goroutine and asserted at its end.
class Faults {
 public:
  void expect(bool held) {
    if (!held) count_++;
  }
  ~Faults() { BOOST_TEST(count_ == 0); }

 private:
  std::atomic<int> count_{0};
};

// The steps of Go's tests, with what must come of them.
template <class Hash>
struct Expect {
  Names<Hash>& map;
  Faults& faults;

  void missing(const std::string& k) { faults.expect(!map.load(k)); }
  void present(const std::string& k, int v) { faults.expect(map.load(k) == v); }
  void stores(const std::string& k, int v) { faults.expect(map.load_or_store(k, v) == std::pair(v, false)); }
  void loads(const std::string& k, int v) { faults.expect(map.load_or_store(k, INT_MIN) == std::pair(v, true)); }
  void swaps(const std::string& k, std::optional<int> old, int v) { faults.expect(map.swap(k, v) == old); }
  void deletes(const std::string& k, std::optional<int> old) { faults.expect(map.load_and_delete(k) == old); }
  void cas(const std::string& k, int old, int v, bool done) { faults.expect(map.compare_and_swap(k, old, v) == done); }
  void cad(const std::string& k, int old, bool done) { faults.expect(map.compare_and_delete(k, old) == done); }
  void fill() {
    for (int i = 0; i < kNames; i++) {
      missing(names[i]);
      stores(names[i], i);
      present(names[i], i);
      loads(names[i], i);
    }
  }
  void empty() {
    for (const std::string& name : names) missing(name);
    map.range([&](const std::string&, int) { faults.expect(false); });
  }
};

// A few goroutines and a plain thread, each with its number.
void all_at_once(const std::function<void(int)>& body) {
  std::thread thread(body, 0);
  run([&] {
    WaitGroup wg;
    for (int id = 1; id < kTasks; id++) wg.go([&, id] { body(id); });
    wg.wait();
  });
  thread.join();
}

std::string own(const std::string& name, int id) { return name + "-" + std::to_string(id); }

struct Counted {
  explicit Counted(int v) : value(v) { alive++; }
  Counted(const Counted& other) : value(other.value) { alive++; }
  ~Counted() { alive--; }
  bool operator==(const Counted& other) const { return value == other.value; }
  int value;
  static std::atomic<int> alive;
};
std::atomic<int> Counted::alive{0};

const std::vector<int> some = {1, 105, 6, 85};
bool is_some(int i) { return i == 1 || i == 105 || i == 6 || i == 85; }

}  // namespace

BOOST_AUTO_TEST_SUITE(map)

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/LoadEmpty
BOOST_AUTO_TEST_CASE_TEMPLATE(an_empty_one_has_no_key, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash>{map, faults}.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/LoadOrStore
BOOST_AUTO_TEST_CASE_TEMPLATE(load_or_store_stores_once_and_then_loads, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  for (int i = 0; i < kNames; i++) {
    expect.present(names[i], i);
    expect.loads(names[i], i);
  }
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/All
BOOST_AUTO_TEST_CASE_TEMPLATE(range_visits_every_key_once_with_its_value, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash>{map, faults}.fill();
  std::map<std::string, int> seen;
  map.range([&](const std::string& k, int v) { faults.expect(seen.emplace(k, v).second); });
  BOOST_TEST(seen.size() == kNames);
  for (int i = 0; i < kNames; i++) BOOST_TEST(seen[names[i]] == i);
  int visits = 0;
  map.range([&](const std::string&, int) { return ++visits < 3; });
  BOOST_TEST(visits == 3);
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/Clear/Simple
BOOST_AUTO_TEST_CASE_TEMPLATE(clear_leaves_nothing, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  for (int round = 0; round < 3; round++) {
    expect.fill();
    map.clear();
    expect.empty();
  }
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/Clear/Concurrent
BOOST_AUTO_TEST_CASE_TEMPLATE(clear_beside_changes_that_make_no_key_leaves_nothing, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  all_at_once([&](int id) {
    for (int i = 0; i < kNames; i++) {
      expect.cad(names[i], INT_MAX, false);
      (void)map.compare_and_swap(names[i], i, i + 1);
      if (id == 1 && i == 10) map.clear();
    }
  });
  expect.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndDelete/All
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_delete_deletes_equal_values_only, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  for (int round = 0; round < 3; round++) {
    expect.fill();
    for (int i = 0; i < kNames; i++) {
      expect.present(names[i], i);
      expect.cad(names[i], INT_MAX, false);
      expect.cad(names[i], i, true);
      expect.cad(names[i], i, false);
      expect.missing(names[i]);
    }
    expect.empty();
  }
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndDelete/Multiple
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_delete_leaves_the_other_keys, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  for (int i : some) {
    expect.cad(names[i], INT_MAX, false);
    expect.cad(names[i], i, true);
    expect.cad(names[i], i, false);
  }
  for (int i = 0; i < kNames; i++) is_some(i) ? expect.missing(names[i]) : expect.present(names[i], i);
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndDelete/Iterate
BOOST_AUTO_TEST_CASE_TEMPLATE(range_may_compare_and_delete_what_it_visits, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  int visits = 0;
  map.range([&](const std::string& k, int v) {
    visits++;
    expect.cad(k, v, true);
  });
  BOOST_TEST(visits == kNames);
  expect.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndDelete/ConcurrentUnsharedKeys
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_delete_of_own_keys_beside_others, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  all_at_once([&](int id) {
    for (const std::string& name : names) {
      std::string key = own(name, id);
      expect.missing(key);
      expect.stores(key, id);
      expect.present(key, id);
      expect.loads(key, id);
    }
    for (const std::string& name : names) {
      std::string key = own(name, id);
      expect.present(key, id);
      expect.cad(key, id, true);
      expect.missing(key);
    }
    for (const std::string& name : names) expect.missing(own(name, id));
  });
  expect.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndDelete/ConcurrentSharedKeys
BOOST_AUTO_TEST_CASE_TEMPLATE(one_of_those_who_compare_and_delete_a_key_gets_it, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  std::atomic<int> deleted{0};
  all_at_once([&](int) {
    for (int i = 0; i < kNames; i++) {
      expect.cad(names[i], INT_MAX, false);
      deleted += map.compare_and_delete(names[i], i);
      expect.missing(names[i]);
    }
  });
  BOOST_TEST(deleted == kNames);
  expect.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndSwap/All
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_swap_sets_equal_values_only, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  for (int j = 0; j < 3; j++) {
    for (int i = 0; i < kNames; i++) {
      expect.present(names[i], i + j);
      expect.cas(names[i], INT_MAX, i + j + 1, false);
      expect.cas(names[i], i + j, i + j + 1, true);
      expect.cas(names[i], i + j, i + j + 1, false);
      expect.present(names[i], i + j + 1);
    }
  }
  for (int i = 0; i < kNames; i++) expect.present(names[i], i + 3);
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndSwap/Multiple
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_swap_leaves_the_other_keys, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  for (int i : some) {
    expect.cas(names[i], INT_MAX, i + 1, false);
    expect.cas(names[i], i, i + 1, true);
    expect.cas(names[i], i, i + 1, false);
  }
  for (int i = 0; i < kNames; i++) expect.present(names[i], is_some(i) ? i + 1 : i);
}

// Go: sync/map_test.go TestCompareAndSwap_NonExistingKey
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_swap_makes_no_key, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.cas("nobody", 0, 42, false);
  expect.cad("nobody", 0, false);
  expect.missing("nobody");
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndSwap/ConcurrentUnsharedKeysWithDelete
BOOST_AUTO_TEST_CASE_TEMPLATE(compare_and_swap_of_own_keys_beside_others, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  all_at_once([&](int id) {
    for (const std::string& name : names) expect.stores(own(name, id), id);
    for (const std::string& name : names) {
      std::string key = own(name, id);
      expect.present(key, id);
      expect.cas(key, id, id + 1, true);
      expect.present(key, id + 1);
      expect.cad(key, id + 1, true);
      expect.cas(key, id + 1, id + 2, false);
      expect.cad(key, id + 1, false);
      expect.missing(key);
    }
  });
  expect.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/CompareAndSwap/ConcurrentSharedKeys
BOOST_AUTO_TEST_CASE_TEMPLATE(one_of_those_who_compare_and_swap_a_value_does, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  std::atomic<int> swapped{0};
  all_at_once([&](int) {
    for (int i = 0; i < kNames; i++) {
      expect.cas(names[i], INT_MAX, i + 1, false);
      swapped += map.compare_and_swap(names[i], i, i + 1);
      expect.present(names[i], i + 1);
    }
  });
  BOOST_TEST(swapped == kNames);
  for (int i = 0; i < kNames; i++) expect.present(names[i], i + 1);
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/Swap/All
BOOST_AUTO_TEST_CASE_TEMPLATE(swap_returns_the_value_before, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  for (int i = 0; i < kNames; i++) {
    expect.missing(names[i]);
    expect.swaps(names[i], std::nullopt, i);
    expect.present(names[i], i);
    expect.swaps(names[i], i, i);
  }
  for (int j = 0; j < 3; j++) {
    for (int i = 0; i < kNames; i++) {
      expect.swaps(names[i], i + j, i + j + 1);
      expect.present(names[i], i + j + 1);
    }
  }
  for (int i : some) expect.swaps(names[i], i + 3, -1);
  for (int i = 0; i < kNames; i++) expect.present(names[i], is_some(i) ? -1 : i + 3);
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/Swap/ConcurrentUnsharedKeysWithDelete
BOOST_AUTO_TEST_CASE_TEMPLATE(swap_of_own_keys_beside_others, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  all_at_once([&](int id) {
    for (const std::string& name : names) expect.swaps(own(name, id), std::nullopt, id);
    for (const std::string& name : names) {
      std::string key = own(name, id);
      expect.swaps(key, id, id + 1);
      expect.cad(key, id + 1, true);
      expect.swaps(key, std::nullopt, id + 2);
      expect.present(key, id + 2);
    }
    for (const std::string& name : names) expect.present(own(name, id), id + 2);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(every_value_that_is_swapped_in_comes_out_once, Hash, Hashes) {
  constexpr int kEach = 500 * kRounds;
  Names<Hash> map;
  std::vector<std::vector<int>> out(kTasks);
  all_at_once([&](int id) {
    for (int n = 0; n < kEach; n++) {
      if (std::optional<int> old = map.swap(names[n % 3], id * kEach + n)) out[id].push_back(*old);
      if (n % 7 == 0) {
        if (std::optional<int> old = map.load_and_delete(names[n % 3])) out[id].push_back(*old);
      }
    }
  });
  std::vector<int> times(kTasks * kEach);
  for (const std::vector<int>& mine : out) {
    for (int value : mine) times[value]++;
  }
  map.range([&](const std::string&, int value) { times[value]++; });
  for (int n : times) {
    if (n != 1) BOOST_TEST(n == 1);
  }
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/LoadAndDelete/All
BOOST_AUTO_TEST_CASE_TEMPLATE(load_and_delete_returns_the_value_once, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  for (int round = 0; round < 3; round++) {
    expect.fill();
    for (int i = 0; i < kNames; i++) {
      expect.present(names[i], i);
      expect.deletes(names[i], i);
      expect.missing(names[i]);
      expect.deletes(names[i], std::nullopt);
    }
    expect.empty();
  }
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/LoadAndDelete/Multiple
BOOST_AUTO_TEST_CASE_TEMPLATE(load_and_delete_leaves_the_other_keys, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  for (int i : some) {
    expect.deletes(names[i], i);
    expect.deletes(names[i], std::nullopt);
  }
  for (int i = 0; i < kNames; i++) is_some(i) ? expect.missing(names[i]) : expect.present(names[i], i);
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/LoadAndDelete/Iterate
BOOST_AUTO_TEST_CASE_TEMPLATE(range_may_delete_what_it_visits, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  expect.fill();
  map.range([&](const std::string& k, int v) { expect.deletes(k, v); });
  expect.empty();
}

// Go: internal/sync/hashtriemap_test.go TestHashTrieMap/LoadAndDelete/ConcurrentSharedKeys
BOOST_AUTO_TEST_CASE_TEMPLATE(one_of_those_who_delete_a_key_gets_it, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  Expect<Hash> expect{map, faults};
  for (int round = 0; round < kRounds; round++) {
    expect.fill();
    std::atomic<int> got{0};
    all_at_once([&](int) {
      for (const std::string& name : names) {
        got += map.load_and_delete(name).has_value();
        expect.missing(name);
      }
    });
    BOOST_TEST(got == kNames);
    expect.empty();
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(one_of_those_who_load_or_store_a_key_stores_it, Hash, Hashes) {
  Faults faults;
  for (int round = 0; round < kRounds; round++) {
    Names<Hash> map;
    std::atomic<int> stored{0};
    all_at_once([&](int id) {
      for (const std::string& name : names) {
        auto [value, loaded] = map.load_or_store(name, id);
        stored += !loaded;
        faults.expect(map.load(name) == value);
      }
    });
    BOOST_TEST(stored == kNames);
  }
}

// Nodes come and go all the time: readers of a key that stays find it, whatever happens beside it.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_key_that_stays_is_always_found_and_ranged_over_once, Hash, Hashes) {
  Names<Hash> map;
  Faults faults;
  for (int i = 0; i < kNames; i += 16) map.store(names[i], i);
  all_at_once([&](int id) {
    for (int n = 0; n < 20 * kRounds; n++) {
      if (id == 0) {
        std::map<std::string, int> seen;
        map.range([&](const std::string& k, int v) { faults.expect(seen.emplace(k, v).second); });
        for (int i = 0; i < kNames; i += 16) faults.expect(seen.count(names[i]) == 1);
      } else if (id == 1) {
        for (int i = 0; i < kNames; i += 16) faults.expect(map.load(names[i]) == i);
      } else {
        for (int i = 0; i < kNames; i++) {
          if (i % 16 == 0) continue;
          map.store(own(names[i], id), i);
          faults.expect(map.load_and_delete(own(names[i], id)) == i);
        }
      }
    }
  });
}

// Go: sync/map_test.go TestConcurrentRange
BOOST_AUTO_TEST_CASE(range_beside_stores_sees_every_key_once_with_one_of_its_values) {
  constexpr int kKeys = 256;
  Map<int, int> map;
  for (int n = 1; n <= kKeys; n++) map.store(n, n);
  Faults faults;
  std::atomic<bool> done{false};
  all_at_once([&](int id) {
    if (id == 1) {
      for (int round = 0; round < 10 * kRounds; round++) {
        std::vector<int> seen(kKeys + 1);
        map.range([&](int k, int v) {
          faults.expect(v % k == 0);
          seen[k]++;
          yield();
        });
        for (int n = 1; n <= kKeys; n++) faults.expect(seen[n] == 1);
      }
      done = true;
    }
    std::minstd_rand random(unsigned(id) + 1);
    for (int i = 0; !done; i++) {
      for (int n = 1; n <= kKeys; n++) {
        if (random() % 8 == 0) {
          map.store(n, n * (i % 1000 + 1));
        } else {
          faults.expect(map.load(n).has_value());
        }
      }
      yield();
    }
  });
}

// Go: sync/map_test.go TestMapRangeNestedCall
BOOST_AUTO_TEST_CASE(range_may_range_store_and_delete) {
  Map<int, std::string> map;
  const char* values[] = {"hello", "world", "Go"};
  for (int i = 0; i < 3; i++) map.store(i, values[i]);
  Faults faults;
  map.range([&](int key, const std::string&) {
    map.range([&](int k, const std::string& v) {
      faults.expect(map.load(k) == v);
      faults.expect(map.load_or_store(42, "dummy") == std::pair(std::string("dummy"), false));
      map.store(42, "sync.Map");
      faults.expect(map.load_and_delete(42) == "sync.Map");
    });
    map.remove(key);
  });
  int length = 0;
  map.range([&](int, const std::string&) { length++; });
  BOOST_TEST(length == 0);
}

// Go: sync/map_test.go TestConcurrentClear
BOOST_AUTO_TEST_CASE(clear_beside_loads_and_stores) {
  Map<int, int> map;
  Faults faults;
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 10; i++) {
      wg.go([&, i] { map.store(i, i * 10); });
      wg.go([&, i] {
        std::optional<int> value = map.load(i);
        faults.expect(!value || value == i * 10);
      });
      wg.go([&] { map.clear(); });
    }
    wg.wait();
  });
  map.clear();
  map.range([&](int, int) { faults.expect(false); });
}

// Go: internal/sync/hashtriemap_test.go TestConcurrentCache
BOOST_AUTO_TEST_CASE(a_cache_of_weak_pointers_gives_the_same_object_as_long_as_it_lives) {
  constexpr int kKeys = 50, kEach = 200 * kRounds;
  struct Weak {   // comparable when its object is gone, as Go's weak.Pointer is
    int id;
    std::weak_ptr<int> object;
    bool operator==(const Weak& other) const { return id == other.id; }
  };
  std::atomic<int> ids{0};
  Map<int, Weak> map;
  auto get = [&](int key) {
    int id = ids++;
    std::shared_ptr<int> fresh(new int(key), [&map, key, id](int* gone) {
      map.compare_and_delete(key, {id, {}});
      delete gone;
    });
    Weak mine{id, fresh};
    for (;;) {
      auto [there, loaded] = map.load_or_store(key, mine);
      if (!loaded) return fresh;
      if (std::shared_ptr<int> object = there.object.lock()) return object;
      if (map.compare_and_swap(key, there, mine)) return fresh;
    }
  };
  Faults faults;
  all_at_once([&](int) {
    for (int n = 0; n < kEach; n++) {
      std::shared_ptr<int> a = get(n % kKeys), b = get(n % kKeys);
      faults.expect(a == b && *a == n % kKeys);
    }
  });
}

// Go: sync/map_test.go TestIssue40999
BOOST_AUTO_TEST_CASE(what_is_removed_is_given_up_at_once_while_nobody_else_is_inside) {
  {
    Map<int, Counted> map;
    map.store(0, Counted(0));
    for (int n = 1; n < 100; n++) {
      map.store(n, Counted(n));
      BOOST_TEST(Counted::alive == 2);
      map.store(n, Counted(-n));
      BOOST_TEST(Counted::alive == 2);
      map.remove(n);
      BOOST_TEST(Counted::alive == 1);
    }
    map.clear();
    BOOST_TEST(Counted::alive == 0);
    for (int n = 1; n < 100; n++) map.store(n, Counted(n));
  }
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(after_a_storm_nothing_is_left_but_what_is_in_the_map) {
  {
    Map<std::string, Counted, TruncatedHash> map;
    all_at_once([&](int id) {
      std::minstd_rand random(unsigned(id) + 1);
      for (int n = 0; n < 1000 * kRounds; n++) {
        const std::string& key = names[random() % 32];
        switch (random() % 6) {
          case 0: map.store(key, Counted(n)); break;
          case 1: (void)map.load(key); break;
          case 2: map.remove(key); break;
          case 3: (void)map.load_or_store(key, Counted(n)); break;
          case 4: (void)map.swap(key, Counted(n)); break;
          case 5:
            if (random() % 50 == 0) map.clear();
            break;
        }
      }
    });
    int there = 0;
    map.range([&](const std::string&, const Counted&) { there++; });
    BOOST_TEST(Counted::alive == there);
  }
  BOOST_TEST(Counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(range_may_park_and_what_it_visits_stays_readable) {
  run([] {
    Map<int, Counted> map;
    for (int n = 0; n < 10; n++) map.store(n, Counted(n));
    Chan<int> asked(0), answered(0);
    WaitGroup wg;
    wg.go([&] {
      for (int n = 0; n < 10; n++) {
        map.remove(asked.recv());
        answered.send(0);
      }
    });
    int sum = 0;
    map.range([&](int key, const Counted& value) {
      asked.send(key);
      (void)answered.recv();
      sum += value.value;   // removed meanwhile
    });
    wg.wait();
    BOOST_TEST(sum == 45);
    BOOST_TEST(Counted::alive == 0);
  });
}

BOOST_AUTO_TEST_CASE(what_a_key_or_a_value_throws_comes_out_and_changes_nothing) {
  struct Touchy {
    int n = 0;
    bool throws = false;
    bool operator==(const Touchy& other) const {
      if (throws || other.throws) throw std::runtime_error("touchy");
      return n == other.n;
    }
  };
  struct Same {
    uint64_t operator()(const Touchy&) const { return 7; }
  };
  Map<Touchy, Touchy, Same> map;
  map.store({1}, {10});
  map.store({2}, {20});
  auto text = [](auto fn) { return text_of<std::runtime_error>(fn); };
  BOOST_TEST(text([&] { (void)map.load({1, true}); }) == "touchy");
  BOOST_TEST(text([&] { map.store({3, true}, {30}); }) == "touchy");
  BOOST_TEST(text([&] { map.compare_and_swap({1}, {10, true}, {11}); }) == "touchy");
  BOOST_TEST(text([&] { map.compare_and_delete({1}, {10, true}); }) == "touchy");
  BOOST_TEST(text([&] { map.range([](const Touchy&, const Touchy&) { throw std::runtime_error("touchy"); }); }) == "touchy");
  BOOST_TEST(map.load({1})->n == 10);
  BOOST_TEST(map.load({2})->n == 20);
  int length = 0;
  map.range([&](const Touchy&, const Touchy&) { length++; });
  BOOST_TEST(length == 2);
}

BOOST_AUTO_TEST_CASE(the_highest_and_the_lowest_hash_are_ranged_over) {
  struct Itself {
    uint64_t operator()(uint64_t key) const { return key; }
  };
  Map<uint64_t, int, Itself> map;
  std::vector<uint64_t> keys = {0, 1, 15, 16, uint64_t(1) << 60, UINT64_MAX - 1, UINT64_MAX};
  for (uint64_t key : keys) map.store(key, 1);
  std::vector<uint64_t> seen;
  map.range([&](uint64_t key, int) { seen.push_back(key); });
  BOOST_TEST(seen == keys, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
