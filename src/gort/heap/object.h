// C++ structs on the managed heap: Pointer<T> fields, make<T>(), make_array<T>().
//
//   struct Node {
//     gort::heap::Pointer<Node> left, right;
//     int64_t value = 0;
//     static auto heap_pointers() { return gort::heap::pointers(&Node::left, &Node::right); }
//   };
//
//   gort::run([] {
//     Node* root = gort::heap::make<Node>();      // the stack keeps it
//     root->left = gort::heap::make<Node>();      // a field is written through its type: the write barrier runs
//     gort::heap::Ref<Node> kept(root);           // heap/handle.h: keeps it from anywhere
//   });
//
// Rules for T: trivially destructible (nothing runs when an object dies), aligned to at most 8, every pointer to the heap is a
// Pointer field, and every Pointer field is listed in heap_pointers(): one left out is one the collector cannot see. Fields that
// are structs list theirs by offset instead:
//
//     static std::vector<uint32_t> heap_pointers() { return {offsetof(Pair, key.text), offsetof(Pair, value)}; }
#pragma once

#include <cstdint>
#include <new>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "gort/heap/barrier.h"
#include "gort/heap/malloc.h"
#include "gort/heap/type.h"

namespace gort::heap {

// Pointer is a field that points to an object of the heap: the start, or the inside. Assigning runs the write barrier, so a
// Pointer lies only in heap objects, never on a stack (plain T* is for stacks).
// Thread safety: each load and store is atomic (release/acquire), as the collector reads beside the mutators.
template <class T>
class Pointer {
 public:
  constexpr Pointer() = default;
  Pointer(T* p) { store_pointer(&value_, as_void(p)); }
  Pointer(const Pointer& other) : Pointer(other.get()) {}
  Pointer& operator=(const Pointer& other) { return *this = other.get(); }
  Pointer& operator=(T* p) {
    store_pointer(&value_, as_void(p));
    return *this;
  }
  T* get() const { return static_cast<T*>(load_pointer(&value_)); }
  operator T*() const { return get(); }
  T* operator->() const { return get(); }

 private:
  static void* as_void(T* p) { return const_cast<std::remove_const_t<T>*>(p); }
  void* value_ = nullptr;
};
static_assert(sizeof(Pointer<int>) == 8);

namespace detail {
template <class T>
struct IsPointer : std::false_type {};
template <class T>
struct IsPointer<Pointer<T>> : std::true_type {};

template <class T, class Member>
void add_offsets(std::vector<uint32_t>& offsets, Member T::*member) {
  using Element = std::remove_all_extents_t<Member>;
  static_assert(IsPointer<Element>::value, "pointers() takes members of type Pointer<...> or arrays of them");
  alignas(T) static char memory[sizeof(T)];
  const T* object = reinterpret_cast<const T*>(memory);
  auto first = uint32_t(reinterpret_cast<const char*>(&(object->*member)) - memory);
  for (uint32_t at = 0; at < sizeof(Member); at += sizeof(Element)) offsets.push_back(first + at);
}

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return Kind::Bool;
  else if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? Kind::F32 : Kind::F64;
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 1 ? Kind::I8 : sizeof(T) == 2 ? Kind::I16 : sizeof(T) == 4 ? Kind::I32 : Kind::I64;
  else return sizeof(T) == 1 ? Kind::U8 : sizeof(T) == 2 ? Kind::U16 : sizeof(T) == 4 ? Kind::U32 : Kind::U64;
}
}  // namespace detail

// pointers turns members into the offsets that heap_pointers() returns.
template <class T, class... Members>
std::vector<uint32_t> pointers(Members T::*... members) {
  std::vector<uint32_t> offsets;
  (detail::add_offsets(offsets, members), ...);
  return offsets;
}

// type_of is the type of T: a scalar, a Pointer, a struct with heap_pointers(), or a trivially copyable struct without pointers.
// Made at the first call, then one load.
template <class T>
const HeapType& type_of() {
  static_assert(std::is_trivially_destructible_v<T>, "nothing runs when a heap object dies");
  static_assert(alignof(T) <= 8, "heap objects are aligned to 8 bytes");
  if constexpr (std::is_arithmetic_v<T> && sizeof(T) <= 8) {
    static const HeapType& type = kind_type(detail::kind_of<T>());
    return type;
  } else if constexpr (detail::IsPointer<T>::value) {
    static const HeapType& type = kind_type(Kind::Pointer);
    return type;
  } else if constexpr (requires { T::heap_pointers(); }) {
    // No reference: g++ 13 and later take it for one to the temporary string.
    static const HeapType* const type = &define_layout(typeid(T).name(), sizeof(T), T::heap_pointers());
    return *type;
  } else {
    static_assert(std::is_trivially_copyable_v<T>, "T needs a static heap_pointers()");
    static_assert(!std::is_pointer_v<T>, "a pointer on the heap is a Pointer<T>");
    static const HeapType* const type = &define_layout(typeid(T).name(), sizeof(T), {});
    return *type;
  }
}

// make allocates a T and constructs it from args. Contract of allocate.
template <class T, class... Args>
T* make(Args&&... args) {
  void* memory = allocate(type_of<T>());
  if constexpr (sizeof...(Args) == 0 && std::is_trivially_default_constructible_v<T>) return static_cast<T*>(memory);
  return ::new (memory) T(std::forward<Args>(args)...);
}

// make_array allocates n Ts; they are zero, no constructor runs. Contract of allocate_array.
template <class T>
T* make_array(size_t n) {
  return static_cast<T*>(allocate_array(type_of<T>(), n));
}

}  // namespace gort::heap
