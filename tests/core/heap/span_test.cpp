#include <boost/test/unit_test.hpp>

#include <set>

#include "gort/heap/pages.h"
#include "gort/heap/span.h"

using namespace gort::heap;

namespace {

struct Fixture {
  PageHeap pages;
  Fixture() { BOOST_REQUIRE(pages.reserve(size_t(64) << 20)); }
  Span* make(size_t size, bool noscan) {
    SpanClass sc = span_class(size_class(size), noscan);
    return pages.allocate(kClassPages[size_class(size)], sc, kClassSize[size_class(size)], objects_per_span(sc), nullptr);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(span, Fixture)

BOOST_AUTO_TEST_CASE(every_address_of_a_slot_gives_its_index) {
  size_t wrong = 0;
  for (size_t c = 1; c < kNumSizeClasses; c++) {
    Span* s = make(kClassSize[c], true);
    for (uint32_t i = 0; i < s->nelems; i++)
      for (uint64_t inside : {uint64_t(0), s->element_size / 2, s->element_size - 1})
        wrong += s->index_of(s->slot(i) + inside) != i;
    pages.free(s);
  }
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(an_address_behind_the_last_slot_is_no_slots) {
  Span* s = make(48, true);  // 170 slots, 32 bytes left
  BOOST_TEST(s->index_of(s->limit()) >= s->nelems);
  BOOST_TEST(s->index_of(s->base + s->bytes() - 1) >= s->nelems);
}

BOOST_AUTO_TEST_CASE(sweep_keeps_exactly_the_marked_slots) {
  Span* s = make(24, true);
  s->allocated = s->nelems;
  for (uint32_t w = 0; w < s->words(); w++) s->set_alloc_word(w, s->valid(w));
  std::set<uint32_t> live{0, 1, 7, 8, 62, 63, 64, 65, 127, 128, 200, 339, 340};
  for (uint32_t i : live) s->set_mark(i);
  BOOST_TEST(s->sweep() == s->nelems - live.size());
  BOOST_TEST(s->allocated == live.size());
  BOOST_TEST(s->need_zero);
  for (uint32_t i = 0; i < s->nelems; i++) {
    BOOST_TEST(s->is_free(i) == (live.count(i) == 0));
    BOOST_TEST(!s->marked(i));
  }
}

BOOST_AUTO_TEST_CASE(sweep_of_a_wholly_live_span_frees_nothing) {
  Span* s = make(64, true);
  s->allocated = s->nelems;
  for (uint32_t w = 0; w < s->words(); w++) s->set_alloc_word(w, s->valid(w));
  for (uint32_t i = 0; i < s->nelems; i++) s->set_mark(i);
  BOOST_TEST(s->sweep() == 0u);
  BOOST_TEST(!s->need_zero);
}

BOOST_AUTO_TEST_CASE(the_bitmap_of_a_page_keeps_what_is_written_for_each_slot) {
  for (size_t c = 1; c <= 26; c++) {
    Span* s = make(kClassSize[c], false);
    size_t words = s->element_size / 8;
    auto pattern = [&](uint32_t i) {
      uint64_t all = words == 64 ? ~uint64_t(0) : (uint64_t(1) << words) - 1;
      return (0x9E3779B97F4A7C15u * (i + 1)) & all;
    };
    for (uint32_t i = 0; i < s->nelems; i++) bitmap::write(s->slot(i), s->element_size, ~uint64_t(0) >> (64 - words));
    for (uint32_t i = 0; i < s->nelems; i++) bitmap::write(s->slot(i), s->element_size, pattern(i));
    for (uint32_t i = 0; i < s->nelems; i++)
      if (bitmap::read(s->slot(i), s->element_size) != pattern(i)) BOOST_ERROR("class " << c << " slot " << i);
    BOOST_TEST(s->limit() <= reinterpret_cast<uintptr_t>(bitmap::of_page(s->base)));
    pages.free(s);
  }
}

BOOST_AUTO_TEST_SUITE_END()
