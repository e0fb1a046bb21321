// Chan: the Python object of a core channel, and the conversion of values to elements and back.
//
// An object channel carries references; a typed one (dtype) plain numbers, or bytes of one length, that native goroutines share without the GIL. A view
// (sender(), receiver()) and a channel of a timer or context are of the same Python type with one direction closed off.
//
// Ownership: a Chan owns its core channel alone; a view owns the Chan that it was made from. So exactly one Python object
// answers for the values in a buffer when CPython's collector asks (tp_traverse).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "dtypes.h"
#include "gort/chan/channel.h"
#include "gort/chan/timer_channel.h"
#include "gort/python/extension.h"

namespace gort::python {

struct ChanObject {
  PyObject_HEAD
  Channel* channel;          // null: nil
  TimerChannel* timer;       // null: not a timer's
  Kind kind;
  bool no_send, no_receive;  // a view
  bool plain;                // a receive goes straight to channel
  PyObject* owner;           // of a view: its Chan; of a context's done: the context; else null
  PyObject* zero;            // what a receive of a closed channel gives; null: None
  PyObject* name;            // str or null
  PyObject* weak_references;
  void (*gone)(ChanObject*); // tells the owner that the object dies; may be null
};

extern PyTypeObject* chan_type;
inline bool is_chan(PyObject* object) { return Py_TYPE(object) == chan_type; }
inline ChanObject* as_chan(PyObject* object) { return reinterpret_cast<ChanObject*>(object); }

// new_timer_chan makes the receive-only Chan of a timer. Takes the reference over. Null with an exception on failure.
ChanObject* new_timer_chan(Ref<TimerChannel> timer);

// new_receiver makes the receive-only Chan of a core channel. Takes the reference over. Null with an exception on failure.
ChanObject* new_receiver(ChannelRef channel, Kind kind, PyObject* owner);

// For extension modules. typed_channel gives the core channel of an argument that must be a Chan of that element type and allow what it is wanted for;
// false with TypeError set. new_typed_chan makes a Chan of a channel; null with an exception set.
bool typed_channel(const char* function, const char* argument, PyObject* object, const ElementType& type, Directions wanted,
                   ChannelRef* channel);
PyObject* new_typed_chan(const ChannelRef& channel);

// One element. Of fixed bytes it is the object they are in: that of the caller, or a new one for what is received.
union Element {
  uint64_t bits;
  PyObject* object;
  int8_t i8;
  int16_t i16;
  int32_t i32;
  int64_t i64;
  uint8_t u8;
  uint16_t u16;
  uint32_t u32;
  float f32;
  double f64;
  bool flag;
};

// to_number converts a value for a typed channel. False with TypeError or ValueError set, naming function, argument and value.
bool to_number(const char* function, Kind kind, PyObject* value, Element* element);
PyObject* from_number(Kind kind, const Element& element);

// as_fixed_bytes gives the value as a bytes object of the channel's size: the value itself, or a copy of another buffer. New reference; null with
// TypeError or ValueError set.
PyObject* as_fixed_bytes(const char* function, ChanObject* ch, PyObject* value);

// An element's way into a channel and out of it. to_element makes one of a value and takes a reference; the core is given its place_in_core. Once it is
// sent, sent_element; if it was not, drop_element.
// For a receive, room_for makes one that is empty; the core fills it, and from_element takes it over; if nothing came, drop_room.
inline bool to_element(const char* function, ChanObject* ch, PyObject* value, Element* element) {
  if (ch->kind == Kind::Object) [[likely]] {
    element->object = Py_NewRef(value);
    return true;
  }
  if (ch->kind != Kind::Bytes) return to_number(function, ch->kind, value, element);
  element->object = as_fixed_bytes(function, ch, value);
  return element->object;
}
inline void* place_in_core(ChanObject* ch, Element& element) { return ch->kind == Kind::Bytes ? static_cast<void*>(PyBytes_AS_STRING(element.object)) : &element; }
inline void sent_element(ChanObject* ch, const Element& element) {
  if (ch->kind == Kind::Bytes) [[unlikely]] Py_DECREF(element.object);   // its bytes went, the object did not
}
inline void drop_element(ChanObject* ch, const Element& element) {
  if (ch->kind <= Kind::Bytes) Py_DECREF(element.object);
}
inline bool room_for(ChanObject* ch, Element* element) {
  if (ch->kind != Kind::Bytes) [[likely]] return true;
  element->object = PyBytes_FromStringAndSize(nullptr, ch->channel->type().size);
  return element->object;
}
inline void drop_room(ChanObject* ch, const Element& element) { sent_element(ch, element); }
inline PyObject* from_element(ChanObject* ch, const Element& element) {
  return ch->kind <= Kind::Bytes ? element.object : from_number(ch->kind, element);
}
// zero_value is what a closed channel gives. New reference.
PyObject* zero_value(ChanObject* ch);

bool add_chan_type(PyObject* module);
bool add_select(PyObject* module);
bool add_time_types(PyObject* module);

}  // namespace gort::python
