// gort.sync: WaitGroup, Mutex, RWMutex, Once, Cond, Pool, SpinLock, LockFreeQueue, Map, each a thin object around the core's primitive of the same name, in a file
// of its own.
//
// Every method that may park is a raw one. What a method holds over a wait (self, arguments) is kept by its caller's frame.
#pragma once

#include "gort/sched/machine.h"
#include "gort/sync/mutex.h"
#include "gort/sync/rwmutex.h"
#include "raw_type.h"

namespace gort::python {

using MutexObject = Holder<Mutex>;
using RWMutexObject = Holder<RWMutex>;
// note_holder says that the caller, whose machine is known, has the mutex (Mutex or RWMutex).
template <class M>
void note_holder(M& mutex) {
  G* g = this_machine()->current;   // null in a signal handler while its thread's goroutine waits
  mutex.note_holder(g ? g->id.load(std::memory_order_relaxed) : 0);
}
extern PyTypeObject* mutex_type;
extern PyTypeObject* rwmutex_type;

// The reading side of an RWMutex.
struct RLockerObject {
  PyObject_HEAD
  PyObject* weak_references;
  PyObject* rwmutex;   // owned
};
inline RLockerObject* as_rlocker(PyObject* self) { return reinterpret_cast<RLockerObject*>(self); }
extern PyTypeObject* rlocker_type;

// Each adds its type to the module. False with an exception set on failure.
bool add_wait_group(PyObject* module);
bool add_mutex(PyObject* module);
bool add_rwmutex(PyObject* module);
bool add_once(PyObject* module);
bool add_cond(PyObject* module);
bool add_pool(PyObject* module);
bool add_spin_lock(PyObject* module);
bool add_lock_free_queue(PyObject* module);
bool add_map(PyObject* module);

}  // namespace gort::python
