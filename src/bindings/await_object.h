// Await: what ch.arecv(), ch.asend(v), async for and aio.sleep(s) give to a coroutine that a goroutine runs (coroutines.h). In tasks of asyncio these are
// coroutines of gort._awaits.
//
// Awaited, it tries. If it must wait and the goroutine can do that without its stack, it yields itself to the goroutine's entry function, which waits for it and
// sends the coroutine on; then the Await has what the operation came to. So that stack holds nothing but the entry function. Else it parks where it is.
//
// Somebody between who runs the coroutine by hand gets the Await as well, and may send the coroutine on: the Await tries again. What waits in a queue meanwhile
// (a Waiter, the value that is offered) lies in the Await, which its goroutine holds until the wait is over.
//
// Thread safety: a goroutine's own, as a coroutine is. Untracked by CPython's collector: it lives as long as an await, and the goroutine that waits is alive.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <cstddef>
#include <new>
#include <utility>

#include "errors.h"
#include "gort/sched/park.h"

namespace gort::python {

// Operation is what is awaited. All of its functions are called attached; what goes wrong in one before result() is kept, and raised by that.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual const char* name() const = 0;         // for messages
  virtual bool attempt() = 0;                   // without waiting. True: it is over
  virtual void wait() = 0;                      // with the stack. Parks
  virtual void wait_stackless() = 0;            // park_stackless: may not return
  virtual void ended(Outcome outcome) = 0;      // called instead of what would have followed there
  virtual PyObject* result() = 0;               // once it is over, once. Null with an exception set
  virtual int traverse(visitproc visit, void* arg) = 0;
};

// What a failed operation keeps until its result is asked for.
class Failure {
 public:
  Failure() = default;
  Failure(const Failure&) = delete;
  Failure& operator=(const Failure&) = delete;
  ~Failure() { Py_XDECREF(error_); }

  // Inside a catch block.
  void keep() {
    errors::translate();
    keep_raised();
  }
  void keep_raised() { error_ = errors::take(); }
  bool raise() {
    if (!error_) return false;
    errors::put(std::exchange(error_, nullptr));
    return true;
  }

 private:
  PyObject* error_ = nullptr;
};

struct AwaitObject {
  static constexpr size_t kRoom = 112;

  PyObject_HEAD
  enum class Stage : unsigned char { Open, Over, Taken } stage;
  alignas(8) char memory[kRoom];   // an Operation

  Operation& operation() { return *std::launder(reinterpret_cast<Operation*>(memory)); }
};

bool is_await(PyObject* object);
inline AwaitObject* as_await(PyObject* object) { return reinterpret_cast<AwaitObject*>(object); }

// The memory of one; the operation is yet to be made in it. Null with MemoryError set.
AwaitObject* new_await_memory();

template <class T, class... Args>
PyObject* new_await(Args&&... args) {
  static_assert(sizeof(T) <= AwaitObject::kRoom && alignof(T) <= 8);
  AwaitObject* await = new_await_memory();
  if (await) new (await->memory) T(std::forward<Args>(args)...);
  return reinterpret_cast<PyObject*>(await);
}

// For who runs the coroutine. wait_for parks with the stack. wait_stackless may not return; then the goroutine begins again and calls wait_ended.
void wait_for(AwaitObject* await);
void wait_stackless(AwaitObject* await);
void wait_ended(AwaitObject* await, Outcome outcome);

bool add_await_type();

}  // namespace gort::python
