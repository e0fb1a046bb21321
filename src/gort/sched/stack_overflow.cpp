#include "gort/sched/stack_overflow.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "gort/base/tier.h"
#include "gort/sched/machine.h"

namespace gort::stack_overflow {
namespace {

constexpr size_t kLeastSize = 64 * 1024;   // a chained faulthandler walks Python frames here

struct sigaction before;                   // written once, before our handler can run
std::atomic<void (*)(G*, int)> describe_more{nullptr};
std::atomic<bool> reporting{false};

uintptr_t stack_pointer(void* context) {
  const mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return uintptr_t(machine.gregs[REG_RSP]);
#else
  return uintptr_t(machine.sp);
#endif
}

// Text for a signal handler: no allocation, no locale.
class Line {
 public:
  Line& operator<<(const char* text) {
    while (*text && used_ < sizeof(text_)) text_[used_++] = *text++;
    return *this;
  }
  Line& number(uint64_t value, unsigned base) {
    char digits[20];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (n > 0 && used_ < sizeof(text_)) text_[used_++] = digits[--n];
    return *this;
  }
  Line& address(const void* value) { return (*this << "0x").number(reinterpret_cast<uintptr_t>(value), 16); }
  void write() const {
    for (size_t done = 0; done < used_;) {
      ssize_t n = ::write(STDERR_FILENO, text_ + done, used_ - done);
      if (n <= 0) return;
      done += size_t(n);
    }
  }

 private:
  char text_[512];
  size_t used_ = 0;
};

// The goroutine into whose guard page the address falls, or null.
G* overflowed(const void* address) {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  if (!g || g->own_machine) return nullptr;
  const char* low = g->fiber.stack.low;
  const char* at = static_cast<const char*>(address);
  return at < low && at >= low - kStackGuard ? g : nullptr;
}

[[noreturn]] void report(G* g, uintptr_t sp) {
  if (reporting.exchange(true)) {
    for (;;) pause();
  }
  const Stack& stack = g->fiber.stack;
  Line line;
  (line << "runtime: goroutine stack exceeds ").number(stack.size(), 10) << "-byte limit\nruntime: sp=";
  line.address(reinterpret_cast<void*>(sp)) << " stack=[";
  line.address(stack.low) << ", ";
  line.address(stack.high) << "]\nfatal error: stack overflow\n\ngoroutine ";
  line.number(g->id.load(std::memory_order_relaxed), 10) << " [running]:\n";
  line.write();
  if (auto describe = describe_more.load(std::memory_order_acquire)) describe(g, STDERR_FILENO);
  _exit(2);
}

void pass_on(int number, siginfo_t* info, void* context) {
  if (before.sa_flags & SA_SIGINFO) return before.sa_sigaction(number, info, context);
  bool fault = info->si_code > 0;
  if (before.sa_handler == SIG_IGN && !fault) return;
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(number);
  // The default action: at the faulting instruction once more, or for the signal that was sent.
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  sigaction(number, &standard, nullptr);
  if (!fault) raise(number);
}

void on_fault(int number, siginfo_t* info, void* context) {
  if (info->si_code > 0) {
    if (G* g = overflowed(info->si_addr)) report(g, stack_pointer(context));
  }
  pass_on(number, info, context);
}

bool install() {
  sigaction(SIGSEGV, nullptr, &before);
  struct sigaction ours{};
  ours.sa_sigaction = on_fault;
  ours.sa_mask = before.sa_mask;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_NODEFER | SA_RESTART));
  return sigaction(SIGSEGV, &ours, nullptr) == 0;
}

class AlternateStack {
 public:
  AlternateStack() {
    stack_t present;
    if (sigaltstack(nullptr, &present) != 0 || !(present.ss_flags & SS_DISABLE)) return;
    long page = sysconf(_SC_PAGESIZE);
    size_ = std::max(kLeastSize, size_t(std::max(sysconf(_SC_SIGSTKSZ), 0L)));
    size_ = (size_ + size_t(page) - 1) / size_t(page) * size_t(page);
    memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) return;
    stack_t ours{};
    ours.ss_sp = memory_;
    ours.ss_size = size_;
    if (sigaltstack(&ours, nullptr) == 0) return;
    munmap(memory_, size_);
    memory_ = MAP_FAILED;
  }

  ~AlternateStack() {
    if (memory_ == MAP_FAILED) return;
    stack_t present;
    if (sigaltstack(nullptr, &present) != 0) return;
    if (present.ss_sp == memory_) {
      stack_t none{};
      none.ss_flags = SS_DISABLE;
      if (sigaltstack(&none, nullptr) != 0) return;
    }
    munmap(memory_, size_);
  }
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  void* memory_ = MAP_FAILED;
  size_t size_ = 0;
};

}  // namespace

[[gnu::noinline]] void watch_this_thread() {
  if constexpr (kAddressSanitizer) return;
  static const bool installed = install();
  if (!installed) return;
  thread_local AlternateStack stack;
  asm volatile("" : : "r"(&stack));
}

void set_describe(void (*describe)(G*, int)) { describe_more.store(describe, std::memory_order_release); }

}  // namespace gort::stack_overflow
