#include "gort/heap/span.h"

#include <cstring>

#include "gort/base/tier.h"

namespace gort::heap {

uint32_t Span::sweep() {
  uint32_t live = 0;
  uint8_t* mark = marks();
  for (uint32_t w = 0; w < words(); w++) {
    uint64_t bits = 0;
    for (uint32_t i = 0; i < 8; i++) {
      uint64_t eight;
      std::memcpy(&eight, mark + w * 64 + i * 8, 8);
      if (eight == 0) continue;
      // Byte j (0 or 1) becomes bit j: every product bit has one source, so nothing carries.
      bits |= ((eight * 0x0102040810204080u) >> 56) << (i * 8);
    }
    if (bits != 0) std::memset(mark + w * 64, 0, 64);
    if constexpr (kDebugTier) {
      // What died becomes unmistakable to whoever still looks at it.
      for (uint64_t dead = alloc_word(w) & ~bits; dead != 0; dead &= dead - 1)
        std::memset(reinterpret_cast<void*>(slot(w * 64 + uint32_t(std::countr_zero(dead)))), 0xDB, element_size);
    }
    set_alloc_word(w, bits);
    live += uint32_t(std::popcount(bits));
  }
  uint32_t freed = allocated - live;
  allocated = uint16_t(live);
  if (freed != 0) need_zero = true;
  return freed;
}

}  // namespace gort::heap
