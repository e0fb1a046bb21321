#include "gort/fiber/stack.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

#if defined(GORT_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace gort {
namespace {

constexpr size_t kPage = kStackGuard;
constexpr size_t kStacksPerSlab = 64;
constexpr int kGuardInstall = 102;          // MADV_GUARD_INSTALL
constexpr int kThisProcess = -10000;         // PIDFD_SELF; EBADF where it is not known
constexpr size_t kProtectedGuards = 12'000;  // about 40 % of the default mapping limit

void install_guard(char* page) {
  static std::atomic<bool> can_install{true};
  static std::atomic<size_t> protected_guards{0};
  if (can_install && madvise(page, kStackGuard, kGuardInstall) == 0) return;
  can_install = false;
  if (protected_guards < kProtectedGuards && mprotect(page, kStackGuard, PROT_NONE) == 0) protected_guards++;
}

// One at the low end of each of a slab's stacks, many by one call where the kernel takes it: 0.45 us a guard instead of 0.75.
void install_guards(char* slab, size_t stack_size) {
  constexpr size_t kTogether = 16;   // 256 bytes of somebody's stack
  for (size_t i = 0; i < kStacksPerSlab; i += kTogether) {
    iovec guards[kTogether];
    for (size_t k = 0; k < kTogether; k++) guards[k] = {slab + (i + k) * stack_size, kStackGuard};
    long bytes = syscall(SYS_process_madvise, kThisProcess, guards, kTogether, kGuardInstall, 0);
    for (size_t k = bytes > 0 ? size_t(bytes) / kStackGuard : 0; k < kTogether; k++) install_guard(static_cast<char*>(guards[k].iov_base));
  }
}

char* reserve(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return static_cast<char*>(memory);
}

}  // namespace

void StackPool::unmap(const Stack& stack) const {
#if defined(GORT_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(stack.low, stack.size());   // who maps this address next starts afresh
#endif
  munmap(stack.low - kStackGuard, size_of(stack));
}

void StackPool::drop_memory(const Stack& stack) const { madvise(stack.low, stack.size() + kept_above_, MADV_DONTNEED); }

void StackPool::carve_slab() {
  size_t size = stack_size();
  char* slab = reserve(size * kStacksPerSlab);
  slabs_.push_back(slab);
  install_guards(slab, size);
  for (size_t i = kStacksPerSlab; i-- > 0;) {
    char* base = slab + i * size;
    unused_.push_back({base + kStackGuard, base + size - kept_above_});
  }
}

Stack StackPool::take() {
  std::lock_guard hold(lock_);
  if (unused_.empty()) carve_slab();
  Stack stack = unused_.back();
  unused_.pop_back();
  if (clean_ > unused_.size()) clean_ = unused_.size();
  return stack;
}

Stack StackPool::take(size_t size) {
  if (size == stack_size()) return take();
  char* base = reserve(size);
  install_guard(base);
  own_.fetch_add(1, std::memory_order_relaxed);
  return {base + kStackGuard, base + size - kept_above_};
}

void StackPool::give_back(Stack stack) {
  {
    std::lock_guard hold(lock_);
    if (is_usual(stack)) {
      unused_.push_back(stack);
      return;
    }
  }
  own_.fetch_sub(1, std::memory_order_relaxed);
  unmap(stack);
}

void StackPool::set_size(size_t size) {
  std::vector<Stack> former;
  {
    std::lock_guard hold(lock_);
    if (size == stack_size()) return;
    own_.fetch_add(slabs_.size() * kStacksPerSlab, std::memory_order_relaxed);
    size_.store(size, std::memory_order_relaxed);
    former = std::exchange(unused_, {});
    slabs_.clear();
    clean_ = 0;
  }
  for (const Stack& stack : former) give_back(stack);
}

size_t StackPool::trim() {
  std::lock_guard hold(lock_);
  size_t count = 0;
  for (; clean_ < unused_.size(); clean_++, count++) drop_memory(unused_[clean_]);
  return count;
}

StackPool::Usage StackPool::usage() {
  Usage usage{};
  std::vector<char*> slabs;
  {
    std::lock_guard hold(lock_);
    usage.stack_size = stack_size();
    slabs = slabs_;
  }
  usage.reserved = slabs.size() * kStacksPerSlab;
  usage.own = own_.load(std::memory_order_relaxed);
  const size_t pages = usage.stack_size / kPage;
  std::vector<unsigned char> present(pages * kStacksPerSlab);
  for (char* slab : slabs) {
    if (mincore(slab, usage.stack_size * kStacksPerSlab, present.data()) != 0) continue;   // parts are unmapped: the size has changed
    for (size_t i = 0; i < kStacksPerSlab; i++) {
      auto first = present.begin() + ptrdiff_t(i * pages), last = first + ptrdiff_t(pages);
      auto resident = [](unsigned char page) { return page & 1; };
      usage.resident += size_t(std::count_if(first, last, resident)) * kPage;
      auto high = last - ptrdiff_t(kept_above_ / kPage);
      usage.high_water = std::max(usage.high_water, size_t(high - std::find_if(first, high, resident)) * kPage);
    }
  }
  return usage;
}

}  // namespace gort
