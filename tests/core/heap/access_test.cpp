#include <boost/test/unit_test.hpp>

#include <cmath>
#include <stdexcept>
#include <string>

#include "gort/gc/collector.h"
#include "gort/heap/access.h"

using namespace gort;
using namespace gort::heap;

namespace {

const HeapType& all_kinds() {
  static const HeapType& type = define_struct("All", {{"i8", Kind::I8},
                                                      {"i16", Kind::I16},
                                                      {"i32", Kind::I32},
                                                      {"i64", Kind::I64},
                                                      {"u8", Kind::U8},
                                                      {"u16", Kind::U16},
                                                      {"u32", Kind::U32},
                                                      {"u64", Kind::U64},
                                                      {"f32", Kind::F32},
                                                      {"f64", Kind::F64},
                                                      {"flag", Kind::Bool},
                                                      FieldSpec::to_itself("next")});
  return type;
}

const Field& field(const char* name) { return *all_kinds().field(name); }

template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing thrown";
}

}  // namespace

// These run on the test's plain thread, as the bindings do.
BOOST_AUTO_TEST_SUITE(heap_access)

BOOST_AUTO_TEST_CASE(scalars_come_back_as_they_went_in) {
  Handle h = new_object(all_kinds());
  const std::pair<const char*, int64_t> smallest[] = {{"i8", INT8_MIN}, {"i16", INT16_MIN}, {"i32", INT32_MIN}, {"i64", INT64_MIN}};
  for (auto& [name, value] : smallest) {
    BOOST_TEST(read_field(h, field(name)).i == 0);
    write_field(h, field(name), Value::of(value));
    BOOST_TEST(read_field(h, field(name)).i == value);
  }
  const std::pair<const char*, uint64_t> largest[] = {{"u8", UINT8_MAX}, {"u16", UINT16_MAX}, {"u32", UINT32_MAX}, {"u64", UINT64_MAX}};
  for (auto& [name, value] : largest) {
    write_field(h, field(name), Value::of(value));
    BOOST_TEST(read_field(h, field(name)).u == value);
  }
  write_field(h, field("f32"), Value::of(1.5));
  write_field(h, field("f64"), Value::of(0.1));
  write_field(h, field("flag"), Value::of(true));
  BOOST_TEST(read_field(h, field("f32")).f == 1.5);
  BOOST_TEST(read_field(h, field("f64")).f == 0.1);
  BOOST_TEST(read_field(h, field("flag")).b);
}

BOOST_AUTO_TEST_CASE(integers_that_do_not_fit_are_refused_and_nothing_changes) {
  Handle h = new_object(all_kinds());
  write_field(h, field("u8"), Value::of(int64_t{7}));
  BOOST_TEST(message_of<std::overflow_error>([&] { write_field(h, field("u8"), Value::of(int64_t{300})); }) ==
             "300 does not fit field u8 of type u8");
  BOOST_TEST(message_of<std::overflow_error>([&] { write_field(h, field("u8"), Value::of(int64_t{-1})); }) ==
             "-1 does not fit field u8 of type u8");
  BOOST_TEST(message_of<std::overflow_error>([&] { write_field(h, field("i64"), Value::of(UINT64_MAX)); }) ==
             "18446744073709551615 does not fit field i64 of type i64");
  BOOST_CHECK_THROW(write_field(h, field("i64"), Value::of(0x1p63)), std::overflow_error);
  BOOST_CHECK_THROW(write_field(h, field("f64"), Value::of((int64_t{1} << 53) + 1)), std::overflow_error);
  BOOST_CHECK_THROW(write_field(h, field("f32"), Value::of(1e300)), std::overflow_error);
  BOOST_CHECK_THROW(write_field(h, field("i64"), Value::of(std::nan(""))), std::invalid_argument);
  BOOST_TEST(read_field(h, field("u8")).u == 7u);
}

BOOST_AUTO_TEST_CASE(values_of_another_kind_are_refused) {
  Handle h = new_object(all_kinds());
  BOOST_TEST(message_of<std::invalid_argument>([&] { write_field(h, field("i32"), Value::of(1.5)); }) ==
             "field i32 of type i32 does not take a value of type f64");
  BOOST_CHECK_THROW(write_field(h, field("flag"), Value::of(int64_t{1})), std::invalid_argument);
  BOOST_CHECK_THROW(write_field(h, field("i8"), Value::of(true)), std::invalid_argument);
  BOOST_CHECK_THROW(write_field(h, field("next"), Value::of(int64_t{0})), std::invalid_argument);
  BOOST_CHECK_THROW(write_field(h, field("i8"), Value::of(Handle())), std::invalid_argument);
  write_field(h, field("i32"), Value::of(2.0));
  BOOST_TEST(read_field(h, field("i32")).i == 2);
  write_field(h, field("f64"), Value::of(int64_t{3}));
  BOOST_TEST(read_field(h, field("f64")).f == 3.0);
}

BOOST_AUTO_TEST_CASE(a_pointer_field_takes_objects_of_its_target_and_nil) {
  const HeapType& leaf = define_struct("Leaf", {{"x", Kind::I64}});
  Handle a = new_object(all_kinds()), b = new_object(all_kinds());
  BOOST_TEST(!read_field(a, field("next")).object);
  write_field(a, field("next"), Value::of(b));
  BOOST_CHECK(read_field(a, field("next")).object == b);
  BOOST_TEST(read_field(a, field("next")).object.type() == &all_kinds());
  BOOST_TEST(message_of<std::invalid_argument>([&] { write_field(a, field("next"), Value::of(new_object(leaf))); }) ==
             "field next of All takes a All, not a Leaf");
  write_field(a, field("next"), Value::of(Handle()));
  BOOST_TEST(!read_field(a, field("next")).object);
}

BOOST_AUTO_TEST_CASE(a_list_built_through_handles_survives_collections) {
  Handle head = new_object(all_kinds());
  for (int64_t i = 1; i <= 2000; i++) {
    Handle node = new_object(all_kinds());
    write_field(node, field("i64"), Value::of(i));
    write_field(node, field("next"), Value::of(head));
    head = node;
    if (i % 500 == 0) gc::collect();
  }
  int64_t expected = 2000;
  for (Handle at = head; at; at = read_field(at, field("next")).object) BOOST_REQUIRE(read_field(at, field("i64")).i == expected--);
  BOOST_TEST(expected == -1);
}

BOOST_AUTO_TEST_SUITE_END()
