// Stacks for fibers: reserved address ranges with a guard page below, committed by touch.
//
// StackPool hands out stacks of one size, carved from slabs of 64. Guards are installed with MADV_GUARD_INSTALL (Linux 6.13), which
// does not split the mapping, several by one process_madvise where the kernel takes that; where guards are not to be had, with mprotect up to a
// budget (each guard costs two mappings and vm.max_map_count is 65,530), after that without. A returned stack is reused last in first out, still
// warm; trim() gives the memory of unused ones back to the kernel but keeps the addresses. A stack of another size is a mapping of its own, and unmapped when
// it is given back. A pool may keep some bytes above each stack's `high` for its user (the Python lane: Python frames); they come and go with the stack.
//
// Thread safety: every method may be called from any thread.
// Rejected: one mmap per stack (a mapping each, 5 us each); growing by copying (C++ frames cannot be moved).
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "gort/base/spin_lock.h"

namespace gort {

inline constexpr size_t kStackGuard = 4096;   // bytes below `low` that no one may touch

struct Stack {
  char* low = nullptr;   // first usable byte, just above the guard
  char* high = nullptr;  // one past the last byte
  size_t size() const { return size_t(high - low); }
};

class StackPool {
 public:
  // size: bytes of address space per stack, guard and what is kept above included; a multiple of the page size.
  explicit StackPool(size_t size, size_t kept_above = 0) : kept_above_(kept_above), size_(size) {}

  // take returns a stack of the pool's size, or of another. Throws std::bad_alloc when the address space or the mapping budget is used up.
  Stack take();
  Stack take(size_t size);
  void give_back(Stack stack);

  // set_size: of the stacks handed out from now on. Those of the former size are unmapped as they come back.
  void set_size(size_t size);

  // drop_memory gives a stack's pages back to the kernel, with those above; they are zero when touched again. REQUIRES: nobody uses the stack.
  void drop_memory(const Stack& stack) const;

  // trim drops the pages of all unused stacks. Returns how many stacks were trimmed.
  size_t trim();

  size_t stack_size() const { return size_.load(std::memory_order_relaxed); }
  size_t size_of(const Stack& stack) const { return kStackGuard + stack.size() + kept_above_; }
  bool is_usual(const Stack& stack) const { return size_of(stack) == stack_size(); }

  // What there is of stacks of the pool's size. Looks at each page (50 ns or so a stack).
  struct Usage {
    size_t stack_size;   // bytes of address space for each
    size_t reserved;     // stacks ever carved
    size_t own;          // stacks of other sizes, now
    size_t resident;     // bytes of memory of all of the pool's size
    size_t high_water;   // bytes up to `high` that the deepest one has touched since its memory was last given back
  };
  Usage usage();

 private:
  void carve_slab();
  void unmap(const Stack& stack) const;

  const size_t kept_above_;
  std::atomic<size_t> size_;       // changed under lock_
  SpinLock lock_;
  std::vector<Stack> unused_;      // guarded by lock_
  std::vector<char*> slabs_;       // guarded by lock_; of the present size
  size_t clean_ = 0;               // guarded by lock_; unused_[0, clean_) hold no memory
  std::atomic<size_t> own_{0};
};

}  // namespace gort
