// What extension modules of others get from this one: the hooks of the C++ headers (gort/python/extension.h) and the table of C functions
// (gort/python/c_api.h), each a thin line to the core.
#include <cstring>
#include <new>

#include "chan_object.h"
#include "errors.h"
#include "goroutine_object.h"
#include "gort/base/errors.h"
#include "gort/python/c_api.h"
#include "gort/sched/go.h"
#include "python_lane.h"
#include "register.h"

namespace gort::python {
namespace {

// ---------------------------------------------------------------- C++

const ExtensionHooks hooks = {
    .attach = [] { return machine() != nullptr; },
    .raise = [] { errors::translate(); },
    .returned = [] { after_wait(); },
    .start =
        [](void (*invoke)(void*), void (*destroy)(void*), void* body) {
          GoroutineObject* object = start_native("gort::python::go", {invoke, destroy, body}, nullptr, 0);
          if (!object) destroy(body);
          return reinterpret_cast<PyObject*>(object);
        },
    .channel = typed_channel,
    .chan = new_typed_chan,
};

// ---------------------------------------------------------------- C

Channel* channel_of(gort_chan* chan) { return reinterpret_cast<Channel*>(chan); }
gort_chan* handle_of(ChannelRef channel) { return reinterpret_cast<gort_chan*>(channel.detach()); }

Nanos deadline_of(int64_t timeout) { return timeout == GORT_FOREVER ? kForever : timeout <= 0 ? 1 : deadline_after(timeout); }

int result_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::Fired: return GORT_OK;
    case Outcome::TimedOut: return GORT_TIMEOUT;
    case Outcome::Interrupted: return GORT_INTERRUPTED;
    case Outcome::Exit: return GORT_EXIT;
    default: return GORT_DEADLOCK;
  }
}

// Called from Python, a wait that went well leaves a Ctrl-C that came meanwhile pending.
int waited(Outcome outcome) {
  if (outcome == Outcome::Fired || outcome == Outcome::TimedOut) {
    if (M* m = this_machine(); m && m->lane == &lane()) after_wait();
  }
  return result_of(outcome);
}

int c_go(void (*function)(void*), void* argument) {
  CallbackScope scope;
  try {
    gort::go([function, argument] {
      BlockingScope foreign;
      function(argument);
    });
  } catch (const std::bad_alloc&) {
    return GORT_NO_MEMORY;
  }
  return GORT_OK;
}

void c_yield() {
  CallbackScope scope;
  gort::yield();
}

int c_sleep(int64_t nanoseconds) {
  CallbackScope scope;
  if (nanoseconds <= 0) {
    gort::yield();
    return GORT_OK;
  }
  int result = waited(sleep_until(deadline_after(nanoseconds)));
  return result == GORT_TIMEOUT ? GORT_OK : result;
}

gort_chan* c_chan_of(const char* function, const char* argument, PyObject* object, const char* dtype, int wanted) {
  const Dtype* found = find_dtype(dtype);
  if (!found) {
    PyErr_Format(PyExc_TypeError, "%s: %s: there is no dtype '%s'", function, argument, dtype);
    return nullptr;
  }
  ChannelRef channel;
  if (!typed_channel(function, argument, object, *found->type, Directions(wanted), &channel)) return nullptr;
  return handle_of(std::move(channel));
}

PyObject* c_chan_object(gort_chan* chan) { return new_typed_chan(ChannelRef::share(channel_of(chan))); }

gort_chan* c_chan_new(const char* dtype, int64_t capacity) {
  const Dtype* found = find_dtype(dtype);
  if (!found) return nullptr;
  try {
    return handle_of(Channel::make(*found->type, capacity));
  } catch (...) {   // Panic: the size; bad_alloc
    return nullptr;
  }
}

int c_chan_send(gort_chan* chan, const void* element, int64_t timeout) {
  CallbackScope scope;
  try {
    return waited(channel_of(chan)->send(element, deadline_of(timeout)));
  } catch (const Panic&) {
    return GORT_CLOSED;
  }
}

int c_chan_recv(gort_chan* chan, void* element, int64_t timeout) {
  CallbackScope scope;
  Received received = channel_of(chan)->recv(element, deadline_of(timeout));
  int result = waited(received.outcome);
  return result == GORT_OK && !received.ok ? GORT_CLOSED : result;
}

int c_chan_close(gort_chan* chan) {
  CallbackScope scope;
  try {
    channel_of(chan)->close();
  } catch (const Panic&) {
    return GORT_CLOSED;
  }
  return GORT_OK;
}

PyObject* c_raise(int result) {
  switch (result) {
    case GORT_TIMEOUT: return raise_outcome(Outcome::TimedOut);
    case GORT_CLOSED: PyErr_SetString(errors::PanicError, "send on closed channel"); return nullptr;
    case GORT_INTERRUPTED: return raise_outcome(Outcome::Interrupted);
    case GORT_EXIT: return raise_outcome(Outcome::Exit);
    case GORT_DEADLOCK: return raise_outcome(Outcome::Deadlock);
    case GORT_NO_MEMORY: return PyErr_NoMemory();
    default: return PyErr_Format(PyExc_SystemError, "gort: %d is no result to be raised", result);
  }
}

const gort_api table = {
    .version = GORT_API_VERSION,
    .size = sizeof(gort_api),
    .go = c_go,
    .yield = c_yield,
    .sleep = c_sleep,
    .goroutine_id = goroutine_id,
    .chan_of = c_chan_of,
    .chan_object = c_chan_object,
    .chan_new = c_chan_new,
    .chan_retain = [](gort_chan* chan) { channel_of(chan)->retain(); },
    .chan_release = [](gort_chan* chan) { channel_of(chan)->release(); },
    .chan_send = c_chan_send,
    .chan_recv = c_chan_recv,
    .chan_close = c_chan_close,
    .chan_len = [](gort_chan* chan) { return channel_of(chan)->length(); },
    .chan_cap = [](gort_chan* chan) { return channel_of(chan)->capacity(); },
    .attach = [] { return machine() ? 0 : -1; },
    .raise = c_raise,
};

}  // namespace

bool register_extension(PyObject* module) {
  set_extension_hooks(hooks);
  PyObject* capsule = PyCapsule_New(const_cast<gort_api*>(&table), GORT_API_CAPSULE, nullptr);
  bool added = capsule && PyModule_AddObjectRef(module, "_C_API", capsule) == 0;
  Py_XDECREF(capsule);
  return added;
}

}  // namespace gort::python
