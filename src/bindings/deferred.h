// Deferred: a goroutine to be started later by somebody who may have no GIL: a timer, a context that is cancelled.
//
//   Deferred* d = Deferred::make(call);            // with the GIL; steals the GoroutineObject
//   timer.start(when, [](void* d, uint64_t) { static_cast<Deferred*>(d)->start(); }, d);
//
// start only queues it and lets a starter run: a goroutine of the Python lane that was made beforehand, which goes through the
// queue with the GIL and starts each. There is one starter, it exists while anything is deferred, and it is no goroutine that anybody sees.
// The goroutine belongs to the run of the goroutine that made the Deferred; the end of that run drops it.
// Rejected: a prepared goroutine for each Deferred; a stack and a thread state for every timer.
#pragma once

#include <atomic>

#include "goroutine_object.h"
#include "gort/time/timer.h"

namespace gort::python {

// drop_deferred drops everything that goroutines of the group deferred. GIL held.
void drop_deferred(RunGroup* group);

// After fork, in the child: the starter and what it was about to start stayed with the parent. GIL held.
void forget_starter();

class Deferred {
 public:
  // make returns it with one reference, which start or drop takes. Null with an exception set. GIL held.
  static Deferred* make(GoroutineObject* call);

  // Exactly one of the two is called, once, on any thread, with or without the GIL. start: the goroutine is started soon.
  void start();
  void drop();

  Timer timer;   // for whoever wants it to be started at a time

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();

 private:
  friend struct Starter;
  friend void drop_deferred(RunGroup* group);
  Deferred() = default;
  ~Deferred() = default;
  PyObject* take_locked();

  std::atomic<uint32_t> references_{1};
  // Guarded by the starter's lock:
  PyObject* call_ = nullptr;     // GoroutineObject; null once it was taken
  Deferred* next_ = nullptr;     // of all that are not taken
  Deferred* prev_ = nullptr;
  Deferred* queued_ = nullptr;   // of those to be started
  Origin origin_{};
};

}  // namespace gort::python
