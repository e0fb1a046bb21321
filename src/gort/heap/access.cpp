#include "gort/heap/access.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "gort/heap/malloc.h"
#include "gort/sched/world.h"

namespace gort::heap {
namespace {

[[noreturn]] void does_not_fit(const std::string& value, const Field& field) {
  throw std::overflow_error(value + " does not fit field " + field.name + " of type " + kind_name(field.kind));
}

[[noreturn]] void wrong_kind(const Value& value, const Field& field) {
  throw std::invalid_argument("field " + field.name + " of type " + kind_name(field.kind) + " does not take a value of type " +
                              kind_name(value.kind));
}

std::string text(const Value& v) {
  return v.kind == Kind::I64 ? std::to_string(v.i) : v.kind == Kind::U64 ? std::to_string(v.u) : std::to_string(v.f);
}

// to_integer converts to the field's integer type T, or throws.
template <class T>
uint64_t to_integer(const Value& v, const Field& field) {
  bool fits = false;
  T result = 0;
  switch (v.kind) {
    case Kind::I64:
      result = T(v.i);
      fits = std::in_range<T>(v.i);
      break;
    case Kind::U64:
      result = T(v.u);
      fits = std::in_range<T>(v.u);
      break;
    case Kind::F64:
      // 2^digits is exact in a double, the largest T may not be.
      if (v.f != std::trunc(v.f)) wrong_kind(v, field);
      fits = v.f >= double(std::numeric_limits<T>::min()) && v.f < std::ldexp(1.0, std::numeric_limits<T>::digits);
      if (fits) result = T(v.f);
      break;
    default:
      wrong_kind(v, field);
  }
  if (!fits) does_not_fit(text(v), field);
  return uint64_t(result);
}

double to_double(const Value& v, const Field& field) {
  switch (v.kind) {
    case Kind::F64:
      return v.f;
    case Kind::I64:
      if (v.i == INT64_MAX || int64_t(double(v.i)) != v.i) does_not_fit(text(v), field);
      return double(v.i);
    case Kind::U64:
      if (double(v.u) >= 0x1p64 || uint64_t(double(v.u)) != v.u) does_not_fit(text(v), field);
      return double(v.u);
    default:
      wrong_kind(v, field);
  }
}

// scalar_bits is what is stored for the value: its lowest field.size bytes.
uint64_t scalar_bits(const Value& v, const Field& field) {
  switch (field.kind) {
    case Kind::I8: return to_integer<int8_t>(v, field);
    case Kind::I16: return to_integer<int16_t>(v, field);
    case Kind::I32: return to_integer<int32_t>(v, field);
    case Kind::I64: return to_integer<int64_t>(v, field);
    case Kind::U8: return to_integer<uint8_t>(v, field);
    case Kind::U16: return to_integer<uint16_t>(v, field);
    case Kind::U32: return to_integer<uint32_t>(v, field);
    case Kind::U64: return to_integer<uint64_t>(v, field);
    case Kind::F32: {
      double wide = to_double(v, field);
      if (std::isfinite(wide) && std::abs(wide) > double(std::numeric_limits<float>::max())) does_not_fit(text(v), field);
      return std::bit_cast<uint32_t>(float(wide));
    }
    case Kind::F64: return std::bit_cast<uint64_t>(to_double(v, field));
    case Kind::Bool:
      if (v.kind != Kind::Bool) wrong_kind(v, field);
      return v.b ? 1 : 0;
    case Kind::Pointer: break;
  }
  wrong_kind(v, field);
}

}  // namespace

Value Value::of(int64_t i) {
  Value v;
  v.i = i;
  return v;
}
Value Value::of(uint64_t u) {
  Value v;
  v.kind = Kind::U64;
  v.u = u;
  return v;
}
Value Value::of(double f) {
  Value v;
  v.kind = Kind::F64;
  v.f = f;
  return v;
}
Value Value::of(bool b) {
  Value v;
  v.kind = Kind::Bool;
  v.b = b;
  return v;
}
Value Value::of(Handle object) {
  Value v;
  v.kind = Kind::Pointer;
  v.object = std::move(object);
  return v;
}

Handle new_object(const HeapType& type) {
  world::MutatorScope scope;
  return Handle(allocate(type), type);
}

Value read_field(const Handle& handle, const Field& field) {
  world::MutatorScope scope;
  char* at = static_cast<char*>(handle.get()) + field.offset;
  auto load = [at]<class T>(T) { return __atomic_load_n(reinterpret_cast<T*>(at), __ATOMIC_RELAXED); };
  switch (field.kind) {
    case Kind::I8: return Value::of(int64_t(load(int8_t())));
    case Kind::I16: return Value::of(int64_t(load(int16_t())));
    case Kind::I32: return Value::of(int64_t(load(int32_t())));
    case Kind::I64: return Value::of(load(int64_t()));
    case Kind::U8: return Value::of(uint64_t(load(uint8_t())));
    case Kind::U16: return Value::of(uint64_t(load(uint16_t())));
    case Kind::U32: return Value::of(uint64_t(load(uint32_t())));
    case Kind::U64: return Value::of(load(uint64_t()));
    case Kind::F32: return Value::of(double(std::bit_cast<float>(load(uint32_t()))));
    case Kind::F64: return Value::of(std::bit_cast<double>(load(uint64_t())));
    case Kind::Bool: return Value::of(load(uint8_t()) != 0);
    case Kind::Pointer: break;
  }
  void* object = load_pointer(reinterpret_cast<void**>(at));
  if (object == nullptr) return Value::of(Handle());
  return Value::of(Handle(object, field.target != nullptr ? *field.target : kind_type(Kind::Pointer)));
}

void write_field(const Handle& handle, const Field& field, const Value& value) {
  if (field.kind == Kind::Pointer) {
    if (value.kind != Kind::Pointer) wrong_kind(value, field);
    if (value.object && field.target != nullptr && value.object.type() != field.target)
      throw std::invalid_argument("field " + field.name + " of " + handle.type()->name() + " takes a " + field.target->name() +
                                  ", not a " + value.object.type()->name());
    world::MutatorScope scope;
    store_pointer(reinterpret_cast<void**>(static_cast<char*>(handle.get()) + field.offset), value.object.get());
    return;
  }
  uint64_t bits = scalar_bits(value, field);
  world::MutatorScope scope;
  char* at = static_cast<char*>(handle.get()) + field.offset;
  switch (field.size) {
    case 1: __atomic_store_n(reinterpret_cast<uint8_t*>(at), uint8_t(bits), __ATOMIC_RELAXED); break;
    case 2: __atomic_store_n(reinterpret_cast<uint16_t*>(at), uint16_t(bits), __ATOMIC_RELAXED); break;
    case 4: __atomic_store_n(reinterpret_cast<uint32_t*>(at), uint32_t(bits), __ATOMIC_RELAXED); break;
    default: __atomic_store_n(reinterpret_cast<uint64_t*>(at), bits, __ATOMIC_RELAXED);
  }
}

}  // namespace gort::heap
