#include <boost/test/unit_test.hpp>

#include <stdexcept>

#include "gort/heap/object.h"
#include "gort/heap/type.h"

using namespace gort::heap;
using Layout = HeapType::Layout;

namespace {

struct Tree {
  Pointer<Tree> child[3];
  int64_t value;
  Pointer<int> data;
  static auto heap_pointers() { return pointers(&Tree::child, &Tree::data); }
};

struct Plain {
  int32_t a;
  double b;
};

std::vector<uint32_t> offsets(const HeapType& type) { return {type.pointer_offsets().begin(), type.pointer_offsets().end()}; }

}  // namespace

BOOST_AUTO_TEST_SUITE(heap_type)

BOOST_AUTO_TEST_CASE(fields_lie_in_order_each_aligned_to_its_size) {
  const HeapType& t = define_struct("T", {{"a", Kind::I8}, {"b", Kind::F64}, {"c", Kind::U16}, {"d", Kind::Bool}, {"e", Kind::F32}});
  BOOST_TEST(t.size() == 24u);
  const std::pair<const char*, unsigned> expected[] = {{"a", 0}, {"b", 8}, {"c", 16}, {"d", 18}, {"e", 20}};
  for (auto& [name, offset] : expected) BOOST_TEST(t.field(name)->offset == offset);
  BOOST_TEST(t.field("f") == nullptr);
  BOOST_TEST(t.noscan());
  BOOST_TEST(t.name() == "T");
}

BOOST_AUTO_TEST_CASE(a_struct_may_point_to_itself) {
  const HeapType& node = define_struct("Node", {{"value", Kind::I32}, FieldSpec::to_itself("next")});
  BOOST_TEST(node.field("next")->target == &node);
  BOOST_TEST(offsets(node) == std::vector<uint32_t>{8}, boost::test_tools::per_element());
  BOOST_TEST(node.pointer_mask() == 2u);
}

BOOST_AUTO_TEST_CASE(structs_may_point_to_each_other) {
  HeapType& a = define_struct("A", {{"b", Kind::Pointer}});
  HeapType& b = define_struct("B", {{"a", Kind::Pointer, &a}});
  a.set_target("b", b);
  BOOST_TEST(a.field("b")->target == &b);
  BOOST_CHECK_THROW(a.set_target("c", b), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(bad_definitions_are_refused) {
  BOOST_CHECK_THROW(define_struct("T", {{"a", Kind::I8}, {"a", Kind::I8}}), std::invalid_argument);
  BOOST_CHECK_THROW(define_struct("T", {{"", Kind::I8}}), std::invalid_argument);
  BOOST_CHECK_THROW(define_struct("T", {{"a", Kind::I8, &kind_type(Kind::I8)}}), std::invalid_argument);
  BOOST_CHECK_THROW(define_layout("T", 16, {4}), std::invalid_argument);
  BOOST_CHECK_THROW(define_layout("T", 16, {16}), std::invalid_argument);
  BOOST_CHECK_THROW(define_layout("T", 16, {8, 8}), std::invalid_argument);
  BOOST_CHECK_THROW(define_layout("T", 20, {8}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(the_layout_follows_size_and_pointers) {
  auto layout = [](size_t size, bool pointers) {
    return define_layout("T", size, pointers ? std::vector<uint32_t>{0} : std::vector<uint32_t>{}).layout();
  };
  BOOST_CHECK(layout(0, false) == Layout::Zero);
  BOOST_CHECK(layout(15, false) == Layout::Tiny);
  BOOST_CHECK(layout(16, false) == Layout::NoScan);
  BOOST_CHECK(layout(32760, false) == Layout::NoScan);
  BOOST_CHECK(layout(32761, false) == Layout::Large);
  BOOST_CHECK(layout(8, true) == Layout::Bits);
  BOOST_CHECK(layout(512, true) == Layout::Bits);
  BOOST_CHECK(layout(520, true) == Layout::Header);
  BOOST_CHECK(layout(32760, true) == Layout::Header);
  BOOST_CHECK(layout(32768, true) == Layout::Large);
}

BOOST_AUTO_TEST_CASE(cpp_structs_list_their_pointer_members) {
  const HeapType& t = type_of<Tree>();
  BOOST_TEST(t.size() == sizeof(Tree));
  BOOST_TEST(offsets(t) == (std::vector<uint32_t>{0, 8, 16, 32}), boost::test_tools::per_element());
  BOOST_TEST(type_of<Plain>().noscan());
  BOOST_TEST(&type_of<Tree>() == &t);
  BOOST_TEST(&type_of<uint16_t>() == &kind_type(Kind::U16));
  BOOST_TEST(&type_of<double>() == &kind_type(Kind::F64));
  BOOST_TEST(&type_of<Pointer<Tree>>() == &kind_type(Kind::Pointer));
}

BOOST_AUTO_TEST_SUITE_END()
