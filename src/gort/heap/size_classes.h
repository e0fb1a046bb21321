// Size classes: the 68 sizes in which small objects come, Go's table exactly (class 0 stands for large objects).
//
// Rounding up wastes at most 16 % of a slot above 128 bytes, and the end of a span at most 12.5 % of it. A span of a class is kClassPages[class] pages of 8 KiB, cut into slots of kClassSize[class] bytes.
// Every class is a multiple of 8 bytes; every class but 8 and 24 is one of 16.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gort::heap {

inline constexpr size_t kPageShift = 13;
inline constexpr size_t kPageSize = size_t(1) << kPageShift;
inline constexpr size_t kNumSizeClasses = 68;
inline constexpr size_t kNumSpanClasses = 2 * kNumSizeClasses;  // size class << 1 | noscan
inline constexpr size_t kMaxSlotSize = 32768;
inline constexpr size_t kHeaderSize = 8;                                // before an object of Layout::Header
inline constexpr size_t kMaxSmallSize = kMaxSlotSize - kHeaderSize;     // more is large, with or without pointers
inline constexpr size_t kMaxBitsSize = 512;  // pointerful objects up to here have their bitmap in the span
inline constexpr size_t kTinySize = 16;      // a tiny block; noscan objects below share one
inline constexpr size_t kTinyClass = 2;
inline constexpr size_t kMaxObjectsPerSpan = 1024;

inline constexpr std::array<uint16_t, kNumSizeClasses> kClassSize = {
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144,
    160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416,
    448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408,
    1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144,
    6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384,
    18432, 19072, 20480, 21760, 24576, 27264, 28672, 32768,
};

inline constexpr std::array<uint8_t, kNumSizeClasses> kClassPages = {
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 1, 2, 1, 3, 2, 3, 1, 3, 2, 3,
    4, 5, 6, 1, 7, 6, 5, 4, 3, 5, 7, 2, 9, 7, 5, 8, 3, 10, 7, 4,
};

namespace detail {
// Two tables as in Go: steps of 8 bytes up to 1016, of 128 above (the class of 1016 and of 1024 is the same).
constexpr size_t kSmallLimit = 1024 - 8;

constexpr uint8_t search_class(size_t size) {
  for (size_t c = 1; c < kNumSizeClasses; c++)
    if (kClassSize[c] >= size) return uint8_t(c);
  return 0;
}
constexpr auto kClassBy8 = [] {
  std::array<uint8_t, kSmallLimit / 8 + 1> table{};
  for (size_t i = 0; i < table.size(); i++) table[i] = search_class(i * 8);
  return table;
}();
constexpr auto kClassBy128 = [] {
  std::array<uint8_t, (kMaxSlotSize - 1024) / 128 + 1> table{};
  for (size_t i = 0; i < table.size(); i++) table[i] = search_class(1024 + i * 128);
  return table;
}();
}  // namespace detail

// size_class returns the smallest class whose slots hold size bytes. REQUIRES: 0 < size <= kMaxSlotSize.
constexpr uint8_t size_class(size_t size) {
  if (size <= detail::kSmallLimit) return detail::kClassBy8[(size + 7) / 8];
  return size <= 1024 ? detail::kClassBy128[0] : detail::kClassBy128[(size - 1024 + 127) / 128];
}

// SpanClass: what one central list and one cache bin hold.
using SpanClass = uint8_t;
constexpr SpanClass span_class(size_t size_class, bool noscan) { return SpanClass(size_class << 1 | size_t(noscan)); }
constexpr size_t size_class_of(SpanClass sc) { return sc >> 1; }
constexpr bool is_noscan(SpanClass sc) { return (sc & 1) != 0; }

// Pointerful spans with slots up to 512 bytes, all of one page, give their last 128 bytes to the pointer bitmap.
inline constexpr size_t kSpanBitmapBytes = kPageSize / 8 / 8;
constexpr bool has_span_bitmap(SpanClass sc) {
  return !is_noscan(sc) && size_class_of(sc) != 0 && kClassSize[size_class_of(sc)] <= kMaxBitsSize;
}

// objects_per_span of a small class.
constexpr uint32_t objects_per_span(SpanClass sc) {
  size_t bytes = kClassPages[size_class_of(sc)] * kPageSize - (has_span_bitmap(sc) ? kSpanBitmapBytes : 0);
  return uint32_t(bytes / kClassSize[size_class_of(sc)]);
}

// divide_magic lets (offset * magic) >> 32 be offset / size for every offset inside a span of the class.
// Of class 0 it is 0: a large object has one slot.
inline constexpr auto kDivideMagic = [] {
  std::array<uint32_t, kNumSizeClasses> magic{};
  for (size_t c = 1; c < kNumSizeClasses; c++) magic[c] = ~uint32_t(0) / kClassSize[c] + 1;
  return magic;
}();
constexpr uint32_t divide_magic(size_t size_class) { return kDivideMagic[size_class]; }

}  // namespace gort::heap
