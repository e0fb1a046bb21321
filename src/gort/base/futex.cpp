#include "gort/base/futex.h"

#include <cerrno>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gort {

FutexResult futex_wait(std::atomic<uint32_t>& word, uint32_t expected, Nanos deadline) {
  timespec absolute{};
  timespec* limit = nullptr;
  if (deadline != kForever) {
    absolute.tv_sec = deadline / kSecond;
    absolute.tv_nsec = deadline % kSecond;
    limit = &absolute;
  }
  // WAIT_BITSET takes an absolute CLOCK_MONOTONIC time; plain WAIT a relative one.
  long r = syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_BITSET_PRIVATE, expected, limit, nullptr,
                   FUTEX_BITSET_MATCH_ANY);
  if (r == 0 || errno == EAGAIN) return FutexResult::Woken;
  if (errno == ETIMEDOUT) return FutexResult::TimedOut;
  if (errno == EINTR) return FutexResult::Interrupted;
  return FutexResult::Woken;
}

void futex_wake(std::atomic<uint32_t>& word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

FutexResult Event::wait(Nanos deadline) {
  for (;;) {
    uint32_t v = 0;
    if (word_.load(std::memory_order_acquire) == 1) return FutexResult::Woken;
    if (!word_.compare_exchange_strong(v, 2, std::memory_order_acq_rel) && v == 1) return FutexResult::Woken;
    FutexResult r = futex_wait(word_, 2, deadline);
    if (word_.load(std::memory_order_acquire) == 1) return FutexResult::Woken;
    if (r != FutexResult::Woken) return r;
  }
}

}  // namespace gort
