#include "gort/heap/type.h"

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "gort/heap/size_classes.h"

namespace gort::heap {
namespace {

constexpr struct {
  const char* name;
  size_t size;
} kKinds[] = {{"i8", 1},  {"i16", 2}, {"i32", 4}, {"i64", 8}, {"u8", 1},   {"u16", 2},
              {"u32", 4}, {"u64", 8}, {"f32", 4}, {"f64", 8}, {"bool", 1}, {"ptr", 8}};

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// The map is kept as 32-bit offsets.
constexpr size_t kMaxTypeSize = size_t(1) << 31;

// keep makes a type immortal in a way that leak checkers understand.
template <class T>
T& keep(T* type) {
  static std::mutex lock;
  static auto* all = new std::vector<const HeapType*>;
  std::lock_guard guard(lock);
  all->push_back(type);
  return *type;
}

}  // namespace

size_t kind_size(Kind kind) { return kKinds[size_t(kind)].size; }
const char* kind_name(Kind kind) { return kKinds[size_t(kind)].name; }

HeapType::HeapType(std::string name, size_t size, std::vector<uint32_t> pointer_offsets, std::vector<Field> fields)
    : size_(size), pointer_offsets_(std::move(pointer_offsets)), name_(std::move(name)), fields_(std::move(fields)) {
  if (size_ <= kMaxBitsSize)
    for (uint32_t at : pointer_offsets_) pointer_mask_ |= uint64_t(1) << (at / 8);
  if (size_ == 0) {
    layout_ = Layout::Zero;
  } else if (size_ > kMaxSmallSize) {
    layout_ = Layout::Large;
  } else if (noscan()) {
    layout_ = size_ < kTinySize ? Layout::Tiny : Layout::NoScan;
    span_class_ = heap::span_class(size_class(size_), true);
  } else {
    layout_ = size_ <= kMaxBitsSize ? Layout::Bits : Layout::Header;
    span_class_ = heap::span_class(size_class(size_ + (layout_ == Layout::Header ? kHeaderSize : 0)), false);
  }
}

const Field* HeapType::field(std::string_view name) const {
  for (const Field& f : fields_)
    if (f.name == name) return &f;
  return nullptr;
}

void HeapType::set_target(std::string_view name, const HeapType& target) {
  for (Field& f : fields_) {
    if (f.name != name || f.kind != Kind::Pointer) continue;
    f.target = &target;
    return;
  }
  throw std::invalid_argument("heap: " + name_ + " has no pointer field " + std::string(name));
}

HeapType& define_struct(std::string name, const std::vector<FieldSpec>& specs) {
  std::vector<Field> fields;
  std::vector<uint32_t> pointers;
  size_t at = 0, widest = 1;
  for (const FieldSpec& spec : specs) {
    if (spec.name.empty()) throw std::invalid_argument("heap: struct " + name + " has a field without a name");
    for (const Field& f : fields)
      if (f.name == spec.name) throw std::invalid_argument("heap: struct " + name + " has two fields named " + spec.name);
    if (spec.kind != Kind::Pointer && (spec.target != nullptr || spec.self))
      throw std::invalid_argument("heap: field " + spec.name + " of struct " + name + " has a target but is no pointer");
    size_t size = kind_size(spec.kind);
    at = round_up(at, size);
    widest = std::max(widest, size);
    if (at + size > kMaxTypeSize) throw std::invalid_argument("heap: struct " + name + " is too large");
    if (spec.kind == Kind::Pointer) pointers.push_back(uint32_t(at));
    fields.push_back({spec.name, spec.kind, uint32_t(at), uint32_t(size), spec.target});
    at += size;
  }
  auto* type = new HeapType(std::move(name), round_up(at, widest), std::move(pointers), std::move(fields));
  for (size_t i = 0; i < specs.size(); i++)
    if (specs[i].self) type->fields_[i].target = type;
  return keep(type);
}

const HeapType& define_layout(std::string name, size_t size, std::vector<uint32_t> pointers) {
  std::sort(pointers.begin(), pointers.end());
  uint64_t end = 0;
  for (uint32_t at : pointers) {
    if (at % 8 != 0 || at < end || at + uint64_t(8) > size)
      throw std::invalid_argument("heap: type " + name + " has a pointer at byte " + std::to_string(at) +
                                  ", which is not a word of its own inside its " + std::to_string(size) + " bytes");
    end = at + uint64_t(8);
  }
  if (size > kMaxTypeSize || (!pointers.empty() && size % 8 != 0))
    throw std::invalid_argument("heap: type " + name + " has a size of " + std::to_string(size) + " bytes");
  return keep(new HeapType(std::move(name), size, std::move(pointers), {}));
}

const HeapType& kind_type(Kind kind) {
  static const auto& types = *new std::vector<const HeapType*>([] {  // never destroyed, as the types themselves
    std::vector<const HeapType*> all;
    for (size_t k = 0; k <= size_t(Kind::Pointer); k++) {
      bool pointer = Kind(k) == Kind::Pointer;
      all.push_back(&define_layout(kind_name(Kind(k)), kind_size(Kind(k)),
                                   pointer ? std::vector<uint32_t>{0} : std::vector<uint32_t>{}));
    }
    return all;
  }());
  return *types[size_t(kind)];
}

}  // namespace gort::heap
