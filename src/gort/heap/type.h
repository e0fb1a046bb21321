// HeapType describes the objects of the managed heap: their size, where their pointers are, and the names of their fields.
//
//   const HeapType& node = define_struct("Node", {{"value", Kind::I64}, FieldSpec::to_itself("next")});
//   const Field* next = node.field("next");          // offset 8, Kind::Pointer, target node
//
// The collector looks at the pointer map alone; fields serve the Python face and reports. C++ structs get their type from
// type_of<T>() in heap/object.h.
//
// Types live for the whole process, as in Go: objects, spans and handles keep plain references to them.
// Thread safety: a type is immutable once an object of it exists; the define functions may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gort::heap {

class HeapType;

enum class Kind : uint8_t { I8, I16, I32, I64, U8, U16, U32, U64, F32, F64, Bool, Pointer };

size_t kind_size(Kind kind);
// kind_name is the Python face's word: "i8" ... "f64", "bool", "ptr".
const char* kind_name(Kind kind);

// What a caller says about a field.
struct FieldSpec {
  std::string name;
  Kind kind = Kind::I64;
  const HeapType* target = nullptr;  // of a Pointer: what it may point to; null: any object
  bool self = false;                 // of a Pointer: the target is the struct that is being defined

  static FieldSpec to_itself(std::string name) { return {std::move(name), Kind::Pointer, nullptr, true}; }
};

struct Field {
  std::string name;
  Kind kind;
  uint32_t offset;         // bytes from the start of the object
  uint32_t size;           // bytes
  const HeapType* target;  // of a Pointer; null: any object
};

class HeapType {
 public:
  // How an object of this type is laid out in its span; chosen once, when the type is made.
  enum class Layout : uint8_t {
    Zero,      // no bytes: all such objects share one address
    Tiny,      // no pointers, < 16 bytes: several share a 16-byte block
    NoScan,    // no pointers
    Bits,      // pointers, <= 512 bytes: bitmap at the end of the span
    Header,    // pointers, larger: an 8-byte header before the object names the type
    Large,     // a span of its own
  };

  const std::string& name() const { return name_; }
  size_t size() const { return size_; }
  bool noscan() const { return pointer_offsets_.empty(); }
  Layout layout() const { return layout_; }

  // span_class of a single object: size class << 1 | noscan. REQUIRES: layout NoScan, Bits or Header.
  uint8_t span_class() const { return span_class_; }

  // pointer_mask has bit i set if word i is a pointer. REQUIRES: size() <= 512.
  uint64_t pointer_mask() const { return pointer_mask_; }

  // Offsets of the pointers in bytes, rising, multiples of 8.
  std::span<const uint32_t> pointer_offsets() const { return pointer_offsets_; }

  // Empty for scalars, pointers and C++ structs.
  std::span<const Field> fields() const { return fields_; }
  // field returns the field of that name, or null.
  const Field* field(std::string_view name) const;

  // set_target says what a Pointer field may point to, for structs that refer to each other.
  // Throws std::invalid_argument if there is no such pointer field. REQUIRES: no object of this type exists yet.
  void set_target(std::string_view field, const HeapType& target);

 private:
  friend HeapType& define_struct(std::string name, const std::vector<FieldSpec>& fields);
  friend const HeapType& define_layout(std::string name, size_t size, std::vector<uint32_t> pointer_offsets);
  HeapType(std::string name, size_t size, std::vector<uint32_t> pointer_offsets, std::vector<Field> fields);

  size_t size_;
  uint64_t pointer_mask_ = 0;
  Layout layout_;
  uint8_t span_class_ = 0;
  std::vector<uint32_t> pointer_offsets_;
  std::string name_;
  std::vector<Field> fields_;
};

// define_struct makes a type whose fields lie in the given order, each aligned to its size, the whole to its widest field.
// Throws std::invalid_argument on an empty or repeated field name and on a target for a field that is no pointer.
HeapType& define_struct(std::string name, const std::vector<FieldSpec>& fields);

// define_layout makes a type from a size and the offsets of its pointers (heap/object.h does this for C++ structs).
// Throws std::invalid_argument unless the offsets rise, are multiples of 8 and lie inside the size, and a size with
// pointers is a multiple of 8.
const HeapType& define_layout(std::string name, size_t size, std::vector<uint32_t> pointer_offsets);

// kind_type is the type of one scalar or pointer, for arrays of them.
const HeapType& kind_type(Kind kind);

}  // namespace gort::heap
