#include "gort/fiber/stack.h"

#include <sys/mman.h>

#include <mutex>
#include <new>

namespace gort {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kStacksPerSlab = 64;
constexpr int kGuardInstall = 102;          // MADV_GUARD_INSTALL
constexpr size_t kProtectedGuards = 12'000;  // about 40 % of the default mapping limit

void install_guard(char* page) {
  static bool can_install = true;
  static size_t protected_guards = 0;
  if (can_install && madvise(page, kPage, kGuardInstall) == 0) return;
  can_install = false;
  if (protected_guards < kProtectedGuards && mprotect(page, kPage, PROT_NONE) == 0) protected_guards++;
}

}  // namespace

void StackPool::carve_slab() {
  size_t bytes = size_ * kStacksPerSlab;
  void* slab = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (slab == MAP_FAILED) throw std::bad_alloc();
  madvise(slab, bytes, MADV_NOHUGEPAGE);
  for (size_t i = kStacksPerSlab; i-- > 0;) {
    char* base = static_cast<char*>(slab) + i * size_;
    install_guard(base);
    unused_.push_back({base + kPage, base + size_});
  }
  reserved_ += kStacksPerSlab;
}

Stack StackPool::take() {
  std::lock_guard hold(lock_);
  if (unused_.empty()) carve_slab();
  Stack stack = unused_.back();
  unused_.pop_back();
  if (clean_ > unused_.size()) clean_ = unused_.size();
  return stack;
}

void StackPool::give_back(Stack stack) {
  std::lock_guard hold(lock_);
  unused_.push_back(stack);
}

size_t StackPool::trim() {
  std::lock_guard hold(lock_);
  size_t count = 0;
  for (; clean_ < unused_.size(); clean_++, count++) {
    madvise(unused_[clean_].low, unused_[clean_].size(), MADV_DONTNEED);
  }
  return count;
}

}  // namespace gort
