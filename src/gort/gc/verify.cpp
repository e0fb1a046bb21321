#include "gort/gc/verify.h"

#include <bit>

#include "gort/heap/heap.h"
#include "gort/heap/type.h"

namespace gort::gc {
namespace {

using heap::Span;

std::string check_pointer(const Span& from, uintptr_t slot, uintptr_t field) {
  uintptr_t p = __atomic_load_n(reinterpret_cast<uintptr_t*>(field), __ATOMIC_RELAXED);
  Span* to = heap::heap.pages.span_of(p);
  if (to == nullptr || to->marked(to->index_of(p))) return "";
  return "black object of " + std::to_string(from.element_size) + " bytes has a pointer at byte " + std::to_string(field - slot) +
         " to a white object of " + std::to_string(to->element_size) + " bytes";
}

std::string check_object(Span& s, uintptr_t slot) {
  std::string broken;
  if (heap::has_span_bitmap(s.sc)) {
    for (uint64_t bits = heap::bitmap::read(slot, s.element_size); bits != 0 && broken.empty(); bits &= bits - 1)
      broken = check_pointer(s, slot, slot + 8 * uint64_t(std::countr_zero(bits)));
    return broken;
  }
  uintptr_t base = slot + s.header();
  const heap::HeapType& type = s.large_type != nullptr ? *s.large_type : **reinterpret_cast<const heap::HeapType**>(slot);
  for (uintptr_t at = base; at < slot + s.element_size; at += type.size())
    for (uint32_t offset : type.pointer_offsets())
      if (at + offset < slot + s.element_size && broken.empty()) broken = check_pointer(s, slot, at + offset);
  return broken;
}

}  // namespace

std::string verify_colours() {
  std::string broken;
  heap::heap.pages.for_each_span([&](Span& s) {
    if (s.noscan()) return;
    // The alloc bits of a cached span are behind by at most a word: some objects born black go unchecked.
    for (uint32_t i = 0; i < s.nelems && broken.empty(); i++)
      if (!s.is_free(i) && s.marked(i)) broken = check_object(s, s.slot(i));
  });
  return broken;
}

}  // namespace gort::gc
