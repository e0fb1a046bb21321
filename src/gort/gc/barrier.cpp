// The slow half of the write barrier (heap/barrier.h), and where it puts what it shades.
#include "gort/heap/barrier.h"

#include <new>

#include "gort/gc/state.h"
#include "gort/sched/processor_local.h"

namespace gort::gc {
namespace {

GreyBuffer shared_buffer;
std::atomic<bool> shared_registered{false};

void push_to_list(GreyBuffer* buffer) {
  buffer->next = state.grey_buffers.load(std::memory_order_relaxed);
  while (!state.grey_buffers.compare_exchange_weak(buffer->next, buffer, std::memory_order_release)) {
  }
}

GreyBuffer& grey_buffer(ProcessorLocal* local) {
  if (local == nullptr) {
    if (!shared_registered.exchange(true, std::memory_order_relaxed)) push_to_list(&shared_buffer);
    return shared_buffer;
  }
  if (local->barrier_buffer == nullptr) {
    auto* made = new GreyBuffer;
    push_to_list(made);
    local->barrier_buffer = made;
  }
  return *static_cast<GreyBuffer*>(local->barrier_buffer);
}

// white returns the span of the object at p if it is not marked yet, else null.
heap::Span* white(void* p, uint32_t* index) {
  auto address = reinterpret_cast<uintptr_t>(p);
  heap::Span* s = heap::heap.pages.span_of(address);
  if (s == nullptr) return nullptr;
  *index = s->index_of(address);
  return s->marked(*index) ? nullptr : s;
}

void shade(GreyBuffer& grey, void* p) {
  uint32_t index;
  heap::Span* s = white(p, &index);
  if (s == nullptr) return;
  s->set_mark(index);
  grey.counts.objects++;
  grey.counts.bytes += s->element_size;
  if (s->noscan()) return;
  if (grey.buffer != nullptr && grey.buffer->full()) {
    state.pool.put(grey.buffer);
    grey.buffer = nullptr;
  }
  if (grey.buffer == nullptr) grey.buffer = state.pool.get_empty();
  grey.buffer->entries[grey.buffer->count++] = s->slot(index);
}

}  // namespace

void collect_grey_buffers() {
  for (GreyBuffer* grey = state.grey_buffers.load(std::memory_order_acquire); grey != nullptr; grey = grey->next) {
    grey->lock.lock();
    if (grey->buffer != nullptr && grey->buffer->count != 0) {
      state.pool.put(grey->buffer);
      grey->buffer = nullptr;
    }
    state.add(grey->counts);
    grey->counts = {};
    grey->lock.unlock();
  }
}

}  // namespace gort::gc

namespace gort::heap {
namespace {

[[gnu::cold]] void shade_both(void* old_value, void* new_value) {
  uint32_t index;
  if (gc::white(old_value, &index) == nullptr && gc::white(new_value, &index) == nullptr) return;
  ProcessorPin pin;
  gc::GreyBuffer& grey = gc::grey_buffer(pin.local());
  grey.lock.lock();
  gc::shade(grey, old_value);
  gc::shade(grey, new_value);
  grey.lock.unlock();
}

}  // namespace

void store_pointer(void** slot, void* value) {
  if (marking.load(std::memory_order_relaxed) != 0) [[unlikely]] shade_both(__atomic_load_n(slot, __ATOMIC_RELAXED), value);
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
}

}  // namespace gort::heap
