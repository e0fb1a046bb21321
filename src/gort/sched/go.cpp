#include "gort/sched/go.h"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

#include "gort/base/errors.h"
#include "gort/sched/run_group.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"
#include "gort/sched/world_internal.h"

namespace gort {
namespace {

[[noreturn]] void uncaught(G* g, const char* what) {
  std::fprintf(stderr, "panic: %s\n\ngoroutine %llu [running]:\n", what,
               static_cast<unsigned long long>(g->id.load(std::memory_order_relaxed)));
  std::fflush(stderr);
  std::_Exit(2);
}

void native_entry(G* g) {
  try {
    g->invoke(g->body);
  } catch (const GoExit&) {
  } catch (const std::exception& error) {
    uncaught(g, error.what());
  }
  if (g->system) Runtime::get().count_system_goroutine(-1);
  detail::free_body(g);
}

}  // namespace

namespace detail {

G* prepare_goroutine(size_t size, void** memory) {
  G* g = Runtime::get().native().new_goroutine();
  g->body = size <= sizeof(g->body_storage) ? g->body_storage : ::operator new(size);
  *memory = g->body;
  return g;
}

void free_body(G* g) {
  if (g->body != g->body_storage) ::operator delete(g->body);
  g->body = nullptr;
}

void start_goroutine(G* g, void (*invoke)(void*), void (*destroy)(void*), bool system) {
  g->invoke = invoke;
  g->destroy = destroy;
  g->entry = native_entry;
  g->system = system;
  if (system) {
    Runtime::get().count_system_goroutine(1);
    if (RunGroup* group = std::exchange(g->group, nullptr)) group->remove();  // no run waits for it
  }
  g->lane->start(g);
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

void goexit() { throw GoExit(); }

int num_cpu() {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : int(sysconf(_SC_NPROCESSORS_ONLN));
  return n < 1 ? 1 : n;
}

int gomaxprocs(int n) {
  Lane& lane = Runtime::get().native();
  int before = lane.processors();
  if (n < 1 || n == before) return before;
  if (n > int(kMaxProcs)) n = int(kMaxProcs);
  world::stop("GOMAXPROCS");
  lane.resize(n, Runtime::get().seed());
  world::start();
  return before;
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

void for_each_processor_local(void (*visit)(void*, ProcessorLocal&), void* context) {
  Runtime::get().native().for_each_processor([&](P& p) { visit(context, p.local); });
}

}  // namespace gort
