#include "gort/gc/work.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace gort::gc {
namespace {
constexpr size_t kBlock = 64 << 10;
}

WorkBuffer* WorkPool::get_empty() {
  lock_.lock();
  if (empty_ == nullptr) {
    void* memory = mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      // Marking cannot be left half done, and nobody to whom an error could be reported is on this stack.
      std::fputs("fatal error: gc: out of memory for work buffers\n", stderr);
      std::abort();
    }
    for (size_t at = 0; at < kBlock; at += sizeof(WorkBuffer)) {
      auto* buffer = ::new (static_cast<char*>(memory) + at) WorkBuffer;
      buffer->next = empty_;
      empty_ = buffer;
    }
    made_ += kBlock;
  }
  WorkBuffer* buffer = empty_;
  empty_ = buffer->next;
  lock_.unlock();
  return buffer;
}

WorkBuffer* WorkPool::get_full() {
  if (!has_work()) return nullptr;
  lock_.lock();
  WorkBuffer* buffer = filled_;
  if (buffer != nullptr) {
    filled_ = buffer->next;
    filled_count_.fetch_sub(1, std::memory_order_relaxed);
  }
  lock_.unlock();
  return buffer;
}

void WorkPool::put(WorkBuffer* buffer) {
  lock_.lock();
  WorkBuffer*& list = buffer->count != 0 ? filled_ : empty_;
  buffer->next = list;
  list = buffer;
  if (buffer->count != 0) filled_count_.fetch_add(1, std::memory_order_release);
  lock_.unlock();
}

uint64_t WorkPool::bytes() {
  lock_.lock();
  uint64_t bytes = made_;
  lock_.unlock();
  return bytes;
}

}  // namespace gort::gc
