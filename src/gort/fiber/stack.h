// Stacks for fibers: reserved address ranges of one size with a guard page below, committed by touch.
//
// StackPool hands out stacks carved from slabs of 64. Guards are installed with MADV_GUARD_INSTALL (Linux 6.13), which
// does not split the mapping; where that is missing, with mprotect up to a budget (each guard costs two mappings and
// vm.max_map_count is 65,530), after that without. A returned stack is reused last in first out, still warm; trim() gives the
// memory of unused ones back to the kernel but keeps the addresses.
//
// Thread safety: every method may be called from any thread.
// Rejected: one mmap per stack (a mapping each, 5 us each); growing by copying (C++ frames cannot be moved).
#pragma once

#include <cstddef>
#include <vector>

#include "gort/base/spin_lock.h"

namespace gort {

struct Stack {
  char* low = nullptr;   // first usable byte, just above the guard
  char* high = nullptr;  // one past the last byte
  size_t size() const { return size_t(high - low); }
};

class StackPool {
 public:
  // size: bytes of address space per stack, guard included; a multiple of the page size.
  explicit StackPool(size_t size) : size_(size) {}

  // take returns a stack. Throws std::bad_alloc when the address space or the mapping budget is used up.
  Stack take();
  void give_back(Stack stack);

  // trim drops the pages of all unused stacks. Returns how many stacks were trimmed.
  size_t trim();

  size_t stack_size() const { return size_; }
  size_t reserved() const { return reserved_; }   // stacks ever carved

 private:
  void carve_slab();

  const size_t size_;
  SpinLock lock_;
  std::vector<Stack> unused_;      // guarded by lock_
  size_t clean_ = 0;               // guarded by lock_; unused_[0, clean_) hold no memory
  size_t reserved_ = 0;            // guarded by lock_
};

}  // namespace gort
