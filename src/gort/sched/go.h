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

namespace gort {

struct G;

namespace detail {
// A new goroutine and the memory for its function object (inside the G when that is small).
G* prepare_goroutine(size_t size, void** memory);
void start_goroutine(G* g, void (*invoke)(void*), void (*destroy)(void*), bool system);
void free_body(G* g);

template <class F>
void spawn(F&& fn, bool system) {
  using Fn = std::decay_t<F>;
  void* memory;
  G* g = prepare_goroutine(sizeof(Fn), &memory);
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
      [](void* self) { static_cast<Fn*>(self)->~Fn(); }, system);
}
}  // namespace detail

// go starts fn() as a native goroutine. Returns at once; fn runs next on this P, or on another.
// Captured heap references must be handles (heap/handle.h): the collector does not look into the captured copy.
template <class F>
void go(F&& fn) {
  detail::spawn(std::forward<F>(fn), false);
}

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

// gomaxprocs sets the number of native Ps by stopping the world and returns the former number; n < 1 only asks.
int gomaxprocs(int n = 0);
int num_cpu();

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

}  // namespace gort
