// ElementType: what channels, pools and contexts know about the values they carry.
//
// A value is `size` bytes that are moved by copying them: after a move the source's bytes are dead and nothing is run on them.
// A Python object is an 8-byte element that owns a reference. A primitive that is left with values of its own (a channel that
// dies with a full buffer) destroys them with `destroy`.
//
// Rules for destroy: it is called outside every core lock, on any thread, perhaps on a scheduler stack, perhaps without the
// lock of the lane that made the value; a binding whose destructor needs more than that queues the value for later.
//
// An element never points into the managed heap directly: it holds a handle, which is a root. Rejected: raw pointers as
// elements. Every buffer would be a root, and every move from stack to stack would need the write barrier.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <typeinfo>

namespace gort {

struct ElementType {
  const char* name;
  uint32_t size;                        // 0 is allowed: only the event counts
  uint32_t align;
  bool has_destructor;
  void (*destroy)(void* element);       // null iff !has_destructor
};

// Empty is the element of channels that carry nothing but the event (Go's struct{}).
struct Empty {};

// move_element copies the bytes of an element; the source is dead afterwards.
inline void move_element(void* to, const void* from, uint32_t size) {
  if (size == 8) {
    std::memcpy(to, from, 8);
  } else if (size != 0) {
    std::memcpy(to, from, size);
  }
}

// TriviallyRelocatable<T>: T may be moved by copying its bytes. True of trivially copyable types; specialise it for a type of
// your own whose objects do not know their address (most that hold just pointers to what they own). std::string is not: it
// points into itself. Send a std::unique_ptr<std::string>.
template <class T>
struct TriviallyRelocatable : std::bool_constant<std::is_trivially_copyable_v<T>> {};
template <class T, class D>
struct TriviallyRelocatable<std::unique_ptr<T, D>> : std::is_empty<D> {};
template <class T>
struct TriviallyRelocatable<std::shared_ptr<T>> : std::true_type {};

// element_type is the description of a C++ type. An empty class is an element of size 0.
template <class T>
const ElementType& element_type() {
  static_assert(TriviallyRelocatable<T>::value, "moved by copying bytes: wrap T in std::unique_ptr, or specialise gort::TriviallyRelocatable<T>");
  static_assert(sizeof(T) < 65536, "an element is smaller than 64 KiB");
  constexpr bool destroys = !std::is_trivially_destructible_v<T>;
  static const ElementType type{
      typeid(T).name(),
      std::is_empty_v<T> && !destroys ? 0 : uint32_t(sizeof(T)),
      uint32_t(alignof(T)),
      destroys,
      destroys ? +[](void* element) { static_cast<T*>(element)->~T(); } : nullptr,
  };
  return type;
}

}  // namespace gort
