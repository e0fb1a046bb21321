#include "deferred.h"

#include <mutex>
#include <new>
#include <vector>

#include "gort/sched/run_group.h"
#include "python_lane.h"
#include "references.h"
#include "run.h"
#include "spare.h"

namespace gort::python {

struct Starter {
  SpinLock lock{LockRank::Timers};   // guards all below; a context is unlocked by then, a timer heap as well
  Deferred* all = nullptr;           // that are not taken
  Deferred* first = nullptr;         // to be started, oldest first
  Deferred* last = nullptr;
  G* spare = nullptr;                // the next starter
  bool running = false;              // one is going through the queue

  static Starter& get() {
    static Starter& starter = *new Starter;
    return starter;
  }

  static void main(G* g);
};

void Starter::main(G* g) {
  Starter& starter = get();
  G* next = nullptr;
  for (;;) {
    starter.lock.lock();
    Deferred* d = starter.first;
    PyObject* call = nullptr;
    Origin origin{};
    if (d) {
      starter.first = d->queued_;
      if (!starter.first) starter.last = nullptr;
      origin = d->origin_;
      call = d->take_locked();
    } else if (!starter.all || next) {
      starter.running = false;
      starter.spare = starter.all ? std::exchange(next, nullptr) : nullptr;
      starter.lock.unlock();
      break;
    }
    starter.lock.unlock();
    if (d) {
      if (call) {
        if (!start_call(reinterpret_cast<GoroutineObject*>(call), &origin)) PyErr_WriteUnraisable(call);
        Py_DECREF(call);
      }
      d->release();
    } else if (!(next = new_spare(main))) {
      PyErr_WriteUnraisable(nullptr);
      starter.lock.lock();
      starter.running = false;   // the next make tries again
      starter.lock.unlock();
      break;
    }
  }
  discard_spare(next);
  end_spare(g);
}

Deferred* Deferred::make(GoroutineObject* call) {
  Starter& starter = Starter::get();
  auto* d = new (std::nothrow) Deferred;
  if (!d) {
    Py_DECREF(call);
    PyErr_NoMemory();
    return nullptr;
  }
  G* creator = self();
  G* spare = nullptr;
  starter.lock.lock();
  while (!starter.spare && !starter.running && !spare) {   // whoever drops the last Deferred takes the spare away
    starter.lock.unlock();
    spare = new_spare(Starter::main);
    if (!spare) {
      delete d;
      Py_DECREF(call);
      return nullptr;
    }
    starter.lock.lock();
  }
  d->call_ = reinterpret_cast<PyObject*>(call);
  d->origin_ = {creator->id.load(std::memory_order_relaxed), creator->group};
  if (d->origin_.group) d->origin_.group->retain();
  d->next_ = starter.all;
  if (d->next_) d->next_->prev_ = d;
  starter.all = d;
  if (!starter.spare && !starter.running) starter.spare = std::exchange(spare, nullptr);
  starter.lock.unlock();
  discard_spare(spare);
  return d;
}

// Takes the call out, and d from the list of all.
PyObject* Deferred::take_locked() {
  PyObject* call = std::exchange(call_, nullptr);
  if (!call) return nullptr;
  if (prev_) prev_->next_ = next_; else Starter::get().all = next_;
  if (next_) next_->prev_ = prev_;
  return call;
}

void Deferred::start() {
  Starter& starter = Starter::get();
  starter.lock.lock();
  if (!call_ || is_closed()) {
    starter.lock.unlock();
    release();
    return;
  }
  queued_ = nullptr;
  if (starter.last) starter.last->queued_ = this; else starter.first = this;
  starter.last = this;
  G* spare = std::exchange(starter.spare, nullptr);
  if (spare) starter.running = true;
  starter.lock.unlock();
  if (spare) lane().start(spare);
}

void Deferred::drop() {
  Starter& starter = Starter::get();
  starter.lock.lock();
  PyObject* call = take_locked();
  G* spare = starter.all ? nullptr : std::exchange(starter.spare, nullptr);
  starter.lock.unlock();
  discard_spare(spare);
  if (call) python::drop(call);
  release();
}

void Deferred::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (origin_.group) origin_.group->release();
  delete this;
}

void forget_starter() {
  Starter& starter = Starter::get();
  new (&starter.lock) SpinLock{LockRank::Timers};
  starter.first = starter.last = nullptr;
  starter.spare = nullptr;
  starter.running = false;
}

void drop_deferred(RunGroup* group) {
  Starter& starter = Starter::get();
  std::vector<PyObject*> calls;
  std::vector<Deferred*> timers;
  starter.lock.lock();
  for (Deferred *d = starter.all, *next; d; d = next) {
    next = d->next_;
    if (d->origin_.group != group) continue;
    d->retain();
    timers.push_back(d);
    calls.push_back(d->take_locked());
  }
  G* spare = starter.all ? nullptr : std::exchange(starter.spare, nullptr);
  starter.lock.unlock();
  discard_spare(spare);
  for (Deferred* d : timers) {
    if (d->timer.stop()) d->release();   // what start would have released
    d->release();
  }
  for (PyObject* call : calls) Py_DECREF(call);
}

}  // namespace gort::python
