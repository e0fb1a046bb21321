#include "gort/signal/signals.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cerrno>
#include <system_error>

#include "gort/base/futex.h"
#include "gort/sched/runtime.h"

namespace gort::signals {
namespace {

enum class State : uint8_t { Free, Taken, Ignored };

struct Slot {
  State state = State::Free;
  struct sigaction before{};            // while ours is installed it does not change: the handler reads it
  std::atomic<bool> pass_on{false};
};
Slot slots[kMost + 1];
Set taken = 0;                          // in state Taken

std::atomic<Set> pending{0};
std::atomic<uint32_t> arrivals{0};      // what the forwarder sleeps on: changes after each change of pending
std::atomic<bool> stopping{false};
std::atomic<void (*)()> sink{nullptr};
pthread_t forwarder;

void wake_forwarder() {
  arrivals.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(arrivals);
}

void on_signal(int number, siginfo_t* info, void* context) {
  int error = errno;
  pending.fetch_or(bit(number), std::memory_order_seq_cst);
  wake_forwarder();
  const Slot& slot = slots[number];
  if (slot.pass_on.load(std::memory_order_relaxed)) {
    if (slot.before.sa_flags & SA_SIGINFO) slot.before.sa_sigaction(number, info, context);
    else if (slot.before.sa_handler != SIG_DFL && slot.before.sa_handler != SIG_IGN) slot.before.sa_handler(number);
  }
  errno = error;
}

bool is_ours(const struct sigaction& action, State state) {
  if (state == State::Ignored) return !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN;
  return state == State::Taken && (action.sa_flags & SA_SIGINFO) && action.sa_sigaction == on_signal;
}

// Puts ours over what is there.
void install(int number) {
  Slot& slot = slots[number];
  struct sigaction present;
  sigaction(number, nullptr, &present);
  if (is_ours(present, slot.state)) return;
  slot.before = present;
  struct sigaction ours{};
  if (slot.state == State::Ignored) {
    ours.sa_handler = SIG_IGN;
  } else {
    ours.sa_sigaction = on_signal;
    ours.sa_mask = present.sa_mask;
    // Calls are interrupted only if that is what the handler behind us wants.
    bool restart = !slot.pass_on.load(std::memory_order_relaxed) || (present.sa_flags & SA_RESTART);
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (restart ? SA_RESTART : 0);
  }
  sigaction(number, &ours, nullptr);
}

void uninstall(int number) {
  Slot& slot = slots[number];
  struct sigaction present;
  sigaction(number, nullptr, &present);
  if (is_ours(present, slot.state)) sigaction(number, &slot.before, nullptr);
}

void* forward(void*) {
  for (;;) {
    uint32_t seen = arrivals.load(std::memory_order_seq_cst);
    if (stopping.load(std::memory_order_acquire)) return nullptr;
    if (pending.load(std::memory_order_seq_cst) != 0) sink.load(std::memory_order_acquire)();
    futex_wait(arrivals, seen);
  }
}

void start_forwarder() {
  stopping.store(false);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&forwarder, nullptr, forward, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error) throw std::system_error(error, std::generic_category(), "gort: cannot start a thread for signals");
  Runtime::get().machine_active();
}

void stop_forwarder() {
  stopping.store(true, std::memory_order_release);
  wake_forwarder();
  pthread_join(forwarder, nullptr);
  Runtime::get().machine_idle(nullptr);
}

// The signal is no longer caught, and what came of it and was not asked for is dropped.
void forget(int number) {
  if (slots[number].state != State::Taken) return;
  taken &= ~bit(number);
  pending.fetch_and(~bit(number), std::memory_order_seq_cst);
  if (taken == 0) stop_forwarder();
}

}  // namespace

bool can_be_taken(int number) {
  if (number < 1 || number > kMost) return false;
  for (int never : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGURG}) {
    if (number == never) return false;
  }
  return number < SIGSYS + 1 || number >= SIGRTMIN;   // the two below are the C library's own
}

void take(int number, bool pass_on) {
  Slot& slot = slots[number];
  if (taken == 0) start_forwarder();
  taken |= bit(number);
  slot.pass_on.store(pass_on, std::memory_order_relaxed);
  if (slot.state == State::Ignored) uninstall(number);
  slot.state = State::Taken;
  install(number);
}

void ignore(int number) {
  Slot& slot = slots[number];
  if (slot.state != State::Free) uninstall(number);
  forget(number);
  slot.state = State::Ignored;
  install(number);
}

void give_back(int number) {
  Slot& slot = slots[number];
  if (slot.state == State::Free) return;
  uninstall(number);
  forget(number);
  slot.state = State::Free;
}

void lower(int number) {
  if (slots[number].state != State::Free) uninstall(number);
}

void lift(int number) {
  if (slots[number].state != State::Free) install(number);
}

void set_sink(void (*function)()) { sink.store(function, std::memory_order_release); }

Set take_pending() { return pending.exchange(0, std::memory_order_seq_cst); }

bool any_pending() { return pending.load(std::memory_order_seq_cst) != 0; }

// The forwarder does not exist in the child, and the runtime has counted anew.
void after_fork_in_child() {
  taken = 0;
  pending.store(0);
  for (int number = 1; number <= kMost; number++) {
    if (slots[number].state != State::Free) uninstall(number);
    slots[number].state = State::Free;
  }
}

}  // namespace gort::signals
