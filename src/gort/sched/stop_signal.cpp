#include "gort/sched/stop_signal.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <unwind.h>

#include "gort/sched/lane.h"
#include "gort/sched/machine.h"
#include "gort/sched/world_internal.h"

namespace gort::world {
namespace {

constexpr int kSignal = SIGURG;

struct Range {
  uintptr_t low, high;
};
constexpr size_t kMostRanges = 32;
Range closed_code[kMostRanges];   // executable segments in which nobody may be stopped
size_t closed_count = 0;
struct sigaction previous;

int collect_segments(dl_phdr_info* module, size_t, void*) {
  const void* members[] = {
      reinterpret_cast<void*>(&signal_mutator),
      reinterpret_cast<void*>(&std::malloc),
      reinterpret_cast<void*>(&::syscall),   // the C library's, also where a sanitizer has its own malloc and sigaction
      reinterpret_cast<void*>(&std::terminate),
      reinterpret_cast<void*>(&_Unwind_RaiseException),
      reinterpret_cast<void*>(getauxval(AT_SYSINFO_EHDR)),   // the vdso, where whoever reads the clock is; the core does so under its locks
  };
  bool closed = std::strstr(module->dlpi_name, "/ld-") != nullptr;
  auto each_code_segment = [&](auto visit) {
    for (int i = 0; i < module->dlpi_phnum; i++) {
      const ElfW(Phdr)& segment = module->dlpi_phdr[i];
      if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
      uintptr_t low = module->dlpi_addr + segment.p_vaddr;
      visit(Range{low, low + segment.p_memsz});
    }
  };
  each_code_segment([&](Range r) {
    for (const void* address : members) {
      auto at = reinterpret_cast<uintptr_t>(address);
      closed = closed || (r.low <= at && at < r.high);
    }
  });
  if (closed) {
    each_code_segment([&](Range r) {
      if (closed_count < kMostRanges) closed_code[closed_count++] = r;
    });
  }
  return 0;
}

uintptr_t interrupted_instruction(const void* context) {
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return uintptr_t(registers.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return uintptr_t(registers.pc);
#endif
}

bool in_closed_code(uintptr_t pc) {
  for (size_t i = 0; i < closed_count; i++) {
    if (closed_code[i].low <= pc && pc < closed_code[i].high) return true;
  }
  return false;
}

// The address of errno is the thread's, and the optimiser would keep it.
[[gnu::noinline, gnu::noipa]] int get_errno() { return errno; }
[[gnu::noinline, gnu::noipa]] void set_errno(int error) { errno = error; }

void end_slice_here(M* m, ucontext_t* context) {
  G* g = m->current;
  if (!m->preempt.load(std::memory_order_relaxed) || !g || !may_be_preempted(g) || m->mutator_depth != 0) return;
  if (g->status.load(std::memory_order_relaxed) != Status::Running || g->lane.load(std::memory_order_relaxed)->hooks()) return;
  withdraw_preemption(m);
  unblock_stop_signal();   // for who runs here next
  m->lane->give_up_slice(m, g, true);
  pthread_sigmask(SIG_SETMASK, nullptr, &context->uc_sigmask);
  sigaltstack(nullptr, &context->uc_stack);
}

void on_signal(int number, siginfo_t* info, void* context) {
  int error = get_errno();
  M* m = this_machine();
  if (m && m->stop_sent.exchange(false, std::memory_order_acq_rel)) {
    if (!m->inside.load(std::memory_order_relaxed) && !in_closed_code(interrupted_instruction(context))) {
      stop_here(m);
      end_slice_here(m, static_cast<ucontext_t*>(context));
    }
  } else if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
  }
  set_errno(error);
}

// Not on the alternate stack: the registers are to lie on the goroutine's.
void install() {
  struct sigaction now;
  sigaction(kSignal, nullptr, &now);
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal) return;
  if (closed_count == 0) dl_iterate_phdr(collect_segments, nullptr);
  previous = now;
  struct sigaction ours {};
  ours.sa_sigaction = on_signal;
  ours.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&ours.sa_mask);
  sigaction(kSignal, &ours, nullptr);
}

}  // namespace

void signal_mutator(M* m) {
  install();
  m->stop_sent.store(true, std::memory_order_release);
  pthread_kill(m->thread, kSignal);
}

bool may_be_preempted([[maybe_unused]] const G* g) {
#ifdef GORT_TSAN
  return false;
#else
  return g->preemptible.load(std::memory_order_relaxed);
#endif
}

void unblock_stop_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, kSignal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace gort::world
