#include <boost/test/unit_test.hpp>

#include <cstring>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "gort/gc/collector.h"
#include "gort/heap/handle.h"
#include "gort/heap/malloc.h"
#include "gort/heap/object.h"
#include "gort/heap/size_classes.h"
#include "gort/heap/stats.h"
#include "gort/sched/go.h"
#include "gort/sched/world.h"

using namespace gort;
using namespace gort::heap;

namespace {

const HeapType& sized(size_t size, bool pointers) {
  return define_layout("sized", size, pointers ? std::vector<uint32_t>{0} : std::vector<uint32_t>{});
}

bool all_zero(const void* p, size_t n) {
  auto* bytes = static_cast<const unsigned char*>(p);
  for (size_t i = 0; i < n; i++)
    if (bytes[i] != 0) return false;
  return true;
}

struct Pair {
  Pointer<Pair> a, b;
  static auto heap_pointers() { return pointers(&Pair::a, &Pair::b); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(allocation)

BOOST_AUTO_TEST_CASE(every_size_is_zeroed_aligned_and_its_own_also_in_reused_memory) {
  gort::run([] {
    for (int round = 0; round < 2; round++) {
      for (bool pointers : {false, true}) {
        for (size_t size = 8; size <= 33000; size += size < 2048 ? 8 : 256) {
          const HeapType& type = sized(size, pointers);
          char* p = static_cast<char*>(allocate(type));
          char* q = static_cast<char*>(allocate(type));
          BOOST_REQUIRE(reinterpret_cast<uintptr_t>(p) % 8 == 0);
          BOOST_REQUIRE(usable_size(p) >= size);
          BOOST_REQUIRE(all_zero(p, usable_size(p)));
          BOOST_REQUIRE((q >= p + size || p >= q + size));
          // Scribbles, so that the next round sees used memory. The first word may be a pointer: it stays null.
          std::memset(p + 8, 0x5A, size - 8);
          std::memset(q + 8, 0xA5, size - 8);
        }
      }
      gc::collect();
    }
  });
}

BOOST_AUTO_TEST_CASE(tiny_objects_without_pointers_share_a_block) {
  gort::run([] {
    gc::set_percent(-1);
    const HeapType& four = sized(4, false);
    std::set<uintptr_t> blocks;
    std::vector<uintptr_t> seen;
    for (int i = 0; i < 400; i++) {
      auto p = reinterpret_cast<uintptr_t>(allocate(four));
      BOOST_TEST(p % 4 == 0u);
      blocks.insert(p / 16);
      for (uintptr_t other : seen) BOOST_REQUIRE(other != p);
      seen.push_back(p);
    }
    BOOST_TEST(blocks.size() <= 100u + 2 * size_t(gomaxprocs()));   // one begun and one not full for each P that it ran on
    gc::set_percent(100);
  });
}

BOOST_AUTO_TEST_CASE(tiny_objects_are_aligned_by_their_size) {
  gort::run([] {
    for (int i = 0; i < 50; i++) {
      allocate(sized(1, false));
      BOOST_TEST(reinterpret_cast<uintptr_t>(allocate(sized(8, false))) % 8 == 0u);
      allocate(sized(3, false));
      BOOST_TEST(reinterpret_cast<uintptr_t>(allocate(sized(12, false))) % 4 == 0u);
      allocate(sized(1, false));
      BOOST_TEST(reinterpret_cast<uintptr_t>(allocate(sized(6, false))) % 2 == 0u);
      BOOST_TEST(reinterpret_cast<uintptr_t>(make_array<int64_t>(1)) % 8 == 0u);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_tiny_block_lives_while_any_of_its_objects_does) {
  gort::run([] {
    std::vector<Ref<int32_t>> kept;
    for (int i = 0; i < 4000; i++) {
      auto* p = make<int32_t>(i);
      if (i % 10 == 0) kept.emplace_back(p);
    }
    gc::collect();
    gc::collect();
    for (int i = 0; i < 20000; i++) make<int32_t>(-1);
    for (size_t i = 0; i < kept.size(); i++) BOOST_TEST(*kept[i] == int32_t(i * 10));
  });
}

BOOST_AUTO_TEST_CASE(objects_of_no_bytes_share_one_address) {
  gort::run([] {
    void* a = allocate(sized(0, false));
    BOOST_TEST(a != nullptr);
    BOOST_TEST(a == allocate(sized(0, false)));
    BOOST_TEST(a == allocate_array(type_of<int>(), 0));
    BOOST_TEST(object_base(a) == nullptr);
  });
}

BOOST_AUTO_TEST_CASE(interior_pointers_find_their_object) {
  gort::run([] {
    for (size_t size : {16u, 24u, 48u, 512u, 520u, 1024u, 6000u, 32000u, 40000u, 3000000u})
      for (bool pointers : {false, true}) {
        char* p = static_cast<char*>(allocate(sized(size, pointers)));
        for (size_t inside : {size_t(0), size_t(1), size / 2, size - 1})
          BOOST_TEST(object_base(p + inside) == p, "size " << size << " byte " << inside);
      }
    int on_stack = 0;
    BOOST_TEST(object_base(&on_stack) == nullptr);
    BOOST_TEST(object_base(nullptr) == nullptr);
  });
}

BOOST_AUTO_TEST_CASE(one_past_the_end_of_an_array_belongs_to_it) {
  gort::run([] {
    for (size_t n : {1u, 2u, 3u, 4u, 15u, 16u, 63u, 64u, 1023u, 4094u, 4095u, 4096u, 65536u}) {
      auto* ints = make_array<int64_t>(n);
      auto* pointers = make_array<Pointer<int>>(n);
      if (n > 1) BOOST_TEST(object_base(ints + n) == ints, n << " integers");
      BOOST_TEST(object_base(pointers + n) == pointers, n << " pointers");
      BOOST_TEST(all_zero(ints, n * 8));
    }
  });
}

BOOST_AUTO_TEST_CASE(all_pointers_of_an_array_are_seen) {
  // Arrays in every layout: bitmap, header, large in several pieces; of pointers, of small structs, of structs with a gap.
  struct Gap {
    int64_t before[2];
    Pointer<int64_t> p;
    int64_t after[2];
    static auto heap_pointers() { return pointers(&Gap::p); }
  };
  gort::run([] {
    for (size_t n : {1u, 5u, 20u, 300u, 5000u, 60000u}) {
      Ref<Pointer<int64_t>> a(make_array<Pointer<int64_t>>(n));
      Ref<Gap> b(make_array<Gap>(n));
      for (size_t i = 0; i < n; i++) {
        a.get()[i] = make<int64_t>(int64_t(i));
        b.get()[i].p = make_array<int64_t>(2);
        b.get()[i].p.get()[1] = int64_t(i) * 3;
        b.get()[i].after[1] = -1;
      }
      gc::collect();
      for (int i = 0; i < 50000; i++) *make_array<int64_t>(2) = -7;
      size_t wrong = 0;
      for (size_t i = 0; i < n; i++) wrong += *a.get()[i] != int64_t(i) || b.get()[i].p.get()[1] != int64_t(i) * 3;
      BOOST_TEST(wrong == 0u, n << " elements");
    }
    BOOST_TEST(verify() == "");
  });
}

BOOST_AUTO_TEST_CASE(arrays_beyond_the_address_range_are_refused) {
  gort::run([] {
    BOOST_CHECK_THROW(make_array<int64_t>(SIZE_MAX / 2), std::length_error);
    BOOST_CHECK_THROW(make_array<char>(size_t(1) << 40), std::length_error);
    make_array<char>(100), make_array<char>(1000);  // two pages are taken
    BOOST_CHECK_THROW(make_array<char>((size_t(64) << 30) - kPageSize), std::bad_alloc);
    BOOST_TEST(verify() == "");
  });
}

BOOST_AUTO_TEST_CASE(plain_threads_allocate_inside_a_mutator_scope) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 3; t++)
    threads.emplace_back([&, t] {
      std::vector<Ref<int64_t>> kept;
      for (int i = 0; i < 20000; i++) {
        world::MutatorScope scope;
        auto* value = make_array<int64_t>(3);
        *value = t * 1000000 + i;
        if (i % 50 == 0) kept.emplace_back(value);
      }
      for (size_t i = 0; i < kept.size(); i++) {
        world::MutatorScope scope;
        if (*kept[i] != int64_t(t * 1000000 + i * 50)) wrong++;
      }
    });
  gc::collect();
  gc::collect();
  for (auto& thread : threads) thread.join();
  BOOST_TEST(wrong == 0);
  BOOST_TEST(verify() == "");
}

BOOST_AUTO_TEST_SUITE_END()
