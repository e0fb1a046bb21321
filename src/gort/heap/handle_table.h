// The handle table: slots that root heap objects, as the collector sees them. Internal to heap/ and gc/.
//
// Slots lie in blocks of 4 KiB that are never returned, so a handle is just the address of its slot. A free slot holds the address of
// the next free one with the lowest bit set, which no object has and which lies outside the heap: markers need not tell them apart.
//
// Blocks are only ever pushed in front of the list. The collector remembers the front at the start of a cycle and
// walks from there beside the mutators; slots that are written during the walk are shaded by whoever writes them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::heap {

struct HandleBlock {
  static constexpr size_t kSlots = 511;
  HandleBlock* next;
  void* slots[kSlots];
};
static_assert(sizeof(HandleBlock) == 4096);

// first_handle_block is the front of the list, or null.
HandleBlock* first_handle_block();

// handle_table_bytes is the size of all blocks.
size_t handle_table_bytes();

}  // namespace gort::heap
