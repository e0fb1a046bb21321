// Chan: the Python object of a core channel, and the conversion of values to elements and back.
//
// An object channel carries references; a typed one (dtype) plain numbers that native goroutines share without the GIL. A view
// (sender(), receiver()) and a channel of a timer or context are of the same Python type with one direction closed off.
//
// Ownership: a Chan owns its core channel alone; a view owns the Chan that it was made from. So exactly one Python object
// answers for the values in a buffer when CPython's collector asks (tp_traverse).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "gort/chan/channel.h"
#include "gort/chan/timer_channel.h"
#include "gort/python/extension.h"

namespace gort::python {

// What the elements of a channel are in Python.
enum class Kind : uint8_t { Object, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Float32, Float64, Bool, Event };

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

// For extension modules. element_type_of gives the element type of a dtype, null if there is none such. typed_channel gives the core
// channel of an argument that must be a Chan of that element type (types are known by name: each module has its own) and allow what it
// is wanted for; false with TypeError set. new_typed_chan makes a Chan of a channel; null with an exception set.
const ElementType* element_type_of(const char* dtype);
bool typed_channel(const char* function, const char* argument, PyObject* object, const ElementType& type, Directions wanted,
                   ChannelRef* channel);
PyObject* new_typed_chan(const ChannelRef& channel);

// One element, big enough for every kind.
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

// to_element makes an element of a value; an object's reference is taken (and must be dropped if it is not sent).
inline bool to_element(const char* function, ChanObject* ch, PyObject* value, Element* element) {
  if (ch->kind != Kind::Object) return to_number(function, ch->kind, value, element);
  element->object = Py_NewRef(value);
  return true;
}
inline void drop_element(ChanObject* ch, const Element& element) {
  if (ch->kind == Kind::Object) Py_DECREF(element.object);
}
// from_element takes the element over.
inline PyObject* from_element(ChanObject* ch, const Element& element) {
  return ch->kind == Kind::Object ? element.object : from_number(ch->kind, element);
}
// zero_value is what a closed channel gives. New reference.
PyObject* zero_value(ChanObject* ch);

bool add_chan_type(PyObject* module);
bool add_select(PyObject* module);
bool add_time_types(PyObject* module);

}  // namespace gort::python
