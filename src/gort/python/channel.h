// For authors of C++ extension modules: the typed channel inside a gort.Chan, and the other way round.
//
//   gort::Chan<int64_t> out;
//   if (!gort::python::channel("count", "out", object, gort::python::Directions::Send, &out)) return nullptr;   // TypeError is set
//   gort::go([=] { out.send(42); });                                   // a native goroutine, without the GIL
//
// T is the C++ type of a dtype: int8_t .. int64_t (i8 .. i64), uint8_t .. uint64_t (u8 .. u64), float (f32), double (f64), bool,
// std::array<std::byte, N> (bytesN).
// Both sides hold references: the channel lives for as long as either uses it.
// REQUIRES, for both functions: the GIL is held, gort is imported, no Python exception is set. Neither parks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gort/chan/typed_channel.h"
#include "gort/python/extension.h"

namespace gort::python {

template <class T>
inline constexpr bool kHasDtype =
    std::is_same_v<T, bool> || std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, int8_t> ||
    std::is_same_v<T, int16_t> || std::is_same_v<T, int32_t> || std::is_same_v<T, int64_t> || std::is_same_v<T, uint8_t> ||
    std::is_same_v<T, uint16_t> || std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t>;
template <size_t N>
inline constexpr bool kHasDtype<std::array<std::byte, N>> = N > 0 && N < 65536;

// channel puts the channel of an argument into *out. False with TypeError set, which names the function and the argument, if the object is
// no Chan of that dtype, is nil_chan or a timer's, or is a view that lacks a wanted direction; *out is untouched then.
template <class T>
[[nodiscard]] bool channel(const char* function, const char* argument, _object* chan, Directions wanted, Chan<T>* out) {
  static_assert(kHasDtype<T>, "a Chan of Python has no such dtype");
  ChannelRef found;
  if (!extension_hooks().channel(function, argument, chan, element_type<T>(), wanted, &found)) return false;
  *out = Chan<T>(std::move(found));
  return true;
}

// chan_object makes a gort.Chan of a channel that is not nil (a new reference). Null with MemoryError set.
template <class T>
[[nodiscard]] _object* chan_object(const Chan<T>& channel) {
  static_assert(kHasDtype<T>, "a Chan of Python has no such dtype");
  return extension_hooks().chan(channel.ref());
}

}  // namespace gort::python
