#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "gort/gc/collector.h"
#include "gort/heap/handle.h"
#include "gort/heap/stats.h"
#include "gort/sched/go.h"
#include "gort/sched/world.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::heap;

namespace {

// A size that nothing else in these tests uses, so that counts are exact.
struct Rare {
  int64_t value;
  char rest[6500 - 8];
};

int64_t rare_objects() {
  auto c = read_stats().by_size[size_class(sizeof(Rare))];
  return int64_t(c.mallocs - c.frees);
}

Ref<Rare> make_rare(int64_t value) {
  world::MutatorScope scope;
  Rare* r = make<Rare>();
  r->value = value;
  return Ref<Rare>(r);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(handle)

BOOST_AUTO_TEST_CASE(a_handle_keeps_its_object_and_nothing_else_does) {
  // On a plain thread outside a mutator scope nothing is scanned: counts are exact.
  gc::collect();
  int64_t before = rare_objects();
  std::vector<Ref<Rare>> kept;
  for (int i = 0; i < 100; i++) {
    Ref<Rare> r = make_rare(i);
    if (i % 4 == 0) kept.push_back(r);
  }
  gc::collect();
  BOOST_TEST(rare_objects() == before + 25);
  {
    world::MutatorScope scope;
    for (size_t i = 0; i < kept.size(); i++) BOOST_TEST(kept[i]->value == int64_t(i * 4));
  }
  kept.clear();
  gc::collect();
  BOOST_TEST(rare_objects() == before);
}

BOOST_AUTO_TEST_CASE(a_copy_is_a_root_of_its_own_and_a_move_is_none) {
  gc::collect();
  int64_t before = rare_objects();
  size_t handles = handle_count();
  Ref<Rare> a = make_rare(1);
  BOOST_TEST(handle_count() == handles + 1);
  Ref<Rare> b = a;
  BOOST_TEST(handle_count() == handles + 2);
  a.reset();
  BOOST_TEST(!a);
  Ref<Rare> c = std::move(b);
  BOOST_TEST(handle_count() == handles + 1);
  gc::collect();
  BOOST_TEST(rare_objects() == before + 1);
  c = Ref<Rare>();
  BOOST_TEST(handle_count() == handles);
  gc::collect();
  BOOST_TEST(rare_objects() == before);
}

BOOST_AUTO_TEST_CASE(an_empty_handle_takes_no_slot) {
  size_t handles = handle_count();
  Handle empty;
  Handle null(nullptr, type_of<int>());
  Handle copy = null;
  BOOST_TEST(handle_count() == handles);
  BOOST_TEST(!null);
  BOOST_TEST(null.type() == nullptr);
  BOOST_TEST(null.get() == nullptr);
  BOOST_CHECK(copy == empty);
}

BOOST_AUTO_TEST_CASE(slots_are_reused) {
  { std::vector<Ref<Rare>> warm(600, make_rare(1)); }
  uint64_t before = read_stats().other_sys;
  for (int i = 0; i < 5000; i++) Ref<Rare> copy = make_rare(1);
  BOOST_TEST(read_stats().other_sys == before);
}

BOOST_AUTO_TEST_CASE(a_goroutine_owns_the_handles_it_captured) {
  gort::run([] {
    WaitGroup done;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 100; i++) {
      done.add(1);
      gort::go([object = Ref<int64_t>(make<int64_t>(i)), i, &done, &wrong] {
        wrong += *object != i;
        done.done();
      });
      if (i % 20 == 0) gc::collect();
    }
    done.wait();
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_CASE(handles_change_hands_between_threads_while_collections_run) {
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread churn([&] {
    std::vector<Ref<int64_t>> kept(500);
    for (int i = 0; !stop; i++) {
      Ref<int64_t> moved;
      {
        world::MutatorScope scope;
        moved = Ref<int64_t>(make<int64_t>(i % 500));
      }
      kept[i % 500] = moved;  // a copy; the old one is dropped
      if (i % 97 == 0) {
        world::MutatorScope scope;
        for (int k = 0; k < 500; k++)
          if (kept[k] && *kept[k] != k) wrong++;
      }
    }
  });
  for (int i = 0; i < 30; i++) gc::collect();
  stop = true;
  churn.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
