// Dtypes: what the elements of typed channels are called in Python, and what they are in C++.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gort/types/element_type.h"

namespace gort::python {

// What the elements of a channel are in Python. Of the first two an Element holds an object.
enum class Kind : uint8_t { Object, Bytes, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Float32, Float64, Bool, Event };

struct Dtype {
  std::string name;         // "i64"; "bytes16"
  Kind kind;
  const ElementType* type;  // int64_t; std::array<std::byte, 16>
};

// For messages.
inline constexpr const char* kDtypes = "i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 bool, or bytesN with N from 1 to 65535";

// find_dtype: by its name; null if there is none such. dtype_of: by the name of the element type, as every module has its own copy of that; null if it is
// none of a dtype. Null too if there is no memory for a new one. One object for each dtype, for ever. Any thread.
const Dtype* find_dtype(std::string_view name) noexcept;
const Dtype* dtype_of(const ElementType& type) noexcept;

}  // namespace gort::python
