// gort.context: the Python objects of the core's contexts.
//
// Ownership: a Context owns its core context and the Context of its parent; keys, values and causes belong to the Context that they
// were given to, the core has borrowed pointers. So CPython's collector sees every reference (a request that is a
// value of its own context is the usual cycle), and a pointer that is read through a Context is alive: whoever gave it is among its parents.
// The core's own text of a context is asked for only through its Context, for the same reason.
//
// Custom contexts (any object with done, err, deadline and value) come here in a Context that stands for them: kind Custom, no parent. It and
// what is made from it ask the object itself, by gort/_custom_context.py, for as long as nothing between can be cancelled.
// What can be is cancelled by a link that is made with it (route, link there); a cancel() cuts the link.
//
// Without the GIL: all is fixed before others see the object, but the cause, which the first who cancels with one sets, unlink, which the first
// who cancels takes, and done, under the object's ObjectLock.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <atomic>
#include <string>

#include "arguments.h"
#include "chan_object.h"
#include "deferred.h"
#include "errors.h"
#include "gort/base/errors.h"
#include "gort/context/context.h"
#include "python_lane.h"
#include "register.h"
#include "without_gil.h"

namespace gort::python {
namespace {

using context::Err;
using context::Value;
using context::ValueType;

struct ContextObject {
  PyObject_HEAD
  PyObject* weak_references;
  Context* core;           // owned
  PyObject* parent;        // Context or null
  PyObject* key;           // of with_value, else null
  PyObject* value;
  PyObject* cause;         // of a cancellation through this object; set once
  PyObject* late_cause;    // of passing the deadline
  PyObject* custom;        // kind Custom: the object
  PyObject* follows;       // Context whose cancellation is ours though it is not above us, else null
  PyObject* unlink;        // callable, returns None: cuts the link from a custom context; else null. Owned by whoever takes it out
  Remembered done;         // the Chan of done(), which owns us
};
PyTypeObject* context_type = nullptr;
PyObject* scope_key = nullptr;   // value(scope_key) is the nearest Context that can be cancelled
ContextObject* as_context(PyObject* self) { return reinterpret_cast<ContextObject*>(self); }

struct RaisedInPython {};   // thrown through the core with a Python exception set

// As Go: a str is itself, what has a text of its own shows it, anything else shows its type. Lone surrogates, which UTF-8 cannot hold, are escaped.
std::string text_of(const void* element) {
  PyObject* object = *static_cast<PyObject* const*>(element);
  if (object == Py_None) return "<nil>";
  bool has_text = PyUnicode_Check(object) || Py_TYPE(object)->tp_str != PyBaseObject_Type.tp_str;
  if (!has_text) return Py_TYPE(object)->tp_name;
  PyObject* text = PyObject_Str(object);
  PyObject* bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : nullptr;
  Py_XDECREF(text);
  if (!bytes) throw RaisedInPython();
  std::string result = PyBytes_AS_STRING(bytes);
  Py_DECREF(bytes);
  return result;
}

const ValueType& borrowed_object() {
  static const ElementType element{"object", sizeof(PyObject*), alignof(PyObject*), false, nullptr};
  static const ValueType type{&element,
                              [](const void* a, const void* b) {
                                return *static_cast<PyObject* const*>(a) == *static_cast<PyObject* const*>(b);
                              },
                              text_of};
  return type;
}
Value borrow(PyObject* object) { return object ? Value(borrowed_object(), &object) : Value(); }

// The caller's argument as a Context. Null with an exception set.
ContextObject* parent_of(const char* function, PyObject* object) {
  if (object == Py_None) {
    PyErr_SetString(errors::PanicError, "cannot create context from nil parent");
    return nullptr;
  }
  if (Py_TYPE(object) == context_type) return as_context(object);
  errors::bad_type(function, "ctx", "a Context", object);
  return nullptr;
}

// An object for a core context still to be made; attach() completes it.
ContextObject* new_context(PyObject* parent) {
  ContextObject* self = as_context(context_type->tp_alloc(context_type, 0));
  if (self) self->parent = Py_XNewRef(parent);
  return self;
}

template <class Make>
PyObject* attach(ContextObject* self, Make make) {
  if (!self) return nullptr;
  try {
    self->core = make().detach();
  } catch (...) {
    errors::translate();
    Py_DECREF(self);
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(self);
}

// The custom context that decides about this one's cancellation. Borrowed; null: none does.
PyObject* custom_of(PyObject* context) {
  for (PyObject* c = context; c; c = as_context(c)->parent) {
    if (as_context(c)->core->scope() || as_context(c)->core->kind() == Context::Kind::WithoutCancel) return nullptr;
    if (as_context(c)->custom) return as_context(c)->custom;
  }
  return nullptr;
}

// A function of gort/_custom_context.py.
template <class... Args>
PyObject* call_custom(const char* function, Args... args) {
  PyObject* module = PyImport_ImportModule("gort._custom_context");
  PyObject* callable = module ? PyObject_GetAttrString(module, function) : nullptr;
  PyObject* result = callable ? PyObject_CallFunctionObjArgs(callable, args..., nullptr) : nullptr;
  Py_XDECREF(callable);
  Py_XDECREF(module);
  return result;
}

ContextRef core_of(PyObject* context) { return ContextRef::share(as_context(context)->core); }

// --- errors

PyObject* new_error(Err err) {
  if (err == Err::None) Py_RETURN_NONE;
  return PyObject_CallNoArgs(err == Err::Canceled ? errors::Canceled : errors::DeadlineExceeded);
}

bool read_cause(const char* function, PyObject** cause) {
  if (*cause == Py_None) *cause = nullptr;
  if (!*cause || PyExceptionInstance_Check(*cause)) return true;
  errors::bad_type(function, "cause", "an exception or None", *cause);
  return false;
}

// --- cancelling

PyObject* cut_link(ContextObject* ctx) {
  std::atomic_ref own(ctx->unlink);
  PyObject* unlink = own.load() ? own.exchange(nullptr) : nullptr;
  if (!unlink) Py_RETURN_NONE;
  PyObject* result = PyObject_CallNoArgs(unlink);
  Py_DECREF(unlink);
  return result;
}

PyObject* cancel_with(PyObject* self, PyObject* cause, Err err = Err::Canceled) {
  ContextObject* ctx = as_context(self);
  if (!machine()) return nullptr;
  if (ctx->core->err() == Err::None) {
    try {
      if (cause) {
        // The core borrows what it is given. Of several who cancel at once the first gives the cause for all: only the first call counts.
        PyObject* first = nullptr;
        if (std::atomic_ref(ctx->cause).compare_exchange_strong(first, cause)) Py_INCREF(cause);
        else cause = first;
      }
      ctx->core->cancel(borrow(cause), err);
    } catch (...) {
      return errors::translate();
    }
  }
  return cut_link(ctx);
}

PyObject* cancel(PyObject* self, PyObject*) { return cancel_with(self, nullptr); }

PyObject* cancel_cause(PyObject* self, PyObject* cause) {
  if (!read_cause("cancel", &cause)) return nullptr;
  return cancel_with(self, cause);
}

PyMethodDef cancel_method = {"cancel", cancel, METH_NOARGS,
                             "cancel()\n--\n\nCancel the context and all below it. Only the first call counts. Never parks."};
PyMethodDef cancel_cause_method = {"cancel", cancel_cause, METH_O,
                                   "cancel(cause, /)\n--\n\nCancel the context and all below it, with an exception (or None) as the\n"
                                   "cause. Only the first call counts. Never parks."};

// (ctx, cancel). Steals ctx.
PyObject* with_cancel_function(PyObject* ctx, PyMethodDef* method) {
  if (!ctx) return nullptr;
  PyObject* function = PyCFunction_New(method, ctx);
  PyObject* pair = function ? PyTuple_Pack(2, ctx, function) : nullptr;
  Py_XDECREF(function);
  Py_DECREF(ctx);
  return pair;
}

// --- the functions; gort/context.py is their face

PyObject* root(const ContextRef& core) {
  return attach(new_context(nullptr), [&] { return core; });
}

// Makes a Context that can be cancelled: make(ContextRef follows) gives its core. Steals self.
template <class Make>
PyObject* cancellable(ContextObject* self, Make make) {
  PyObject* custom = self ? custom_of(self->parent) : nullptr;
  if (!custom) return attach(self, [&] { return make(ContextRef()); });
  PyObject* route = call_custom("route", custom);   // a Context to follow, a channel to wait for, or None: never cancelled
  if (!route) {
    Py_DECREF(self);
    return nullptr;
  }
  if (Py_TYPE(route) == context_type) {
    self->follows = route;
    return attach(self, [&] { return make(core_of(route)); });
  }
  PyObject* made = attach(self, [&] { return make(ContextRef()); });
  PyObject* linked = made && route != Py_None ? call_custom("link", custom, route, made) : Py_XNewRef(made);
  Py_DECREF(route);
  if (!linked) Py_CLEAR(made);
  Py_XDECREF(linked);
  return made;
}

PyObject* with_cancel(PyObject*, PyObject* parent) {
  if (!machine() || !parent_of("with_cancel", parent)) return nullptr;
  auto make = [&](ContextRef follows) { return context::with_cancel(core_of(parent), std::move(follows)); };
  return with_cancel_function(cancellable(new_context(parent), make), &cancel_method);
}

PyObject* with_cancel_cause(PyObject*, PyObject* parent) {
  if (!machine() || !parent_of("with_cancel_cause", parent)) return nullptr;
  auto make = [&](ContextRef follows) { return context::with_cancel(core_of(parent), std::move(follows)); };
  return with_cancel_function(cancellable(new_context(parent), make), &cancel_cause_method);
}

PyObject* make_deadline(const char* function, PyObject* parent, Nanos deadline, PyObject* cause) {
  if (!read_cause(function, &cause)) return nullptr;
  ContextObject* self = new_context(parent);
  if (!self) return nullptr;
  self->late_cause = Py_XNewRef(cause);
  auto make = [&](ContextRef follows) { return context::with_deadline(core_of(parent), deadline, borrow(cause), std::move(follows)); };
  return with_cancel_function(cancellable(self, make), &cancel_method);
}

// (name, parent, seconds of the monotonic clock, cause)
PyObject* with_deadline(PyObject*, PyObject* args) {
  const char* name;
  PyObject *parent, *seconds, *cause;
  if (!PyArg_ParseTuple(args, "sOOO", &name, &parent, &seconds, &cause)) return nullptr;
  Nanos deadline;
  if (!machine() || !parent_of(name, parent) || !seconds_to_nanos(name, "d", seconds, &deadline)) return nullptr;
  return make_deadline(name, parent, deadline < 1 ? 1 : deadline, cause);
}

// (name, parent, seconds from now, cause)
PyObject* with_timeout(PyObject*, PyObject* args) {
  const char* name;
  PyObject *parent, *seconds, *cause;
  if (!PyArg_ParseTuple(args, "sOOO", &name, &parent, &seconds, &cause)) return nullptr;
  Nanos deadline;
  if (!machine() || !parent_of(name, parent) || !seconds_to_deadline(name, "s", seconds, &deadline)) return nullptr;
  return make_deadline(name, parent, deadline, cause);
}

PyObject* with_value(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 3) {
    PyErr_Format(PyExc_TypeError, "with_value: takes 3 arguments (ctx, key, value), got %zd", nargs);
    return nullptr;
  }
  if (!machine() || !parent_of("with_value", args[0])) return nullptr;
  if (args[1] == Py_None) {
    PyErr_SetString(errors::PanicError, "nil key");
    return nullptr;
  }
  if (PyObject_Hash(args[1]) == -1) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return nullptr;
    PyErr_SetString(errors::PanicError, "key is not comparable");
    return nullptr;
  }
  ContextObject* self = new_context(args[0]);
  if (!self) return nullptr;
  self->key = Py_NewRef(args[1]);
  self->value = Py_NewRef(args[2]);
  return attach(self, [&] { return context::with_value(core_of(args[0]), borrow(args[1]), borrow(args[2])); });
}

PyObject* without_cancel(PyObject*, PyObject* parent) {
  if (!machine() || !parent_of("without_cancel", parent)) return nullptr;
  return attach(new_context(parent), [&] { return context::without_cancel(core_of(parent)); });
}

PyObject* cause_of(PyObject*, PyObject* object) {
  ContextObject* ctx = parent_of("cause", object);
  if (!ctx || !machine()) return nullptr;
  if (PyObject* custom = custom_of(object)) return call_custom("cause", custom);
  Err err = ctx->core->err();
  Value cause = ctx->core->cause();
  if (!cause || &cause.type() != &borrowed_object()) return new_error(err);
  return Py_NewRef(*static_cast<PyObject* const*>(cause.element()));
}

// --- for gort/_custom_context.py

// (object, seconds of the monotonic clock or None): the Context that stands for it.
PyObject* stand_in(PyObject*, PyObject* args) {
  PyObject *custom, *seconds;
  if (!PyArg_ParseTuple(args, "OO", &custom, &seconds)) return nullptr;
  Nanos deadline = kForever;
  if (seconds != Py_None && !seconds_to_nanos("deadline", "its result", seconds, &deadline)) return nullptr;
  ContextObject* self = new_context(nullptr);
  if (self) self->custom = Py_NewRef(custom);
  return attach(self, [&] { return context::custom(borrow(custom), deadline < 1 ? 1 : deadline); });
}

// (Context that can be cancelled, Chan): is that its done channel? Chans of one core channel may be several.
PyObject* is_done_channel(PyObject*, PyObject* args) {
  PyObject *ctx, *channel;
  if (!PyArg_ParseTuple(args, "O!O!", context_type, &ctx, chan_type, &channel)) return nullptr;
  try {
    return PyBool_FromLong(as_context(ctx)->core->done().get() == as_chan(channel)->channel);
  } catch (...) {
    return errors::translate();
  }
}

// (Context, whether its deadline was exceeded, cause or None): cancels it, as its parent does.
PyObject* cancel_as(PyObject*, PyObject* args) {
  PyObject *ctx, *cause;
  int exceeded;
  if (!PyArg_ParseTuple(args, "O!pO", context_type, &ctx, &exceeded, &cause)) return nullptr;
  if (!read_cause("cancel", &cause)) return nullptr;
  return cancel_with(ctx, cause, exceeded ? Err::DeadlineExceeded : Err::Canceled);
}

// (Context, callable that its cancel() is to call)
PyObject* set_unlink(PyObject*, PyObject* args) {
  PyObject *ctx, *unlink;
  if (!PyArg_ParseTuple(args, "O!O", context_type, &ctx, &unlink)) return nullptr;
  Py_XDECREF(std::atomic_ref(as_context(ctx)->unlink).exchange(Py_NewRef(unlink)));
  Py_RETURN_NONE;
}

// The done channel of a Context that can be cancelled, as a Chan that does not keep the Context.
PyObject* done_alone(PyObject*, PyObject* ctx) {
  if (!parent_of("done", ctx)) return nullptr;
  try {
    return reinterpret_cast<PyObject*>(new_receiver(as_context(ctx)->core->done(), Kind::Event, nullptr));
  } catch (...) {
    return errors::translate();
  }
}

// --- after_func

constexpr const char* kStopName = "gort.context.stop";

PyObject* stop(PyObject* capsule, PyObject*) {
  if (!machine()) return nullptr;
  auto* registration = static_cast<context::AfterFunc*>(PyCapsule_GetPointer(capsule, kStopName));
  return PyBool_FromLong(registration->stop());
}

PyMethodDef stop_method = {"stop", stop, METH_NOARGS,
                           "stop()\n--\n\nKeep the function from being called; True if this call did. Does not wait for a started one."};

PyObject* after_func(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) {
    PyErr_Format(PyExc_TypeError, "after_func: takes 2 arguments (ctx, fn), got %zd", nargs);
    return nullptr;
  }
  ContextObject* ctx = parent_of("after_func", args[0]);
  if (!ctx || !machine()) return nullptr;
  if (!PyCallable_Check(args[1])) return errors::bad_type("after_func", "fn", "callable", args[1]);
  if (PyObject* custom = custom_of(args[0])) return call_custom("after_func", custom, args[1]);
  GoroutineObject* call = new_call("after_func", &args[1], 1, nullptr);
  if (!call) return nullptr;
  Deferred* deferred = Deferred::make(call);
  if (!deferred) return nullptr;
  context::Task task{[](void* d) { static_cast<Deferred*>(d)->start(); }, [](void* d) { static_cast<Deferred*>(d)->drop(); }, deferred};
  context::AfterFunc* registration;
  try {
    registration = new context::AfterFunc(context::after_func(ContextRef::share(ctx->core), task));
  } catch (...) {
    return errors::translate();
  }
  PyObject* capsule = PyCapsule_New(registration, kStopName, [](PyObject* self) {
    delete static_cast<context::AfterFunc*>(PyCapsule_GetPointer(self, kStopName));
  });
  if (!capsule) {
    delete registration;
    return nullptr;
  }
  PyObject* function = PyCFunction_New(&stop_method, capsule);
  Py_DECREF(capsule);
  return function;
}

// --- tree

constexpr int kDeepest = 50;   // levels below the top

const char* kind_text(Context::Kind kind) {
  switch (kind) {
    case Context::Kind::Background: return "Background";
    case Context::Kind::Todo: return "TODO";
    case Context::Kind::Cancel: return "WithCancel";
    case Context::Kind::Deadline: return "WithDeadline";
    case Context::Kind::Value: return "WithValue";
    case Context::Kind::WithoutCancel: return "WithoutCancel";
    case Context::Kind::AfterFunc: return "AfterFunc";
    case Context::Kind::Custom: return "Custom";
  }
  return "?";
}

std::string state_text(const Context& core) {
  std::string text;
  if (core.kind() == Context::Kind::Deadline) {
    Nanos left = core.deadline() - nanotime();
    char seconds[32];
    snprintf(seconds, sizeof seconds, " [%.3gs]", double(left) / double(kSecond));
    text += seconds;
  }
  if (core.err() != Err::None) text += std::string(" (") + context::err_text(core.err()) + ")";
  return text;
}

// (kinds from below top down to this one, err, deadline or None if it is not its own, children) of a context below top, or of top itself.
PyObject* branch(Context& core, const Context* top, int depth) {
  std::string path = kind_text(core.kind());
  if (top) {
    for (const Context* c = core.parent().get(); c && c != top; c = c->parent().get()) path = kind_text(c->kind()) + ("." + path);
  }
  std::vector<ContextRef> below = depth < kDeepest ? core.children() : std::vector<ContextRef>();
  PyObject* children = PyTuple_New(Py_ssize_t(below.size()));
  for (size_t i = 0; children && i < below.size(); i++) {   // the newest comes first in the core's list
    PyObject* child = branch(*below[below.size() - 1 - i], &core, depth + 1);
    if (!child) Py_CLEAR(children);
    else PyTuple_SET_ITEM(children, Py_ssize_t(i), child);
  }
  PyObject* error = children ? new_error(core.err()) : nullptr;
  bool own_deadline = core.kind() == Context::Kind::Deadline && core.deadline() != kForever;
  PyObject* deadline = error && own_deadline ? PyFloat_FromDouble(double(core.deadline()) / double(kSecond)) : Py_XNewRef(error ? Py_None : nullptr);
  PyObject* result = deadline ? Py_BuildValue("(s#OOO)", path.data(), Py_ssize_t(path.size()), error, deadline, children) : nullptr;
  Py_XDECREF(deadline);
  Py_XDECREF(error);
  Py_XDECREF(children);
  return result;
}

// (branch, (key, value) pairs of all values that ctx sees, the nearest first)
PyObject* tree(PyObject*, PyObject* object) {
  ContextObject* ctx = parent_of("tree", object);
  if (!ctx || !machine()) return nullptr;
  PyObject* values = PyList_New(0);
  for (PyObject* c = object; values && c; c = as_context(c)->parent) {
    if (!as_context(c)->key) continue;
    PyObject* pair = PyTuple_Pack(2, as_context(c)->key, as_context(c)->value);
    if (!pair || PyList_Append(values, pair) < 0) Py_CLEAR(values);
    Py_XDECREF(pair);
  }
  if (!values) return nullptr;
  PyObject* drawn = nullptr;
  try {
    drawn = branch(*ctx->core, nullptr, 0);
  } catch (...) {
    errors::translate();
  }
  PyObject* result = drawn ? PyTuple_Pack(2, drawn, values) : nullptr;
  Py_XDECREF(drawn);
  Py_DECREF(values);
  return result;
}

// --- the type

int context_traverse(PyObject* self, visitproc visit, void* arg) {
  ContextObject* ctx = as_context(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(ctx->parent);
  Py_VISIT(ctx->key);
  Py_VISIT(ctx->value);
  Py_VISIT(ctx->cause);
  Py_VISIT(ctx->late_cause);
  Py_VISIT(ctx->custom);
  Py_VISIT(ctx->follows);
  Py_VISIT(ctx->unlink);
  return 0;
}

// No tp_clear: what a context holds was there before it, or is an exception; every cycle has another member to break it.
void context_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, context_dealloc)   // chains
  ContextObject* ctx = as_context(self);
  if (ctx->weak_references) PyObject_ClearWeakRefs(self);
  if (ctx->core) ctx->core->release();
  Py_CLEAR(ctx->key);
  Py_CLEAR(ctx->value);
  Py_CLEAR(ctx->cause);
  Py_CLEAR(ctx->late_cause);
  Py_CLEAR(ctx->custom);
  Py_CLEAR(ctx->follows);
  Py_CLEAR(ctx->unlink);
  Py_CLEAR(ctx->parent);
  ctx->done.clear();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

PyObject* context_done(PyObject* self, PyObject*) {
  ContextObject* ctx = as_context(self);
  if (!machine()) return nullptr;
  if (PyObject* custom = custom_of(self)) return call_custom("done", custom);
  {
    ObjectLock hold(self);
    if (PyObject* ch = ctx->done.get()) return ch;
  }
  ChannelRef channel;
  try {
    channel = ctx->core->done();
  } catch (...) {
    return errors::translate();
  }
  if (!channel) Py_RETURN_NONE;
  ChanObject* ch = new_receiver(std::move(channel), Kind::Event, self);
  if (!ch) return nullptr;
  ch->gone = [](ChanObject* gone) { as_context(gone->owner)->done.forget(); };
  auto* mine = reinterpret_cast<PyObject*>(ch);
  PyObject* others;
  bool remembered;
  {
    ObjectLock hold(self);
    others = ctx->done.get();   // somebody else's call was faster
    remembered = others || ctx->done.set(mine);
  }
  if (others || !remembered) {
    ch->gone = nullptr;
    Py_DECREF(mine);
  }
  return others ? others : remembered ? mine : nullptr;
}

PyObject* context_err(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
  if (PyObject* custom = custom_of(self)) return call_custom("err", custom);
  return new_error(as_context(self)->core->err());
}

PyObject* context_deadline(PyObject* self, PyObject*) {
  Nanos deadline = as_context(self)->core->deadline();
  if (deadline == kForever) Py_RETURN_NONE;
  return PyFloat_FromDouble(double(deadline) / double(kSecond));
}

// Keys of different types are different, as in Go (1 is not True).
PyObject* context_value(PyObject* self, PyObject* key) {
  if (!machine()) return nullptr;
  for (PyObject* c = self; c; c = as_context(c)->parent) {
    if (as_context(c)->custom) return PyObject_CallMethod(as_context(c)->custom, "value", "O", key);
    if (key == scope_key) [[unlikely]] {
      Context::Kind kind = as_context(c)->core->kind();
      if (kind == Context::Kind::Cancel || kind == Context::Kind::Deadline) return Py_NewRef(c);
      if (kind == Context::Kind::WithoutCancel) Py_RETURN_NONE;
    }
    PyObject* own = as_context(c)->key;
    if (!own || Py_TYPE(own) != Py_TYPE(key)) continue;
    int equal = own == key ? 1 : PyObject_RichCompareBool(own, key, Py_EQ);
    if (equal < 0) return nullptr;
    if (equal) return Py_NewRef(as_context(c)->value);
  }
  Py_RETURN_NONE;
}

PyObject* context_str(PyObject* self) {
  try {
    std::string text = as_context(self)->core->to_string();
    return PyUnicode_FromStringAndSize(text.data(), Py_ssize_t(text.size()));
  } catch (const RaisedInPython&) {
    return nullptr;
  } catch (...) {
    return errors::translate();
  }
}

PyObject* context_repr(PyObject* self) {
  Context* core = as_context(self)->core;
  std::string text = std::string("<Context ") + kind_text(core->kind()) + state_text(*core) + ">";
  return PyUnicode_FromString(text.c_str());
}

PyMethodDef functions[] = {
    {"_context_with_cancel", with_cancel, METH_O, nullptr},
    {"_context_with_cancel_cause", with_cancel_cause, METH_O, nullptr},
    {"_context_with_deadline", with_deadline, METH_VARARGS, nullptr},
    {"_context_with_timeout", with_timeout, METH_VARARGS, nullptr},
    {"_context_with_value", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(with_value)), METH_FASTCALL, nullptr},
    {"_context_without_cancel", without_cancel, METH_O, nullptr},
    {"_context_after_func", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(after_func)), METH_FASTCALL, nullptr},
    {"_context_cause", cause_of, METH_O, nullptr},
    {"_context_tree", tree, METH_O, nullptr},
    {"_context_stand_in", stand_in, METH_VARARGS, nullptr},
    {"_context_cancel_as", cancel_as, METH_VARARGS, nullptr},
    {"_context_set_unlink", set_unlink, METH_VARARGS, nullptr},
    {"_context_is_done_channel", is_done_channel, METH_VARARGS, nullptr},
    {"_context_done_alone", done_alone, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMethodDef methods[] = {
    {"done", context_done, METH_NOARGS,
     "done()\n--\n\nThe channel that is closed when the context is cancelled; None if it never is."},
    {"err", context_err, METH_NOARGS, "err()\n--\n\nNone, or why it was cancelled: Canceled or DeadlineExceeded."},
    {"deadline", context_deadline, METH_NOARGS, "deadline()\n--\n\nWhen it will be cancelled, on time.monotonic(); None if it has no deadline."},
    {"value", context_value, METH_O, "value(key, /)\n--\n\nThe value of the nearest with_value with this key; None if there is none."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ContextObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("Carries cancellation, a deadline and values down a tree of calls; made by the functions of gort.context.")},
    {Py_tp_traverse, reinterpret_cast<void*>(context_traverse)},
    {Py_tp_dealloc, reinterpret_cast<void*>(context_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(context_repr)},
    {Py_tp_str, reinterpret_cast<void*>(context_str)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, nullptr}};

PyType_Spec spec = {"gort.context.Context", sizeof(ContextObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

bool register_context(PyObject* module) {
  context_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!context_type || PyModule_AddType(module, context_type) < 0 || PyModule_AddFunctions(module, functions) < 0) return false;
  scope_key = PyObject_CallNoArgs(reinterpret_cast<PyObject*>(&PyBaseObject_Type));
  if (!scope_key || PyModule_AddObjectRef(module, "_context_scope_key", scope_key) < 0) return false;
  PyObject* background = root(context::background());
  PyObject* todo = root(context::todo());
  bool added = background && todo && PyModule_AddObjectRef(module, "_context_background", background) == 0 &&
               PyModule_AddObjectRef(module, "_context_todo", todo) == 0;
  Py_XDECREF(background);
  Py_XDECREF(todo);
  return added;
}

}  // namespace gort::python
