#include "gort/sched/go.h"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "gort/base/errors.h"
#include "gort/sched/defer.h"
#include "gort/sched/goroutine.h"
#include "gort/sched/run_group.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

[[noreturn]] void uncaught(G* g, const std::string& text) {
  std::fprintf(stderr, "%s\n\ngoroutine %llu [running]:\n", text.c_str(),
               static_cast<unsigned long long>(g->id.load(std::memory_order_relaxed)));
  std::fflush(stderr);
  std::_Exit(2);
}

void native_entry(G* g) {
  try {
    g->invoke(g->body);
  } catch (const GoExit&) {
  } catch (const std::exception&) {
    uncaught(g, *detail::panic_text());
  }
  g->panics.reset();
  if (g->system) Runtime::get().count_system_goroutine(-1);
  detail::free_body(g);
}

// Its thread is its own already, but for others that are pinned to it.
bool lives_with_others(const G* g) { return g->pin && g->lane.load(std::memory_order_relaxed)->pins(); }

size_t checked_stack_size(const char* function, size_t bytes) {
  if (bytes < kLeastStack || bytes > kMostStack) {
    throw std::invalid_argument(std::string(function) + ": the stack size must be from " + std::to_string(kLeastStack) + " to " +
                                std::to_string(kMostStack) + " bytes, got " + std::to_string(bytes));
  }
  return (bytes + kStackGuard - 1) / kStackGuard * kStackGuard;
}

}  // namespace

namespace detail {

G* prepare_goroutine(size_t size, void** memory, size_t stack_size) {
  world::safe_point();
  if (stack_size) stack_size = checked_stack_size("go", stack_size);
  G* g = Runtime::get().native().new_goroutine(stack_size);
  g->body = size <= sizeof(NativeG::body_storage) ? static_cast<NativeG*>(g)->body_storage : ::operator new(size);
  *memory = g->body;
  return g;
}

void free_body(G* g) {
  if (g->body != static_cast<NativeG*>(g)->body_storage) ::operator delete(g->body);
  g->body = nullptr;
}

void start_goroutine(G* g, void (*invoke)(void*), void (*destroy)(void*), bool system, bool preemptible) {
  g->invoke = invoke;
  g->destroy = destroy;
  g->entry = native_entry;
  g->system = system;
  g->preemptible.store(preemptible, std::memory_order_relaxed);
  if (system) {
    Runtime::get().count_system_goroutine(1);
    if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();  // no run waits for it
  }
  g->home->start(g);
}

}  // namespace detail

void run(std::function<void()> fn) {
  Event done;
  std::exception_ptr error;
  go([&] {
    try {
      fn();
    } catch (const GoExit&) {
    } catch (...) {
      error = std::current_exception();
    }
    done.set();
  });
  while (done.wait() != FutexResult::Woken) {}
  if (error) std::rethrow_exception(error);
}

size_t stack_size(size_t bytes) {
  StackPool& stacks = Runtime::get().native().stacks();
  size_t before = stacks.stack_size();
  if (bytes) stacks.set_size(checked_stack_size("stack_size", bytes));
  return before;
}

void goexit() { throw GoExit(); }

void lock_os_thread() {
  G* g = current();
  if (g->thread_locks == UINT32_MAX) throw Panic("LockOSThread nesting overflow");
  if (lives_with_others(g)) {   // they stay, and nobody joins them
    if (g->thread_locks == 0) g->pin->pinning.locked++;
  } else if (!g->is_plain_thread()) {
    M* m = this_machine();
    if (m->own) m = m->lane->leave_lent_thread(m, g);
    g->own_machine = m;
  }
  g->thread_locks++;
}

void unlock_os_thread() {
  G* g = current();
  if (g->thread_locks == 0 || --g->thread_locks != 0) return;
  if (lives_with_others(g)) g->pin->pinning.locked--;
  else if (!g->is_plain_thread()) g->own_machine = nullptr;
}

int64_t num_goroutine() { return Runtime::get().num_goroutine(); }

uint64_t goroutine_id() { return current()->id.load(std::memory_order_relaxed); }

void BlockingScope::enter() {
  M* m = this_machine();
  if (m && !m->own && !m->lane->hooks()) m->lane->enter_blocking(m, __builtin_frame_address(0));
}

BlockingScope::~BlockingScope() {
  M* m = this_machine();
  if (m && !m->own && !m->lane->hooks()) m->lane->exit_blocking(m);
}

CallbackScope::CallbackScope() {
  M* m = this_machine();
  if (!m || m->own || m->lane->hooks() || m->current->status.load(std::memory_order_relaxed) != Status::Syscall) return;
  entered_ = true;
  m->lane->exit_blocking(m);
}

[[gnu::noinline]] CallbackScope::~CallbackScope() {
  if (!entered_) return;
  M* m = this_machine();
  m->lane->enter_blocking(m, __builtin_frame_address(0));
}

void for_each_processor_local(void (*visit)(void*, ProcessorLocal&), void* context) {
  Runtime::get().native().for_each_processor([&](P& p) { visit(context, p.local); });
}

}  // namespace gort
