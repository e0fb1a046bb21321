#include "gort/heap/handle.h"

#include <new>

#include "gort/base/spin_lock.h"
#include "gort/heap/handle_table.h"
#include "gort/sched/world.h"

namespace gort::heap {
namespace {

SpinLock lock{LockRank::Leaf};  // guards the following
HandleBlock* blocks = nullptr;
void** free_slots = nullptr;
size_t used_slots = 0, block_count = 0;

void* link_to(void** slot) { return slot == nullptr ? nullptr : reinterpret_cast<char*>(slot) + 1; }
void** link_of(void* value) { return value == nullptr ? nullptr : reinterpret_cast<void**>(static_cast<char*>(value) - 1); }

void* read(void** slot) { return __atomic_load_n(slot, __ATOMIC_RELAXED); }
void write(void** slot, void* value) { __atomic_store_n(slot, value, __ATOMIC_RELAXED); }

// take_slot takes a free slot, which keeps its old link until it is written.
void** take_slot() {
  lock.lock();
  if (free_slots == nullptr) {
    auto* block = new (std::nothrow) HandleBlock;
    if (block == nullptr) {
      lock.unlock();
      throw std::bad_alloc();
    }
    for (size_t i = 0; i < HandleBlock::kSlots; i++)
      block->slots[i] = link_to(i + 1 < HandleBlock::kSlots ? &block->slots[i + 1] : nullptr);
    free_slots = block->slots;
    block->next = blocks;
    blocks = block;
    block_count++;
  }
  void** slot = free_slots;
  free_slots = link_of(read(slot));
  used_slots++;
  lock.unlock();
  return slot;
}

void return_slot(void** slot) {
  lock.lock();
  write(slot, link_to(free_slots));
  free_slots = slot;
  used_slots--;
  lock.unlock();
}

}  // namespace

HandleBlock* first_handle_block() {
  lock.lock();
  HandleBlock* block = blocks;
  lock.unlock();
  return block;
}

size_t handle_table_bytes() {
  lock.lock();
  size_t bytes = block_count * sizeof(HandleBlock);
  lock.unlock();
  return bytes;
}

size_t handle_count() {
  lock.lock();
  size_t n = used_slots;
  lock.unlock();
  return n;
}

Handle::Handle(void* object, const HeapType& type) : type_(&type) {
  if (object == nullptr) return;
  slot_ = take_slot();
  store_pointer(slot_, object);
}

Handle::Handle(const Handle& other) : type_(other.type_) {
  if (other.slot_ == nullptr) return;
  world::MutatorScope scope;
  void** slot = take_slot();
  store_pointer(slot, load_pointer(other.slot_));
  slot_ = slot;
}

void Handle::release() {
  world::MutatorScope scope;
  store_pointer(slot_, nullptr);
  return_slot(slot_);
}

}  // namespace gort::heap
