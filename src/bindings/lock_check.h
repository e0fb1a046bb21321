// What gort.sync.check() puts around the locks of the Python face: Mutex, RWMutex and its rlocker, SpinLock, and what Cond does with them. The search
// itself is gort/observe/lock_check.h.
//
//   if (checks_locks()) [[unlikely]] ... checked_lock(...)
//
// Off, each method pays for that one branch. On, a lock costs a walk over the innermost frames and some probes of hash tables; a whole stack is kept only where
// something is new, or where the goroutine waits anyway.
//
// A fault is reported by the goroutine that completes it, before it takes the lock: the reporter is Python code, may park, and what it raises
// leaves the method that was called, with nothing taken. Waits that look endless are looked for by whoever locks something later, as they need somebody who still
// runs anyway; those of a deadlocked run at the deadlock, and reported by whom it is raised in.
//
// C++ code that locks a gort::Mutex or RWMutex is not checked: its lock is ten instructions inline, which would have to ask.
#pragma once

#include <Python.h>

#include <atomic>

#include "gort/observe/lock_check.h"
#include "gort/sched/choice.h"
#include "gort/sched/park.h"

namespace gort::python {

extern std::atomic<bool> lock_check_on;
inline bool checks_locks() { return lock_check_on.load(std::memory_order_relaxed); }

// A lock as the check knows it: by its object (the RWMutex for an rlocker), of which it has no reference.
struct CheckedLock {
  PyObject* object;
  const char* type;
  observe::Hold how;
};

// may_lock is asked before the calling goroutine wants the lock. False: the reporter raised something. again: it holds it, and unlocks it before (Cond).
// Runs Python code.
bool may_lock(const CheckedLock& lock, bool again = false);
void lock_waits(const CheckedLock& lock);
void lock_waited();
void lock_taken(const CheckedLock& lock);
void lock_released(const CheckedLock& lock);   // before it is unlocked
void lock_gone(PyObject* lock);                // by its destructor
PyObject* refuse_copy(PyObject* self, PyObject*);   // errors::refuse_reduce, and reported

// wait_checked takes the lock with `wait`, which tells by its outcome, if `try_lock` does not get it. An explored schedule is the same with the check
// and without, so there it is not tried before: that passes a safe point.
template <class Try, class Wait>
Outcome wait_checked(const CheckedLock& lock, Try try_lock, Wait wait) {
  if (!choice::exploring() && try_lock()) return Outcome::Fired;
  lock_waits(lock);
  Outcome outcome = wait();
  lock_waited();
  return outcome;
}

// checked_lock is that with may_lock before and lock_taken after it. Pending: the reporter raised something.
template <class Try, class Wait>
Outcome checked_lock(const CheckedLock& lock, Try try_lock, Wait wait) {
  if (!may_lock(lock)) return Outcome::Pending;
  Outcome outcome = wait_checked(lock, try_lock, wait);
  if (outcome == Outcome::Fired) lock_taken(lock);
  return outcome;
}

// At a deadlock of the run, while everybody still waits; and by whom it is raised in, who has no exception yet.
void find_faults_of_deadlock();
void report_faults_of_deadlock();

void lock_check_after_fork_in_child();

}  // namespace gort::python
