#include <boost/test/unit_test.hpp>

#include "gort/heap/size_classes.h"

using namespace gort::heap;

BOOST_AUTO_TEST_SUITE(size_classes)

BOOST_AUTO_TEST_CASE(there_are_68_classes_from_8_to_32768_bytes) {
  BOOST_TEST(kNumSizeClasses == 68u);
  BOOST_TEST(kClassSize[0] == 0);
  BOOST_TEST(kClassSize[1] == 8);
  BOOST_TEST(kClassSize[67] == 32768);
  for (size_t c = 1; c + 1 < kNumSizeClasses; c++) BOOST_TEST(kClassSize[c] < kClassSize[c + 1]);
}

BOOST_AUTO_TEST_CASE(the_table_is_gos) {
  // Sums over Go's table, and some of its rows.
  unsigned sizes = 0, pages = 0;
  for (size_t c = 0; c < kNumSizeClasses; c++) sizes += kClassSize[c], pages += kClassPages[c];
  BOOST_TEST(sizes == 372768u);
  BOOST_TEST(pages == 168u);
  const struct {
    size_t c, size, pages;
  } rows[] = {{5, 48, 1}, {26, 512, 1}, {35, 1408, 2}, {40, 2688, 1}, {49, 6784, 5}, {52, 9472, 7}, {60, 18432, 9}, {65, 27264, 10}};
  for (auto& r : rows) {
    BOOST_TEST(kClassSize[r.c] == r.size);
    BOOST_TEST(unsigned(kClassPages[r.c]) == r.pages);
  }
}

BOOST_AUTO_TEST_CASE(every_size_gets_the_smallest_class_that_holds_it) {
  size_t wrong = 0;
  for (size_t size = 1; size <= kMaxSlotSize; size++) {
    size_t c = size_class(size);
    wrong += kClassSize[c] < size || kClassSize[c - 1] >= size;
  }
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(rounding_up_wastes_at_most_16_percent_above_128_bytes) {
  for (size_t c = 11; c < kNumSizeClasses; c++) {
    double waste = double(kClassSize[c] - kClassSize[c - 1] - 1) / kClassSize[c];
    BOOST_TEST(waste <= 0.16, "class " << c << " wastes " << waste);
  }
}

BOOST_AUTO_TEST_CASE(the_end_of_a_span_wastes_at_most_an_eighth) {
  for (size_t c = 1; c < kNumSizeClasses; c++) {
    size_t span = kClassPages[c] * kPageSize;
    BOOST_TEST(span % kClassSize[c] <= span / 8, "class " << c);
  }
}

BOOST_AUTO_TEST_CASE(division_by_multiplication_is_exact_for_every_offset_in_a_span) {
  size_t wrong = 0;
  for (size_t c = 1; c < kNumSizeClasses; c++)
    for (size_t offset = 0; offset < kClassPages[c] * kPageSize; offset++)
      wrong += (uint64_t(offset) * divide_magic(c)) >> 32 != offset / kClassSize[c];
  BOOST_TEST(wrong == 0u);
}

BOOST_AUTO_TEST_CASE(slots_leave_room_for_the_bitmap_in_pointerful_pages_only) {
  BOOST_TEST(objects_per_span(span_class(2, true)) == 512u);
  BOOST_TEST(objects_per_span(span_class(2, false)) == 504u);
  BOOST_TEST(objects_per_span(span_class(26, true)) == 16u);
  BOOST_TEST(objects_per_span(span_class(26, false)) == 15u);
  BOOST_TEST(objects_per_span(span_class(27, false)) == objects_per_span(span_class(27, true)));
  for (size_t c = 1; c < kNumSizeClasses; c++) {
    BOOST_TEST(objects_per_span(span_class(c, true)) <= kMaxObjectsPerSpan);
    if (has_span_bitmap(span_class(c, false))) BOOST_TEST(unsigned(kClassPages[c]) == 1u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
