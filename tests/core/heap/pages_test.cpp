#include <boost/test/unit_test.hpp>

#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "gort/heap/pages.h"

using namespace gort::heap;

namespace {

struct Fixture {
  PageHeap pages;
  Fixture() { BOOST_REQUIRE(pages.reserve(size_t(1) << 30)); }
  Span* take(size_t n) { return pages.allocate(n, span_class(0, true), n * kPageSize, 1, nullptr); }
  size_t page_of(Span* s) { return (s->base - pages.base()) / kPageSize; }
  void check() {
    const char* broken = pages.verify();
    BOOST_TEST(broken == nullptr, (broken ? broken : ""));
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pages, Fixture)

BOOST_AUTO_TEST_CASE(the_lowest_fitting_run_is_taken) {
  std::vector<Span*> s;
  for (size_t n : {3, 5, 2, 8}) s.push_back(take(n));
  BOOST_TEST(page_of(s[0]) == 0u);
  BOOST_TEST(page_of(s[3]) == 10u);
  pages.free(s[0]);
  pages.free(s[1]);  // 8 free pages at 0
  BOOST_TEST(page_of(take(9)) == 18u);
  BOOST_TEST(page_of(take(8)) == 0u);
  check();
}

BOOST_AUTO_TEST_CASE(neighbouring_free_runs_join) {
  Span* a = take(100);
  Span* b = take(100);
  take(1);
  pages.free(b);
  pages.free(a);
  BOOST_TEST(page_of(take(200)) == 0u);
  check();
}

BOOST_AUTO_TEST_CASE(runs_cross_chunks) {
  Span* a = take(500);
  Span* b = take(600);  // pages 500 .. 1099, over the edges at 512 and 1024
  Span* c = take(10);
  BOOST_TEST(page_of(b) == 500u);
  for (size_t page : {500, 511, 512, 1024, 1099})
    BOOST_TEST(pages.span_of(pages.base() + page * kPageSize + 4000) == b);
  pages.free(b);
  BOOST_TEST(page_of(take(600)) == 500u);
  pages.free(a);
  pages.free(c);
  check();
}

BOOST_AUTO_TEST_CASE(span_of_is_null_outside_and_in_free_pages) {
  Span* a = take(4);
  uintptr_t base = a->base;
  BOOST_TEST(pages.span_of(base) == a);
  BOOST_TEST(pages.span_of(base + 4 * kPageSize - 1) == a);
  BOOST_TEST(pages.span_of(base + 4 * kPageSize) == nullptr);
  BOOST_TEST(pages.span_of(base - 1) == nullptr);
  BOOST_TEST(pages.span_of(0) == nullptr);
  BOOST_TEST(pages.span_of(UINTPTR_MAX) == nullptr);
  pages.free(a);
  BOOST_TEST(pages.span_of(base) == nullptr);
}

BOOST_AUTO_TEST_CASE(pages_that_were_never_used_need_no_zeroing) {
  Span* a = take(2);
  BOOST_TEST(!a->need_zero);
  std::memset(reinterpret_cast<void*>(a->base), 1, a->bytes());
  pages.free(a);
  BOOST_TEST(take(2)->need_zero);
  BOOST_TEST(!take(2)->need_zero);
}

BOOST_AUTO_TEST_CASE(the_heap_grows_by_whole_chunks_and_only_as_far_as_needed) {
  BOOST_TEST(pages.bytes_opened() == 0u);
  take(1);
  BOOST_TEST(pages.bytes_opened() == 4u << 20);
  take(511);
  BOOST_TEST(pages.bytes_opened() == 4u << 20);
  Span* big = take(513);
  BOOST_TEST(pages.bytes_opened() == 12u << 20);
  pages.free(big);
  take(1000);  // 1024 are free at the end
  BOOST_TEST(pages.bytes_opened() == 12u << 20);
  check();
}

BOOST_AUTO_TEST_CASE(asking_for_more_than_the_range_gives_null_and_changes_nothing) {
  BOOST_TEST(take((size_t(1) << 30) / kPageSize + 1) == nullptr);
  BOOST_TEST(take(SIZE_MAX / kPageSize) == nullptr);
  take(1);
  BOOST_TEST(take((size_t(1) << 30) / kPageSize) == nullptr);
  check();
}

BOOST_AUTO_TEST_CASE(a_random_history_agrees_with_a_model) {
  std::mt19937 random(7);
  std::vector<bool> used(1 << 16);
  std::map<size_t, Span*> live;
  for (int step = 0; step < 4000; step++) {
    if (live.empty() || random() % 5 < 3) {
      size_t n = random() % 20 == 0 ? 1 + random() % 1500 : 1 + random() % 12;
      size_t want = 0, run = 0;
      for (size_t p = 0; run < n; p++) {
        run = used[p] ? 0 : run + 1;
        want = p + 1 - run;
      }
      if (want + n > used.size() / 2) continue;
      Span* s = take(n);
      BOOST_REQUIRE(s != nullptr);
      BOOST_REQUIRE(page_of(s) == want);
      for (size_t i = 0; i < n; i++) used[want + i] = true;
      live[want] = s;
    } else {
      auto it = live.begin();
      std::advance(it, random() % live.size());
      for (size_t i = 0; i < it->second->npages; i++) used[it->first + i] = false;
      pages.free(it->second);
      live.erase(it);
    }
    if (step % 500 == 0) check();
  }
  check();
}

BOOST_AUTO_TEST_CASE(descriptors_are_reused) {
  uint64_t before = 0;
  for (int i = 0; i < 1000; i++) {
    pages.free(take(1));
    if (i == 0) before = pages.counts().descriptor_bytes;
  }
  BOOST_TEST(pages.counts().descriptor_bytes == before);
  BOOST_TEST(pages.counts().descriptor_bytes_in_use == 0u);
  BOOST_TEST(pages.counts().pages_in_use == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
