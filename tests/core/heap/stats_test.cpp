#include <boost/test/unit_test.hpp>

#include "gort/gc/collector.h"
#include "gort/heap/handle.h"
#include "gort/heap/stats.h"
#include "gort/sched/go.h"

using namespace gort;
using namespace gort::heap;

BOOST_AUTO_TEST_SUITE(stats)

BOOST_AUTO_TEST_CASE(the_equations_hold_after_work) {
  // From Go's TestMemStats.
  gort::run([] {
    for (int i = 0; i < 20000; i++) {
      make_array<char>(size_t(i) % 300 + 1);
      if (i % 100 == 0) make_array<char>(100000);
    }
  });
  gc::collect();
  MemStats s = read_stats();
  BOOST_TEST(s.sys == s.heap_sys + s.mspan_sys + s.mcache_sys + s.gc_sys + s.other_sys);
  BOOST_TEST(s.heap_sys == s.heap_inuse + s.heap_idle);
  BOOST_TEST(s.heap_released <= s.heap_idle);
  BOOST_TEST(s.heap_objects == s.mallocs - s.frees);
  BOOST_TEST(s.heap_alloc <= s.heap_inuse);
  BOOST_TEST(s.alloc == s.heap_alloc);
  BOOST_TEST(s.mspan_inuse <= s.mspan_sys);
  BOOST_TEST(s.total_alloc >= s.alloc);
  BOOST_TEST(s.num_gc >= 1u);
  BOOST_TEST(s.last_gc > 1500000000ull * 1000000000ull);
  BOOST_TEST(s.pause_ns[(s.num_gc + 255) % 256] > 0u);
  BOOST_TEST(s.pause_end[(s.num_gc + 255) % 256] == s.last_gc);
  BOOST_TEST(s.enable_gc);
}

BOOST_AUTO_TEST_CASE(each_allocation_is_counted_in_its_class) {
  gort::run([] {
    MemStats before = read_stats();
    for (int i = 0; i < 1000; i++) make_array<char>(200);
    for (int i = 0; i < 10; i++) make_array<char>(50000);
    MemStats after = read_stats();
    size_t c = size_class(201);
    BOOST_TEST(after.by_size[c].size == 208u);
    BOOST_TEST(after.by_size[c].mallocs - before.by_size[c].mallocs == 1000u);
    BOOST_TEST(after.by_size[0].mallocs - before.by_size[0].mallocs == 10u);
    BOOST_TEST(after.total_alloc - before.total_alloc >= 1000u * 208 + 10u * 57344);
  });
}

BOOST_AUTO_TEST_CASE(verify_holds_before_during_and_after_collections) {
  gort::run([] {
    for (int round = 0; round < 5; round++) {
      for (int i = 0; i < 3000; i++) make_array<Pointer<int>>(size_t(i) % 40 + 1);
      BOOST_TEST(verify() == "");
      gc::collect();
      BOOST_TEST(verify() == "");
    }
  });
}

BOOST_AUTO_TEST_CASE(pages_of_dead_objects_are_used_again) {
  gort::run([] {
    for (int i = 0; i < 100; i++) make_array<char>(1 << 20);
  });
  gc::collect();
  uint64_t before = read_stats().heap_sys;
  gort::run([] {
    for (int i = 0; i < 300; i++) {
      make_array<char>(1 << 20);
      if (i % 8 == 7) gc::collect();   // the one that starts by itself is late when the system does not run its thread
    }
  });
  BOOST_TEST(read_stats().heap_sys <= before + (16u << 20));
}

BOOST_AUTO_TEST_SUITE_END()
