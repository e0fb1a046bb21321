#include "gort/gc/mark.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "gort/gc/state.h"
#include "gort/heap/type.h"

namespace gort::gc {

using heap::HeapType;
using heap::Span;

namespace {

constexpr uint64_t kPiece = 128 << 10;  // a large object is scanned in pieces of this size
constexpr int kBatch = 64;              // objects between two looks at the stop flag and at who is hungry

uintptr_t load(uintptr_t slot) { return __atomic_load_n(reinterpret_cast<uintptr_t*>(slot), __ATOMIC_ACQUIRE); }

}  // namespace

Marker::Marker() : buffer_(state.pool.get_empty()) { state.pool.active.fetch_add(1, std::memory_order_acq_rel); }

Marker::~Marker() {
  settle_all();
  asm volatile("" : : "r"(pending_) : "memory");  // the ring is cleared indeed, though its life ends here
  state.pool.put(buffer_);
  state.add(counts_);
  state.pool.active.fetch_sub(1, std::memory_order_acq_rel);
}

inline void Marker::push(uintptr_t entry) {
  if (buffer_->full()) [[unlikely]] {
    state.pool.put(buffer_);
    buffer_ = state.pool.get_empty();
  }
  buffer_->entries[buffer_->count++] = entry;
}

inline void Marker::settle(const Pending& pending) {
  if (pending.mark == nullptr || __atomic_load_n(pending.mark, __ATOMIC_RELAXED) != 0) return;
  __atomic_store_n(pending.mark, uint8_t(1), __ATOMIC_RELAXED);
  counts_.objects++;
  size_t size = heap::kClassSize[heap::size_class_of(pending.sc)];
  counts_.bytes += size != 0 ? size : heap::heap.pages.span_of(pending.slot)->element_size;
  if (!heap::is_noscan(pending.sc)) push(pending.slot);
}

void Marker::settle_all() {
  for (Pending& pending : pending_) {
    settle(pending);
    pending = {};  // wholly: this lies on a stack, where a left-over address would keep its object next time
  }
}

[[gnu::always_inline]] inline void Marker::reach(uintptr_t p) {
  heap::PageEntry entry = heap::heap.pages.entry_of(p);
  if (!entry) return;
  size_t c = heap::size_class_of(entry.sc());
  uint32_t offset = entry.offset(p);
  auto index = uint32_t((uint64_t(offset) * heap::kDivideMagic[c]) >> 32);
  Span* s = entry.span();
  uintptr_t slot = c != 0 ? p - offset + uint64_t(index) * heap::kClassSize[c] : s->base;
  uint8_t* mark = s->marks() + index;
  __builtin_prefetch(mark, 1);
  if (!heap::is_noscan(entry.sc())) {
    __builtin_prefetch(reinterpret_cast<void*>(slot));
    if (heap::kClassSize[c] <= heap::kMaxBitsSize) __builtin_prefetch(heap::bitmap::of_page(p));
  }
  Pending oldest = pending_[next_];
  pending_[next_] = {mark, slot, entry.sc()};
  next_ = (next_ + 1) % kPending;
  settle(oldest);
}

void Marker::shade(uintptr_t p) { reach(p); }

void Marker::shade_conservative(uintptr_t word) {
  Span* s = heap::heap.pages.span_of(word);
  if (s == nullptr) return;
  uint32_t i = s->index_of(word);
  // Free first: only after seeing a slot allocated is its mark to be trusted (Span::alloc_word).
  if (i >= s->nelems || s->is_free(i) || s->marked(i)) return;
  settle({s->marks() + i, s->slot(i), s->sc});
}

// Reads stacks of others, red zones included: no sanitizer may look.
[[gnu::no_sanitize("address", "thread", "undefined")]] void Marker::scan_words(const void* low, const void* high) {
  auto* at = reinterpret_cast<const uintptr_t*>((reinterpret_cast<uintptr_t>(low) + 7) & ~uintptr_t(7));
  auto* end = reinterpret_cast<const uintptr_t*>(reinterpret_cast<uintptr_t>(high) & ~uintptr_t(7));
  uintptr_t base = heap::heap.pages.base(), size = heap::heap.pages.bytes_opened();
  for (; at < end; at++)
    if (*at - base < size) shade_conservative(*at);
  counts_.bytes_scanned += uint64_t(reinterpret_cast<uintptr_t>(high) - reinterpret_cast<uintptr_t>(low));
}

inline void Marker::scan(uintptr_t entry) {
  heap::PageEntry page = heap::heap.pages.entry_of(entry);
  uint64_t size = heap::kClassSize[heap::size_class_of(page.sc())];
  if (size - 1 < heap::kMaxBitsSize) [[likely]] {
    for (uint64_t bits = heap::bitmap::read(entry, size); bits != 0; bits &= bits - 1)
      reach(load(entry + 8 * uint64_t(std::countr_zero(bits))));
    counts_.bytes_scanned += size;
    return;
  }
  if (size != 0) {
    scan_typed(entry + heap::kHeaderSize, entry, entry + size, **reinterpret_cast<const HeapType**>(entry));
    return;
  }
  Span* s = page.span();
  size = s->element_size;
  // The first piece puts the others in line.
  if (entry == s->base)
    for (uintptr_t piece = s->base + kPiece; piece < s->base + size; piece += kPiece) push(piece);
  scan_typed(s->base, entry, std::min(entry + kPiece, s->base + size), *s->large_type);
}

// Scans what lies in [low, high) of an array of elements that starts at base. The slot behind the last element is zero.
void Marker::scan_typed(uintptr_t base, uintptr_t low, uintptr_t high, const HeapType& element) {
  counts_.bytes_scanned += high - low;
  uint64_t step = element.size();
  auto offsets = element.pointer_offsets();
  if (step == 8) {
    for (uintptr_t at = std::max(base, low); at < high; at += 8) reach(load(at));
    return;
  }
  uintptr_t first = low <= base ? base : base + (low - base) / step * step;
  for (uintptr_t at = first; at < high; at += step)
    for (uint32_t offset : offsets) {
      if (at + offset < low) continue;
      if (at + offset >= high) break;
      reach(load(at + offset));
    }
}

// share gives half of the work away if the pool is empty.
void Marker::share() {
  if (buffer_->count < 4 || state.pool.has_work()) return;
  WorkBuffer* other = state.pool.get_empty();
  uint64_t n = buffer_->count / 2;
  // The older half: nearer to the roots, so more hangs on it.
  std::memcpy(other->entries, buffer_->entries, n * sizeof(uintptr_t));
  std::memmove(buffer_->entries, buffer_->entries + n, (buffer_->count - n) * sizeof(uintptr_t));
  buffer_->count -= n;
  other->count = n;
  state.pool.put(other);
}

bool Marker::drain_batch() {
  for (int i = 0; i < kBatch; i++) {
    if (buffer_->count == 0) settle_all();
    if (buffer_->count == 0) {
      WorkBuffer* filled = state.pool.get_full();
      if (filled == nullptr) return i != 0;
      state.pool.put(buffer_);
      buffer_ = filled;
    }
    scan(buffer_->entries[--buffer_->count]);
  }
  return true;
}

uint64_t Marker::drain(uint64_t budget) {
  uint64_t start = counts_.bytes_scanned;
  while (counts_.bytes_scanned - start < budget && world::stop_flag.load(std::memory_order_relaxed) == 0) {
    if (!drain_batch()) break;
    share();
  }
  return counts_.bytes_scanned - start;
}

}  // namespace gort::gc
