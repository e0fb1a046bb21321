// Values of typed channels to Python objects and back.
#include <cfloat>
#include <cmath>
#include <cstring>
#include <string>

#include "chan_object.h"
#include "errors.h"

namespace gort::python {
namespace {

struct Range {
  long long least;
  unsigned long long most;
};

Range range_of(Kind kind) {
  switch (kind) {
    case Kind::Int8: return {INT8_MIN, INT8_MAX};
    case Kind::Int16: return {INT16_MIN, INT16_MAX};
    case Kind::Int32: return {INT32_MIN, INT32_MAX};
    case Kind::Int64: return {INT64_MIN, INT64_MAX};
    case Kind::Uint8: return {0, UINT8_MAX};
    case Kind::Uint16: return {0, UINT16_MAX};
    case Kind::Uint32: return {0, UINT32_MAX};
    default: return {0, UINT64_MAX};
  }
}

bool to_integer(const char* function, Kind kind, PyObject* value, uint64_t* bits) {
  if (!PyIndex_Check(value)) {
    errors::bad_type(function, "v", "an int", value);
    return false;
  }
  PyObject* integer = PyNumber_Index(value);
  if (!integer) return false;
  int overflow;
  long long number = PyLong_AsLongLongAndOverflow(integer, &overflow);
  Range range = range_of(kind);
  bool fits;
  if (overflow == 0) {
    fits = number >= range.least && (number < 0 || static_cast<unsigned long long>(number) <= range.most);
    *bits = uint64_t(number);
  } else if (overflow > 0 && kind == Kind::Uint64) {
    *bits = PyLong_AsUnsignedLongLong(integer);
    fits = !PyErr_Occurred();
    PyErr_Clear();
  } else {
    fits = false;
  }
  Py_DECREF(integer);
  if (fits) return true;
  std::string what = "from " + std::to_string(range.least) + " to " + std::to_string(range.most);
  errors::bad_value(function, "v", what.c_str(), value);
  return false;
}

bool to_real(const char* function, PyObject* value, double most, double* number) {
  if (PyFloat_CheckExact(value)) {
    *number = PyFloat_AS_DOUBLE(value);
  } else {
    *number = PyFloat_AsDouble(value);
    if (*number == -1.0 && PyErr_Occurred()) {
      bool too_big = PyErr_ExceptionMatches(PyExc_OverflowError);
      bool wrong_type = PyErr_ExceptionMatches(PyExc_TypeError);
      if (!too_big && !wrong_type) return false;
      PyErr_Clear();
      if (too_big) errors::bad_value(function, "v", "within the range of a float", value);
      else errors::bad_type(function, "v", "a float", value);
      return false;
    }
  }
  if (std::isfinite(*number) && std::fabs(*number) > most) {
    errors::bad_value(function, "v", "within the range of an f32", value);
    return false;
  }
  return true;
}

}  // namespace

bool to_number(const char* function, Kind kind, PyObject* value, Element* element) {
  switch (kind) {
    case Kind::Bool:
      if (!PyBool_Check(value)) {
        errors::bad_type(function, "v", "a bool", value);
        return false;
      }
      element->flag = value == Py_True;
      return true;
    case Kind::Float64: return to_real(function, value, DBL_MAX, &element->f64);
    case Kind::Float32: {
      double number;
      if (!to_real(function, value, FLT_MAX, &number)) return false;
      element->f32 = float(number);
      return true;
    }
    case Kind::Event: return true;
    default: break;
  }
  uint64_t bits;
  if (!to_integer(function, kind, value, &bits)) return false;
  switch (kind) {
    case Kind::Int8:
    case Kind::Uint8: element->u8 = uint8_t(bits); break;
    case Kind::Int16:
    case Kind::Uint16: element->u16 = uint16_t(bits); break;
    case Kind::Int32:
    case Kind::Uint32: element->u32 = uint32_t(bits); break;
    default: element->bits = bits;
  }
  return true;
}

PyObject* from_number(Kind kind, const Element& element) {
  switch (kind) {
    case Kind::Int8: return PyLong_FromLong(element.i8);
    case Kind::Int16: return PyLong_FromLong(element.i16);
    case Kind::Int32: return PyLong_FromLong(element.i32);
    case Kind::Int64: return PyLong_FromLongLong(element.i64);
    case Kind::Uint8: return PyLong_FromUnsignedLong(element.u8);
    case Kind::Uint16: return PyLong_FromUnsignedLong(element.u16);
    case Kind::Uint32: return PyLong_FromUnsignedLong(element.u32);
    case Kind::Uint64: return PyLong_FromUnsignedLongLong(element.bits);
    case Kind::Float32: return PyFloat_FromDouble(double(element.f32));
    case Kind::Float64: return PyFloat_FromDouble(element.f64);
    case Kind::Bool: return PyBool_FromLong(element.flag);
    default: return Py_NewRef(Py_None);
  }
}

PyObject* as_fixed_bytes(const char* function, ChanObject* ch, PyObject* value) {
  Py_ssize_t size = ch->channel->type().size;
  if (!PyObject_CheckBuffer(value)) return errors::bad_type(function, "v", "bytes", value);
  PyObject* bytes = PyBytes_FromObject(value);
  if (!bytes || PyBytes_GET_SIZE(bytes) == size) return bytes;
  Py_DECREF(bytes);
  std::string what = std::to_string(size) + (size == 1 ? " byte" : " bytes");
  return errors::bad_value(function, "v", what.c_str(), value);
}

PyObject* zero_value(ChanObject* ch) {
  if (ch->zero) return Py_NewRef(ch->zero);
  if (ch->kind == Kind::Bytes) {
    PyObject* zeros = PyBytes_FromStringAndSize(nullptr, ch->channel->type().size);
    if (zeros) std::memset(PyBytes_AS_STRING(zeros), 0, ch->channel->type().size);
    return zeros;
  }
  if (ch->kind == Kind::Object) return Py_NewRef(Py_None);
  return from_number(ch->kind, Element{0});
}

}  // namespace gort::python
