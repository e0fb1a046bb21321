#include "chan_object.h"

#include <structmember.h>

#include <string>

#include "arguments.h"
#include "awaitables.h"
#include "coroutines.h"
#include "errors.h"
#include "python_lane.h"
#include "references.h"
#include "raw_type.h"
#include "register.h"

namespace gort::python {

PyTypeObject* chan_type = nullptr;

namespace {

PyTypeObject* stats_type = nullptr;

constexpr int64_t kMaxCapacity = int64_t(1) << 44;   // of 8-byte elements: what Channel::make allows

ChanObject* new_chan(Channel* channel, Kind kind) {
  auto* ch = as_chan(chan_type->tp_alloc(chan_type, 0));
  if (!ch) {
    if (channel) channel->release();
    return nullptr;
  }
  ch->channel = channel;
  ch->kind = kind;
  ch->plain = channel != nullptr;
  return ch;
}

// --- making one

PyObject* chan_new(PyTypeObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"cap", "dtype", "zero", "name", nullptr};
  PyObject *cap = nullptr, *dtype = nullptr, *zero = nullptr, *name = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O$OOO:Chan", const_cast<char**>(names), &cap, &dtype, &zero, &name))
    return nullptr;
  if (!machine()) return nullptr;
  collect_dropped();

  int64_t capacity = 0;
  if (cap) {
    if (!PyIndex_Check(cap)) return errors::bad_type("Chan", "cap", "an int", cap);
    PyObject* index = PyNumber_Index(cap);
    if (!index) return nullptr;
    int overflow;
    capacity = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow || capacity < 0 || capacity > kMaxCapacity) {
      std::string what = "from 0 to " + std::to_string(kMaxCapacity);
      return errors::bad_value("Chan", "cap", what.c_str(), cap);
    }
  }
  Kind kind = Kind::Object;
  const ElementType* type = &object_element();
  if (dtype && dtype != Py_None) {
    if (!PyUnicode_Check(dtype)) return errors::bad_type("Chan", "dtype", "a str", dtype);
    Py_ssize_t length;
    const char* text = PyUnicode_AsUTF8AndSize(dtype, &length);
    if (!text) PyErr_Clear();   // lone surrogates
    const Dtype* found = text ? find_dtype({text, size_t(length)}) : nullptr;
    if (!found) return errors::bad_value("Chan", "dtype", (std::string("one of ") + kDtypes).c_str(), dtype);
    if (zero) return errors::bad_value("Chan", "zero", "left out when dtype is given", zero);
    kind = found->kind;
    type = found->type;
  }
  if (name && name != Py_None && !PyUnicode_Check(name)) return errors::bad_type("Chan", "name", "a str", name);

  Channel* channel;
  try {
    channel = Channel::make(*type, capacity).detach();
  } catch (...) {
    return errors::translate();
  }
  ChanObject* ch = new_chan(channel, kind);
  if (!ch) return nullptr;
  ch->zero = Py_XNewRef(zero == Py_None ? nullptr : zero);
  ch->name = Py_XNewRef(name == Py_None ? nullptr : name);
  if (ch->name) {
    channel->set_name(PyUnicode_AsUTF8(ch->name));   // kept by the str
    if (PyErr_Occurred()) PyErr_Clear();             // lone surrogates: dumps show no name
  }
  return reinterpret_cast<PyObject*>(ch);
}

PyObject* chan_view(ChanObject* ch, bool no_send, bool no_receive) {
  if ((no_send && ch->no_receive) || (no_receive && ch->no_send)) {
    PyErr_Format(PyExc_TypeError, "%s: the channel is %s-only", no_send ? "Chan.receiver" : "Chan.sender",
                 ch->no_receive ? "send" : "receive");
    return nullptr;
  }
  if (ch->no_send == no_send && ch->no_receive == no_receive) return Py_NewRef(reinterpret_cast<PyObject*>(ch));
  ChanObject* view = as_chan(chan_type->tp_alloc(chan_type, 0));
  if (!view) return nullptr;
  view->channel = ch->channel;   // kept by owner
  view->kind = ch->kind;
  view->no_send = no_send;
  view->no_receive = no_receive;
  view->plain = ch->plain && !no_receive;
  view->owner = Py_NewRef(reinterpret_cast<PyObject*>(ch));
  view->zero = Py_XNewRef(ch->zero);
  view->name = Py_XNewRef(ch->name);
  return reinterpret_cast<PyObject*>(view);
}

PyObject* chan_sender(PyObject* self, PyObject*) { return chan_view(as_chan(self), false, true); }
PyObject* chan_receiver(PyObject* self, PyObject*) { return chan_view(as_chan(self), true, false); }

// Does this object own its core channel (and the values in the buffer)?
bool owns(ChanObject* ch) { return ch->channel && !ch->timer && !(ch->owner && is_chan(ch->owner)); }

int chan_traverse(PyObject* self, visitproc visit, void* arg) {
  ChanObject* ch = as_chan(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(ch->owner);
  Py_VISIT(ch->zero);
  if (ch->kind == Kind::Object && owns(ch)) {
    int stop = 0;
    ch->channel->for_each_buffered([&](void* element) {
      if (stop == 0) stop = visit(*static_cast<PyObject**>(element), arg);
    });
    return stop;
  }
  return 0;
}

// Nobody waits on it: who waits holds a reference.
void drop_buffer(ChanObject* ch) {
  if (ch->kind != Kind::Object || !owns(ch)) return;
  Element element;
  while (ch->channel->try_recv(&element) == TryReceived::Value) Py_DECREF(element.object);
}

int chan_clear(PyObject* self) {
  ChanObject* ch = as_chan(self);
  Py_CLEAR(ch->zero);
  drop_buffer(ch);
  return 0;
}

void chan_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, chan_dealloc)   // channels in buffers of channels
  ChanObject* ch = as_chan(self);
  if (ch->gone) ch->gone(ch);   // first: what is called for a weak reference may ask for the object
  if (ch->weak_references) PyObject_ClearWeakRefs(self);
  chan_clear(self);
  if (ch->timer) {
    ch->timer->release();
  } else if (owns(ch)) {
    ch->channel->set_name(nullptr);
    ch->channel->release();
  }
  Py_CLEAR(ch->name);
  Py_CLEAR(ch->owner);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

// --- the operations

// Drops what was not sent, with an exception set that no destructor shall see.
[[gnu::cold]] void drop_unsent(ChanObject* ch, const Element& element) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  drop_element(ch, element);
  PyErr_Restore(type, value, traceback);
}

[[gnu::cold]] PyObject* wrong_direction(const char* method, ChanObject* ch) {
  PyErr_Format(PyExc_TypeError, "Chan.%s: the channel is %s-only", method, ch->no_send ? "receive" : "send");
  return nullptr;
}

// Sends the element, which is taken over in any case. True: sent.
bool send_element(ChanObject* ch, Element& element, Nanos deadline) {
  Outcome outcome;
  try {
    outcome = ch->channel ? ch->channel->send(place_in_core(ch, element), deadline) : nil_send(deadline);
  } catch (...) {
    errors::translate();
    drop_unsent(ch, element);
    return false;
  }
  if (outcome == Outcome::Fired) [[likely]] {
    sent_element(ch, element);
    after_wait();
    return true;
  }
  raise_outcome(outcome);
  drop_unsent(ch, element);
  return false;
}

Received receive_element(ChanObject* ch, Element& element, Nanos deadline) {
  if (!ch->channel) return {nil_recv(deadline), false};
  if (!ch->timer) return ch->channel->recv(place_in_core(ch, element), deadline);
  TimerChannel::Receiving receiving(*ch->timer);
  return ch->channel->recv(&element, deadline);
}

// Parks. Reads (v, timeout=None).
PyObject* chan_send(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  ChanObject* ch = as_chan(self);
  Nanos deadline = kForever;
  PyObject* value;
  if (nargs == 1 && !names) [[likely]] {
    value = args[0];
  } else {
    PyObject *given = nullptr, *timeout = nullptr;
    if (nargs > 2) {
      PyErr_Format(PyExc_TypeError, "send: takes at most 2 arguments (v, timeout), got %zd", nargs);
      return nullptr;
    }
    if (nargs > 0) given = args[0];
    if (nargs > 1) timeout = args[1];
    for (Py_ssize_t i = 0, n = names ? PyTuple_GET_SIZE(names) : 0; i < n; i++) {
      PyObject* name = PyTuple_GET_ITEM(names, i);
      PyObject** where = PyUnicode_CompareWithASCIIString(name, "v") == 0         ? &given
                         : PyUnicode_CompareWithASCIIString(name, "timeout") == 0 ? &timeout
                                                                                  : nullptr;
      if (!where) {
        PyErr_Format(PyExc_TypeError, "send: unexpected keyword argument %R", name);
        return nullptr;
      }
      if (*where) {
        PyErr_Format(PyExc_TypeError, "send: argument %R is given twice", name);
        return nullptr;
      }
      *where = args[nargs + i];
    }
    if (!given) {
      PyErr_SetString(PyExc_TypeError, "send: a value is needed: send(v, timeout=None)");
      return nullptr;
    }
    if (!timeout_to_deadline("send", timeout, &deadline)) return nullptr;
    value = given;
  }
  if (!machine()) [[unlikely]] return nullptr;
  if (ch->no_send) [[unlikely]] return wrong_direction("send", ch);
  Element element;
  if (!to_element("send", ch, value, &element)) return nullptr;
  if (!send_element(ch, element, deadline)) [[unlikely]] return nullptr;
  Py_RETURN_NONE;
}

PyObject* chan_try_send(PyObject* self, PyObject* value) {
  ChanObject* ch = as_chan(self);
  if (!operation()) return nullptr;
  if (ch->no_send) [[unlikely]] return wrong_direction("try_send", ch);
  Element element;
  if (!to_element("try_send", ch, value, &element)) return nullptr;
  bool sent;
  try {
    sent = ch->channel && ch->channel->try_send(place_in_core(ch, element));
  } catch (...) {
    errors::translate();
    drop_element(ch, element);   // the caller has the object too
    return nullptr;
  }
  if (sent) {
    sent_element(ch, element);
    Py_RETURN_TRUE;
  }
  drop_element(ch, element);
  Py_RETURN_FALSE;
}

// Parks. True: if *ok the element is to be taken over, else there is nothing in it.
inline bool receive(const char* method, ChanObject* ch, Nanos deadline, Element* element, bool* ok) {
  if (!machine()) [[unlikely]] return false;
  Received r;
  if (!ch->plain && ch->no_receive) [[unlikely]] {
    wrong_direction(method, ch);
    return false;
  }
  if (!room_for(ch, element)) return false;
  try {
    r = ch->plain ? ch->channel->recv(place_in_core(ch, *element), deadline) : receive_element(ch, *element, deadline);
  } catch (...) {
    errors::translate();
    drop_room(ch, *element);
    return false;
  }
  if (r.outcome != Outcome::Fired) [[unlikely]] {
    drop_room(ch, *element);
    raise_outcome(r.outcome);
    return false;
  }
  if (!r.ok) drop_room(ch, *element);
  after_wait();
  *ok = r.ok;
  return true;
}

PyObject* pair(PyObject* value, bool ok) {
  if (!value) return nullptr;
  PyObject* tuple = PyTuple_New(2);
  if (!tuple) {
    Py_DECREF(value);
    return nullptr;
  }
  PyTuple_SET_ITEM(tuple, 0, value);
  PyTuple_SET_ITEM(tuple, 1, Py_NewRef(ok ? Py_True : Py_False));
  return tuple;
}

PyObject* chan_recv(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  ChanObject* ch = as_chan(self);
  Nanos deadline = kForever;
  if ((nargs != 0 || names) && !parse_timeout("recv", args, nargs, names, &deadline)) return nullptr;
  Element element;
  bool ok;
  if (!receive("recv", ch, deadline, &element, &ok)) return nullptr;
  return ok ? from_element(ch, element) : zero_value(ch);
}

PyObject* chan_recv_ok(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  ChanObject* ch = as_chan(self);
  Nanos deadline = kForever;
  if ((nargs != 0 || names) && !parse_timeout("recv_ok", args, nargs, names, &deadline)) return nullptr;
  Element element;
  bool ok;
  if (!receive("recv_ok", ch, deadline, &element, &ok)) return nullptr;
  return pair(ok ? from_element(ch, element) : zero_value(ch), ok);
}

PyObject* chan_next(PyObject* self) {
  ChanObject* ch = as_chan(self);
  Element element;
  bool ok;
  if (!receive("__next__", ch, kForever, &element, &ok)) return nullptr;
  return ok ? from_element(ch, element) : nullptr;
}

PyObject* chan_iter(PyObject* self) {
  if (as_chan(self)->no_receive) return wrong_direction("__iter__", as_chan(self));
  return Py_NewRef(self);
}

PyObject* chan_try_recv(PyObject* self, PyObject*) {
  ChanObject* ch = as_chan(self);
  if (!operation()) return nullptr;
  if (ch->no_receive) return wrong_direction("try_recv", ch);
  if (!ch->channel) Py_RETURN_NONE;
  Element element;
  TryReceived r;
  if (ch->timer) {
    TimerChannel::Receiving receiving(*ch->timer);
    r = ch->channel->try_recv(&element);
  } else {
    if (!room_for(ch, &element)) return nullptr;
    r = ch->channel->try_recv(place_in_core(ch, element));
    if (r != TryReceived::Value) drop_room(ch, element);
  }
  if (r == TryReceived::WouldBlock) Py_RETURN_NONE;
  return r == TryReceived::Value ? pair(from_element(ch, element), true) : pair(zero_value(ch), false);
}

PyObject* chan_asend(PyObject* self, PyObject* value) {
  if (as_chan(self)->no_send) return wrong_direction("asend", as_chan(self));
  return serves_awaits() ? await_send(self, value) : awaited("_send", self, value);
}

PyObject* chan_arecv(PyObject* self, PyObject*) {
  if (as_chan(self)->no_receive) return wrong_direction("arecv", as_chan(self));
  return serves_awaits() ? await_recv(self, false) : awaited("_recv", self);
}

PyObject* chan_aiter(PyObject* self) {
  if (as_chan(self)->no_receive) return wrong_direction("__aiter__", as_chan(self));
  return Py_NewRef(self);
}

PyObject* chan_anext(PyObject* self) {
  if (as_chan(self)->no_receive) return wrong_direction("__anext__", as_chan(self));
  return serves_awaits() ? await_recv(self, true) : awaited("_next", self);
}

PyObject* chan_close(PyObject* self, PyObject*) {
  ChanObject* ch = as_chan(self);
  if (!operation()) return nullptr;
  if (ch->no_send) return wrong_direction("close", ch);
  try {
    if (!ch->channel) close_nil();
    ch->channel->close();
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* chan_enter(PyObject* self, PyObject*) {
  if (as_chan(self)->no_send) return wrong_direction("__enter__", as_chan(self));
  return Py_NewRef(self);
}

PyObject* chan_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return chan_close(self, nullptr); }

// --- looking

Py_ssize_t chan_len(PyObject* self) {
  ChanObject* ch = as_chan(self);
  return ch->channel && !ch->timer ? Py_ssize_t(ch->channel->length()) : 0;
}

int chan_bool(PyObject* self) { return as_chan(self)->channel != nullptr; }

PyObject* get_cap(PyObject* self, void*) {
  ChanObject* ch = as_chan(self);
  return PyLong_FromLongLong(ch->channel && !ch->timer ? ch->channel->capacity() : 0);
}

PyObject* get_name(PyObject* self, void*) {
  ChanObject* ch = as_chan(self);
  return Py_NewRef(ch->name ? ch->name : Py_None);
}

PyObject* get_dtype(PyObject* self, void*) {
  ChanObject* ch = as_chan(self);
  const Dtype* dtype = ch->channel ? dtype_of(ch->channel->type()) : nullptr;
  return dtype ? PyUnicode_FromString(dtype->name.c_str()) : Py_NewRef(Py_None);
}

PyObject* chan_stats(PyObject* self, PyObject*) {
  ChanObject* ch = as_chan(self);
  if (!operation()) return nullptr;
  Channel::Stats stats = ch->channel ? ch->channel->stats() : Channel::Stats{};
  if (ch->timer) stats.high_water = 0;   // as len
  PyObject* result = PyStructSequence_New(stats_type);
  if (!result) return nullptr;
  PyObject* values[] = {PyLong_FromUnsignedLongLong(stats.sent), PyLong_FromUnsignedLongLong(stats.received),
                        PyFloat_FromDouble(double(stats.blocked) / 1e9), PyLong_FromSize_t(stats.high_water)};
  bool made = true;
  for (Py_ssize_t i = 0; i < 4; i++) {
    made = made && values[i];
    PyStructSequence_SET_ITEM(result, i, values[i]);
  }
  if (made) return result;
  Py_DECREF(result);
  return nullptr;
}

PyObject* chan_repr(PyObject* self) {
  ChanObject* ch = as_chan(self);
  if (!ch->channel) return PyUnicode_FromString("<Chan nil>");
  std::string text = ch->no_send ? "<receive-only Chan" : ch->no_receive ? "<send-only Chan" : "<Chan";
  if (const Dtype* dtype = ch->timer ? nullptr : dtype_of(ch->channel->type())) text += " " + dtype->name;
  text += " " + std::to_string(chan_len(self)) + "/" + std::to_string(ch->timer ? 0 : ch->channel->capacity());
  if (ch->channel->closed()) text += " closed";
  if (ch->name) return PyUnicode_FromFormat("%s %R>", text.c_str(), ch->name);
  return PyUnicode_FromFormat("%s>", text.c_str());
}

PyObject* chan_subscript(PyObject* type, PyObject* item) { return Py_GenericAlias(type, item); }

PyMethodDef methods[] = {
    {"send", raw(chan_send), METH_FASTCALL | METH_KEYWORDS,
     "send(v, timeout=None)\n--\n\nPark until a receiver or a free slot takes v.\n\n"
     "timeout: seconds; 0 tries once. TimeoutError when it passes, with nothing sent. PanicError if the channel is closed."},
    {"recv", raw(chan_recv), METH_FASTCALL | METH_KEYWORDS,
     "recv(timeout=None)\n--\n\nPark until there is a value and return it; the zero value once the channel is closed and empty.\n\n"
     "timeout: seconds; 0 tries once. TimeoutError when it passes, with nothing taken."},
    {"recv_ok", raw(chan_recv_ok), METH_FASTCALL | METH_KEYWORDS,
     "recv_ok(timeout=None)\n--\n\nLike recv, as a pair (value, ok); ok is False once the channel is closed and empty."},
    {"try_send", chan_try_send, METH_O,
     "try_send(v, /)\n--\n\nSend v if that needs no waiting; tell whether it was sent. PanicError if the channel is closed."},
    {"try_recv", chan_try_recv, METH_NOARGS,
     "try_recv()\n--\n\nThe pair (value, ok) as of recv_ok if that needs no waiting, else None."},
    {"asend", chan_asend, METH_O,
     "asend(v, /)\n--\n\nsend for asyncio tasks: await ch.asend(v) waits until a receiver or a free slot takes v; the loop goes on meanwhile.\n\n"
     "PanicError if the channel is closed. A task that is cancelled has sent nothing, or the await returns and the next one is cancelled."},
    {"arecv", chan_arecv, METH_NOARGS,
     "arecv()\n--\n\nrecv for asyncio tasks: await ch.arecv() waits for a value and gives it; the zero value once the channel is closed and empty.\n\n"
     "The loop goes on meanwhile. A task that is cancelled has taken nothing, or gets the value and its next await is cancelled."},
    {"close", chan_close, METH_NOARGS,
     "close()\n--\n\nSay that nothing more will be sent. Buffered values can still be received.\n\n"
     "Waiting receivers get the zero value, waiting senders PanicError. PanicError if it is closed already or nil."},
    {"stats", chan_stats, METH_NOARGS,
     "stats()\n--\n\nWhat the channel has done since it was made, as ChanStats(sends, receives, blocked, high_water). Does not park.\n\n"
     "sends and receives: values that went in and came out. blocked: seconds that those who sent and received have waited, all together, a\n"
     "select's wait counted for the channel that ended it; taken from a clock that moves every 10 ms at the latest, so it is right for many waits\n"
     "or long ones. high_water: the most values that the buffer ever held. Of a timer's channel, values that stop or reset took back count as\n"
     "received. Of the nil channel all is 0."},
    {"sender", chan_sender, METH_NOARGS, "sender()\n--\n\nThe same channel, send-only."},
    {"receiver", chan_receiver, METH_NOARGS, "receiver()\n--\n\nThe same channel, receive-only."},
    {"__enter__", chan_enter, METH_NOARGS, nullptr},
    {"__exit__", raw(chan_exit), METH_FASTCALL, "Closes the channel."},
    {"__class_getitem__", chan_subscript, METH_O | METH_CLASS, "Chan[T] is Chan, with the type of the values told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"cap", get_cap, nullptr, "How many values the buffer holds; 0: sender and receiver meet.", nullptr},
    {"name", get_name, nullptr, "The name given, or None.", nullptr},
    {"dtype", get_dtype, nullptr, "The type of a typed channel's values ('i64', ...), or None.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ChanObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

const char* const doc =
    "Chan(cap=0, *, dtype=None, zero=None, name=None)\n--\n\nA channel: what one goroutine or thread sends, another receives.\n\n"
    "cap: how many values it holds without a receiver. dtype ('i8'..'i64', 'u8'..'u64', 'f32', 'f64', 'bool') makes a channel of plain\n"
    "numbers that native goroutines share without the GIL, 'bytes1'..'bytes65535' one of bytes of that length (Go's [N]byte). zero: what a receive of the closed channel gives.\n"
    "for v in ch receives until it is closed; with ch: closes it at the end. In asyncio tasks: async for v in ch.\n\n"
    ">>> ch = Chan(1)\n>>> ch.send('hello')\n>>> ch.recv()\n'hello'";

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(doc)},
                       {Py_tp_new, reinterpret_cast<void*>(chan_new)},
                       {Py_tp_traverse, reinterpret_cast<void*>(chan_traverse)},
                       {Py_tp_clear, reinterpret_cast<void*>(chan_clear)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(chan_dealloc)},
                       {Py_tp_repr, reinterpret_cast<void*>(chan_repr)},
                       {Py_tp_iter, reinterpret_cast<void*>(chan_iter)},
                       {Py_tp_iternext, reinterpret_cast<void*>(chan_next)},
                       {Py_am_aiter, reinterpret_cast<void*>(chan_aiter)},
                       {Py_am_anext, reinterpret_cast<void*>(chan_anext)},
                       {Py_sq_length, reinterpret_cast<void*>(chan_len)},
                       {Py_nb_bool, reinterpret_cast<void*>(chan_bool)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {Py_tp_members, members},
                       {0, nullptr}};

PyType_Spec spec = {"gort.Chan", sizeof(ChanObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE, slots};

}  // namespace

ChanObject* new_receiver(ChannelRef channel, Kind kind, PyObject* owner) {
  ChanObject* ch = new_chan(channel.detach(), kind);
  if (!ch) return nullptr;
  ch->no_send = true;
  ch->plain = !owner || !is_chan(owner);
  ch->owner = Py_XNewRef(owner);
  return ch;
}

bool typed_channel(const char* function, const char* argument, PyObject* object, const ElementType& type, Directions wanted,
                   ChannelRef* channel) {
  const Dtype* expected = dtype_of(type);
  std::string what = "a Chan of dtype " + (expected ? expected->name : std::string(type.name));
  if (!is_chan(object)) {
    errors::bad_type(function, argument, what.c_str(), object);
    return false;
  }
  ChanObject* ch = as_chan(object);
  const char* instead = nullptr;
  if (!ch->channel) instead = "nil_chan";
  else if (ch->timer) instead = "that of a timer";
  else if (const Dtype* d = dtype_of(ch->channel->type()); !expected || d != expected) instead = d ? d->name.c_str() : "one of objects";
  else if (ch->no_send && (int(wanted) & int(Directions::Send))) instead = "a receive-only one";
  else if (ch->no_receive && (int(wanted) & int(Directions::Receive))) instead = "a send-only one";
  else {
    *channel = ChannelRef::share(ch->channel);
    return true;
  }
  PyErr_Format(PyExc_TypeError, "%s: %s must be %s, got %s", function, argument, what.c_str(), instead);
  return false;
}

PyObject* new_typed_chan(const ChannelRef& channel) {
  const Dtype* d = dtype_of(channel->type());
  if (!d) {
    PyErr_Format(PyExc_TypeError, "gort.Chan: no dtype for channels of %s", channel->type().name);
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(new_chan(ChannelRef(channel).detach(), d->kind));
}

ChanObject* new_timer_chan(Ref<TimerChannel> timer) {
  ChanObject* ch = new_chan(nullptr, Kind::Float64);
  if (!ch) return nullptr;
  ch->timer = timer.detach();
  ch->channel = &ch->timer->channel();
  ch->no_send = true;
  ch->plain = false;
  return ch;
}

PyStructSequence_Field stats_fields[] = {{"sends", "values sent"},
                                         {"receives", "values received"},
                                         {"blocked", "seconds that senders and receivers have waited"},
                                         {"high_water", "the most values that the buffer ever held"},
                                         {nullptr, nullptr}};
PyStructSequence_Desc stats_description = {"gort.ChanStats", "What a Chan has done: Chan.stats().", stats_fields, 4};

bool add_chan_type(PyObject* module) {
  stats_type = PyStructSequence_NewType(&stats_description);
  if (!stats_type || PyModule_AddObjectRef(module, "ChanStats", reinterpret_cast<PyObject*>(stats_type)) < 0) return false;
  chan_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!chan_type || PyModule_AddType(module, chan_type) < 0) return false;
  ChanObject* nil = new_chan(nullptr, Kind::Object);
  if (!nil) return false;
  bool added = PyModule_AddObjectRef(module, "nil_chan", reinterpret_cast<PyObject*>(nil)) == 0;
  Py_DECREF(nil);
  return added;
}


bool register_channels(PyObject* module) {
  return add_chan_type(module) && add_select(module) && add_time_types(module);
}

}  // namespace gort::python
