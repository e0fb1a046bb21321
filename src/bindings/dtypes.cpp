#include "dtypes.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <typeinfo>

namespace gort::python {
namespace {

const Dtype numbers[] = {
    {"i8", Kind::Int8, &element_type<int8_t>()},      {"i16", Kind::Int16, &element_type<int16_t>()},
    {"i32", Kind::Int32, &element_type<int32_t>()},   {"i64", Kind::Int64, &element_type<int64_t>()},
    {"u8", Kind::Uint8, &element_type<uint8_t>()},    {"u16", Kind::Uint16, &element_type<uint16_t>()},
    {"u32", Kind::Uint32, &element_type<uint32_t>()}, {"u64", Kind::Uint64, &element_type<uint64_t>()},
    {"f32", Kind::Float32, &element_type<float>()},   {"f64", Kind::Float64, &element_type<double>()},
    {"bool", Kind::Bool, &element_type<bool>()},
};

// A name around a number: "bytes16", and what the compiler calls std::array<std::byte, 16>.
struct Pattern {
  std::string_view before, after;

  std::optional<uint32_t> number_in(std::string_view name) const {
    if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) return {};
    std::string_view digits = name.substr(before.size(), name.size() - before.size() - after.size());
    uint32_t number = 0;
    auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
    if (error != std::errc{} || end != digits.end() || digits.front() == '0' || number > UINT16_MAX) return {};
    return number;
  }
  std::string with(uint32_t number) const { return std::string(before) + std::to_string(number) + std::string(after); }
};

constexpr Pattern kBytes{"bytes", ""};

Pattern array_name() {   // views of what lives for ever
  std::string_view of_one = typeid(std::array<std::byte, 1>).name();
  size_t at = of_one.rfind('1');
  return {of_one.substr(0, at), of_one.substr(at + 1)};
}

struct BytesDtype {
  std::string array;
  ElementType type;
  Dtype dtype;
  explicit BytesDtype(uint32_t size)
      : array(array_name().with(size)), type{array.c_str(), size, 1, false, nullptr}, dtype{kBytes.with(size), Kind::Bytes, &type} {}
};

const Dtype* bytes_dtype(uint32_t size) try {
  static std::mutex lock;
  static auto& made = *new std::map<uint32_t, std::unique_ptr<BytesDtype>>;   // for ever: channels may outlive what C++ destroys at exit
  std::lock_guard hold(lock);
  std::unique_ptr<BytesDtype>& found = made[size];
  if (!found) found = std::make_unique<BytesDtype>(size);
  return &found->dtype;
} catch (const std::bad_alloc&) {
  return nullptr;
}

}  // namespace

const Dtype* find_dtype(std::string_view name) noexcept {
  for (const Dtype& d : numbers) {
    if (d.name == name) return &d;
  }
  auto size = kBytes.number_in(name);
  return size ? bytes_dtype(*size) : nullptr;
}

const Dtype* dtype_of(const ElementType& type) noexcept {
  std::string_view name = type.name;
  for (const Dtype& d : numbers) {
    if (d.type->name == name) return &d;
  }
  auto size = array_name().number_in(name);
  return size ? bytes_dtype(*size) : nullptr;
}

}  // namespace gort::python
