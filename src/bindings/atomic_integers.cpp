// gort.atomic's integers and Bool: see atomic_objects.h.
#include <atomic>
#include <string>
#include <type_traits>

#include "atomic_objects.h"
#include "errors.h"
#include "python_lane.h"
#include "raw_type.h"

namespace gort::python {

bool two_arguments(Py_ssize_t nargs) {
  if (nargs == 2) return true;
  PyErr_Format(PyExc_TypeError, "compare_and_swap: takes 2 arguments (old, new), got %zd", nargs);
  return false;
}

namespace {

// A range of ints, and its text. Those below zero are in it as far as their complement ~n is at most `below`.
struct Range {
  bool negative;
  uint64_t below;
  uint64_t high;
  const char* text;
};

// read gives the low 64 bits of an int of the range. False with an exception set.
bool read(const char* function, const char* argument, const Range& range, PyObject* got, uint64_t* bits) {
  if (!PyIndex_Check(got)) {
    errors::bad_type(function, argument, "an int", got);
    return false;
  }
  PyObject* index = PyNumber_Index(got);
  if (!index) return false;
  int overflow;
  long long value = PyLong_AsLongLongAndOverflow(index, &overflow);
  bool negative = overflow < 0 || (overflow == 0 && value < 0);
  uint64_t size = uint64_t(negative ? ~value : value);
  bool fits = true;
  if (overflow != 0) {
    if (negative) Py_SETREF(index, PyNumber_Invert(index));
    size = index ? PyLong_AsUnsignedLongLong(index) : 0;
    fits = !PyErr_Occurred();
    PyErr_Clear();
  }
  Py_XDECREF(index);
  *bits = negative ? ~size : size;
  fits = fits && (negative ? range.negative && size <= range.below : size <= range.high);
  if (!fits) errors::bad_value(function, argument, range.text, got);
  return fits;
}

// What the types differ in. kValues is what they hold; kPatterns what is added to them and masks them: every number of that width, and every complement
// of one, so that Uint32.add(-1), Uint32.and_(~0x80000000) and Int32.and_(0xfffffff0) are what they look like.
struct Int32 {
  using T = int32_t;
  static constexpr const char* kName = "gort.atomic.Int32";
  static constexpr Range kValues{true, INT32_MAX, INT32_MAX, "from -2147483648 to 2147483647"};
  static constexpr Range kPatterns{true, UINT32_MAX, UINT32_MAX, "from -4294967296 to 4294967295"};
  static constexpr const char* kDoc =
      "Int32(value=0)\n--\n\nAn int from -2147483648 to 2147483647 that goroutines and threads change without a lock; Go's atomic.Int32.\n\n"
      ">>> from gort.atomic import Int32\n>>> hits = Int32()\n>>> hits.add(1), hits.add(1), hits.load()\n(1, 2, 2)";
};
struct Int64 {
  using T = int64_t;
  static constexpr const char* kName = "gort.atomic.Int64";
  static constexpr Range kValues{true, INT64_MAX, INT64_MAX, "from -9223372036854775808 to 9223372036854775807"};
  static constexpr Range kPatterns{true, UINT64_MAX, UINT64_MAX, "from -18446744073709551616 to 18446744073709551615"};
  static constexpr const char* kDoc =
      "Int64(value=0)\n--\n\nAn int from -2**63 to 2**63 - 1 that goroutines and threads change without a lock; Go's atomic.Int64.\n\n"
      ">>> from gort.atomic import Int64\n>>> total = Int64(5)\n>>> total.compare_and_swap(5, 7), total.load()\n(True, 7)";
};
struct Uint32 {
  using T = uint32_t;
  static constexpr const char* kName = "gort.atomic.Uint32";
  static constexpr Range kValues{false, 0, UINT32_MAX, "from 0 to 4294967295"};
  static constexpr Range kPatterns = Int32::kPatterns;
  static constexpr const char* kDoc =
      "Uint32(value=0)\n--\n\nAn int from 0 to 4294967295 that goroutines and threads change without a lock; Go's atomic.Uint32.\n\n"
      ">>> from gort.atomic import Uint32\n>>> Uint32().add(-1)\n4294967295";
};
struct Uint64 {
  using T = uint64_t;
  static constexpr const char* kName = "gort.atomic.Uint64";
  static constexpr Range kValues{false, 0, UINT64_MAX, "from 0 to 18446744073709551615"};
  static constexpr Range kPatterns = Int64::kPatterns;
  static constexpr const char* kDoc =
      "Uint64(value=0)\n--\n\nAn int from 0 to 2**64 - 1 that goroutines and threads change without a lock; Go's atomic.Uint64.\n\n"
      ">>> from gort.atomic import Uint64\n>>> bits = Uint64(0b1100)\n>>> bits.or_(1), bits.and_(~4), bin(bits.load())\n(12, 13, '0b1001')";
};
struct Uintptr {
  using T = uintptr_t;
  static_assert(sizeof(T) == 8);
  static constexpr const char* kName = "gort.atomic.Uintptr";
  static constexpr Range kValues = Uint64::kValues;
  static constexpr Range kPatterns = Uint64::kPatterns;
  static constexpr const char* kDoc =
      "Uintptr(value=0)\n--\n\nAn address, as an int from 0 to 2**64 - 1, that goroutines and threads change without a lock; Go's atomic.Uintptr.\n\n"
      ">>> from gort.atomic import Uintptr\n>>> Uintptr(id(None)).load() == id(None)\nTrue";
};
struct Bool {
  using T = bool;
  static constexpr const char* kName = "gort.atomic.Bool";
  static constexpr const char* kDoc =
      "Bool(value=False)\n--\n\nA bool that goroutines and threads change without a lock; Go's atomic.Bool.\n\n"
      ">>> from gort.atomic import Bool\n>>> closed = Bool()\n>>> closed.swap(True), closed.swap(True)\n(False, True)";
};

template <class Kind>
struct Atomic {
  using T = typename Kind::T;
  using Object = Holder<std::atomic<T>>;
  static constexpr bool kIsBool = std::is_same_v<T, bool>;

  static const char* name() { return strrchr(Kind::kName, '.') + 1; }

  static PyObject* number(T value) {
    if constexpr (kIsBool) {
      return PyBool_FromLong(value);
    } else if constexpr (std::is_signed_v<T>) {
      return PyLong_FromLongLong(value);
    } else {
      return PyLong_FromUnsignedLongLong(value);
    }
  }

  static bool value_of(const char* function, const char* argument, PyObject* got, T* value) {
    if constexpr (kIsBool) {
      if (!PyBool_Check(got)) {
        errors::bad_type(function, argument, "a bool", got);
        return false;
      }
      *value = got == Py_True;
    } else {
      uint64_t bits;
      if (!read(function, argument, Kind::kValues, got, &bits)) return false;
      *value = T(bits);
    }
    return true;
  }

  static PyObject* make(PyTypeObject* type, PyObject* args, PyObject* keywords) {
    static const char* names[] = {"value", nullptr};
    PyObject* given = nullptr;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, format(), const_cast<char**>(names), &given)) return nullptr;
    T value{};
    if (given && !value_of(name(), "value", given, &value)) return nullptr;
    PyObject* self = type->tp_alloc(type, 0);
    if (self) new (&Object::of(self)) std::atomic<T>(value);
    return self;
  }
  static const char* format() {
    static const std::string text = std::string("|O:") + name();
    return text.c_str();
  }

  static PyObject* load(PyObject* self, PyObject*) {
    if (!operation()) return nullptr;
    return number(Object::of(self).load());
  }

  static PyObject* store(PyObject* self, PyObject* v) {
    T value;
    if (!value_of("store", "v", v, &value) || !operation()) return nullptr;
    Object::of(self).store(value);
    Py_RETURN_NONE;
  }

  static PyObject* swap(PyObject* self, PyObject* v) {
    T value;
    if (!value_of("swap", "v", v, &value) || !operation()) return nullptr;
    return number(Object::of(self).exchange(value));
  }

  static PyObject* compare_and_swap(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
    T old, next;
    if (!two_arguments(nargs) || !value_of("compare_and_swap", "old", args[0], &old) || !value_of("compare_and_swap", "new", args[1], &next) ||
        !operation())
      return nullptr;
    return PyBool_FromLong(Object::of(self).compare_exchange_strong(old, next));
  }

  static PyObject* add(PyObject* self, PyObject* delta) {
    uint64_t bits;
    if (!read("add", "delta", Kind::kPatterns, delta, &bits) || !operation()) return nullptr;
    T before = Object::of(self).fetch_add(T(bits));
    return number(T(uint64_t(before) + bits));   // unsigned: a signed sum may not overflow, std::atomic's does
  }

  static PyObject* and_(PyObject* self, PyObject* mask) {
    uint64_t bits;
    if (!read("and_", "mask", Kind::kPatterns, mask, &bits) || !operation()) return nullptr;
    return number(Object::of(self).fetch_and(T(bits)));
  }

  static PyObject* or_(PyObject* self, PyObject* mask) {
    uint64_t bits;
    if (!read("or_", "mask", Kind::kPatterns, mask, &bits) || !operation()) return nullptr;
    return number(Object::of(self).fetch_or(T(bits)));
  }

  static PyObject* repr(PyObject* self) {
    T value = Object::of(self).load();
    if constexpr (kIsBool) return PyUnicode_FromFormat("<Bool %s>", value ? "True" : "False");
    PyObject* n = number(value);
    PyObject* text = n ? PyUnicode_FromFormat("<%s %S>", name(), n) : nullptr;
    Py_XDECREF(n);
    return text;
  }

  static PyTypeObject* add_to(PyObject* module) {
    static PyMethodDef methods[] = {
        {"load", load, METH_NOARGS, "load()\n--\n\nThe value."},
        {"store", store, METH_O, "store(v, /)\n--\n\nSet the value. ValueError for one that the type does not hold."},
        {"swap", swap, METH_O, "swap(v, /)\n--\n\nSet the value and return the one before. ValueError for one that the type does not hold."},
        {"compare_and_swap", raw(compare_and_swap), METH_FASTCALL,
         "compare_and_swap(old, new, /)\n--\n\nSet the value to new if it is old, in one step; tell whether it was. ValueError for values that the type\n"
         "does not hold."},
        {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
        {nullptr, nullptr, 0, nullptr},
        {nullptr, nullptr, 0, nullptr},
        {nullptr, nullptr, 0, nullptr},
        {nullptr, nullptr, 0, nullptr}};
    if constexpr (!kIsBool) {
      methods[5] = {"add", add, METH_O,
                    "add(delta, /)\n--\n\nAdd delta, with wrap-around, and return the NEW value. delta may be written signed or unsigned: add(-1)\n"
                    "is right for every type. ValueError if it has more bits than the type; the value stays then."};
      methods[6] = {"and_", and_, METH_O,
                    "and_(mask, /)\n--\n\nKeep the bits of mask, and return the OLD value. mask may be written signed or unsigned: and_(~1) is right for\n"
                    "every type. ValueError if it has more bits than the type."};
      methods[7] = {"or_", or_, METH_O,
                    "or_(mask, /)\n--\n\nSet the bits of mask, and return the OLD value. ValueError if mask has more bits than the type."};
    }
    static PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>(Kind::kDoc)},
                                  {Py_tp_new, reinterpret_cast<void*>(make)},
                                  {Py_tp_dealloc, reinterpret_cast<void*>(Object::destroy)},
                                  {Py_tp_repr, reinterpret_cast<void*>(repr)},
                                  {Py_tp_methods, methods},
                                  {Py_tp_members, Object::members},
                                  {0, nullptr}};
    static PyType_Spec spec = {Kind::kName, sizeof(Object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
    return add_type(module, &spec);
  }
};

}  // namespace

bool add_atomic_integers(PyObject* module) {
  return Atomic<Int32>::add_to(module) && Atomic<Int64>::add_to(module) && Atomic<Uint32>::add_to(module) &&
         Atomic<Uint64>::add_to(module) && Atomic<Uintptr>::add_to(module) && Atomic<Bool>::add_to(module);
}

}  // namespace gort::python
