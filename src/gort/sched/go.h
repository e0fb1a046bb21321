// Starting native goroutines: the face of the scheduler for C++.
//
//   gort::run([&] {                       // the calling thread waits; the function is a goroutine
//     gort::Chan<int> ch(0);
//     gort::go([=] { ch.send(42); });
//     int v = ch.recv();
//   });
//
// Thread safety: any thread, also plain ones.
// An exception that leaves a goroutine's function ends the process with a Go-style report, except GoExit, which ends the goroutine.
#pragma once

#include <cstdint>
#include <functional>
#include <new>
#include <type_traits>
#include <utility>

#include "gort/base/cpu.h"
#include "gort/sched/procs.h"

namespace gort {

struct G;

namespace detail {
// A new goroutine and the memory for its function object (inside the G when that is small).
G* prepare_goroutine(size_t size, void** memory, size_t stack_size);
void start_goroutine(G* g, void (*invoke)(void*), void (*destroy)(void*), bool system, bool preemptible);
void free_body(G* g);

template <class F>
void spawn(F&& fn, bool system, size_t stack_size = 0, bool preemptible = false) {
  using Fn = std::decay_t<F>;
  void* memory;
  G* g = prepare_goroutine(sizeof(Fn), &memory, stack_size);
  new (memory) Fn(std::forward<F>(fn));
  start_goroutine(
      g,
      [](void* self) {
        struct Guard {
          Fn& fn;
          ~Guard() { fn.~Fn(); }
        } guard{*static_cast<Fn*>(self)};
        guard.fn();
      },
      [](void* self) { static_cast<Fn*>(self)->~Fn(); }, system, preemptible);
}
}  // namespace detail

// go starts fn() as a native goroutine. Returns at once; fn runs next on this P, or on another.
// Captured heap references must be handles (heap/handle.h): the collector does not look into the captured copy.
template <class F>
void go(F&& fn) {
  detail::spawn(std::forward<F>(fn), false);
}

// What else a goroutine may be given.
struct Attributes {
  // Bytes of address space for its stack, rounded up to whole pages; from kLeastStack to kMostStack (Go's limit). 0: what
  // stack_size says. Memory is used for what is touched only. A size of its own costs a mapping (about 5 us) at start and end.
  size_t stack_size = 0;
  // True: when it has computed for its time slice it may be stopped in the middle of its own code, and go on later, on another thread
  // (preempt.h). So that code uses nothing of its thread's or under a lock: no thread_local (errno), no lock held, no
  // iterator of a C library's; calls of gort, of the C and C++ libraries and of system calls are never interrupted. False: it keeps its thread, and
  // only its place among the GOMAXPROCS is given to others.
  bool preemptible = false;
};
inline constexpr size_t kLeastStack = size_t(16) << 10, kMostStack = size_t(1) << 30;

// Throws std::invalid_argument for a stack size out of range, std::bad_alloc when there is no address space left; nothing is started then.
template <class F>
void go(const Attributes& attributes, F&& fn) {
  detail::spawn(std::forward<F>(fn), false, attributes.stack_size, attributes.preemptible);
}

// stack_size sets how much address space the stacks of native goroutines have that are started from now on, and returns the former size;
// 0 only asks. Throws std::invalid_argument as go does.
size_t stack_size(size_t bytes = 0);

// go_system is go for the runtime's own goroutines (collector workers): not counted by num_goroutine, not part of a deadlock.
template <class F>
void go_system(F&& fn) {
  detail::spawn(std::forward<F>(fn), true);
}

// run starts fn as a goroutine and blocks the calling plain thread until it has returned. Rethrows what fn throws.
// Goroutines that fn started live on. REQUIRES: not called from a goroutine.
void run(std::function<void()> fn);

// goexit ends the calling goroutine: its destructors run (GoExit is thrown).
[[noreturn]] void goexit();

// lock_os_thread ties the calling goroutine to the OS thread that it runs on: it goes on there only, and nobody else runs there, until as many
// calls of unlock_os_thread. For code that knows threads: GUI libraries, thread-local state of C libraries. While it waits the
// thread waits with it, so a switch costs a wake-up of a thread. A goroutine that ends locked takes its thread with it, as in Go.
// The thread is never one that a plain thread lends while it waits: there the goroutine lets others run and goes on elsewhere first.
// Throws Panic("LockOSThread nesting overflow"). unlock_os_thread without a lock does nothing.
// Unlike Go's, a locked goroutine that is readied goes on beside GOMAXPROCS others when no P is idle, and threads started while one is
// locked inherit what it did to its thread (priority, affinity).
void lock_os_thread();
void unlock_os_thread();

// num_goroutine counts goroutines of all lanes that exist and are not system ones.
int64_t num_goroutine();

// goroutine_id is the caller's id (1, 2, ...; never reused).
uint64_t goroutine_id();

// BlockingScope marks a blocking call (read, a foreign lock): the P goes to another machine if the call lasts; at its end
// the goroutine gets a P again, waiting in line if need be (Go's entersyscall/exitsyscall). The managed heap must not be touched
// inside; what the stack points to stays alive. Costs two exchanges when nobody took the P.
class BlockingScope {
 public:
  [[gnu::always_inline]] BlockingScope() {
    save_registers(registers_);
    enter();
  }
  ~BlockingScope();
  BlockingScope(const BlockingScope&) = delete;
  BlockingScope& operator=(const BlockingScope&) = delete;

 private:
  void enter();

  SavedRegisters registers_;  // a collector scans the stack from enter's frame upwards while the call blocks
};

// CallbackScope is the way back inside a BlockingScope, for foreign code that calls back (Go's cgocallback): until its end the goroutine has
// a P again and may do everything a goroutine may. Anywhere else it does nothing.
class CallbackScope {
 public:
  CallbackScope();
  ~CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  bool entered_ = false;
};

}  // namespace gort
