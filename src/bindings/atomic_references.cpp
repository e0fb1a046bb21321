// gort.atomic's Pointer and Value: see atomic_objects.h.
#include <utility>

#include "atomic_objects.h"
#include "equality.h"
#include "errors.h"
#include "python_lane.h"
#include "raw_type.h"

namespace gort::python {
namespace {

struct Cell {
  PyObject_HEAD
  PyObject* weak_references;
  PyObject* object;   // owned; null: nothing (Go's nil). Under the ObjectLock, where nothing is given up
};
Cell* as_cell(PyObject* self) { return reinterpret_cast<Cell*>(self); }

// A new reference, or null.
PyObject* get(PyObject* self) {
  ObjectLock hold(self);
  return Py_XNewRef(as_cell(self)->object);
}

// Takes over next (null: nothing) and returns what was there, owned.
PyObject* exchange(PyObject* self, PyObject* next) {
  ObjectLock hold(self);
  return std::exchange(as_cell(self)->object, next);
}

// Puts next there if old is (both borrowed, null: nothing).
bool exchange_if(PyObject* self, PyObject* old, PyObject* next) {
  {
    ObjectLock hold(self);
    if (as_cell(self)->object != old) return false;
    as_cell(self)->object = Py_XNewRef(next);
  }
  Py_XDECREF(old);   // the cell's reference
  return true;
}

PyObject* or_none(PyObject* owned) { return owned ? owned : Py_NewRef(Py_None); }
PyObject* or_null(PyObject* object) { return object == Py_None ? nullptr : object; }

int cell_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_cell(self)->object);
  return 0;
}

int cell_clear(PyObject* self) {
  Py_XDECREF(exchange(self, nullptr));
  return 0;
}

void cell_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, cell_dealloc)   // a list linked by Pointers
  if (as_cell(self)->weak_references) PyObject_ClearWeakRefs(self);
  Py_CLEAR(as_cell(self)->object);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

PyObject* cell_load(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  return or_none(get(self));
}

// Names only the type of what is there: no code of others runs.
PyObject* cell_repr(PyObject* self) {
  const char* name = strrchr(Py_TYPE(self)->tp_name, '.') + 1;
  PyObject* object = get(self);
  PyObject* text = object ? PyUnicode_FromFormat("<%s of %s>", name, Py_TYPE(object)->tp_name) : PyUnicode_FromFormat("<%s None>", name);
  Py_XDECREF(object);
  return text;
}

PyObject* cell_subscript(PyObject* type, PyObject* item) { return Py_GenericAlias(type, item); }

PyMemberDef cell_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Cell, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

// --- Pointer

PyObject* pointer_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"value", nullptr};
  PyObject* value = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:Pointer", const_cast<char**>(names), &value)) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self) as_cell(self)->object = Py_XNewRef(or_null(value));
  return self;
}

PyObject* pointer_store(PyObject* self, PyObject* v) {
  if (!operation()) return nullptr;
  Py_XDECREF(exchange(self, Py_XNewRef(or_null(v))));
  Py_RETURN_NONE;
}

PyObject* pointer_swap(PyObject* self, PyObject* v) {
  if (!operation()) return nullptr;
  return or_none(exchange(self, Py_XNewRef(or_null(v))));
}

PyObject* pointer_compare_and_swap(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (!two_arguments(nargs) || !operation()) return nullptr;
  return PyBool_FromLong(exchange_if(self, or_null(args[0]), or_null(args[1])));
}

PyMethodDef pointer_methods[] = {
    {"load", cell_load, METH_NOARGS, "load()\n--\n\nThe object that it refers to, or None."},
    {"store", pointer_store, METH_O, "store(v, /)\n--\n\nLet it refer to v. The object before is given up here."},
    {"swap", pointer_swap, METH_O, "swap(v, /)\n--\n\nLet it refer to v, and return the object before."},
    {"compare_and_swap", raw(pointer_compare_and_swap), METH_FASTCALL,
     "compare_and_swap(old, new, /)\n--\n\nLet it refer to new if it refers to old, the same object (`is`), in one step; tell whether it did."},
    {"__class_getitem__", cell_subscript, METH_O | METH_CLASS, "Pointer[T] is Pointer, with the type of the object told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot pointer_slots[] = {
    {Py_tp_doc, const_cast<char*>("Pointer(value=None)\n--\n\nA reference to an object that goroutines and threads change without a lock; Go's atomic.Pointer, None its nil.\n\n"
                                  ">>> from gort.atomic import Pointer\n>>> config = Pointer({'port': 80})\n>>> old = config.load()\n"
                                  ">>> config.compare_and_swap(old, old | {'port': 81}), config.load()\n(True, {'port': 81})")},
    {Py_tp_new, reinterpret_cast<void*>(pointer_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(cell_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(cell_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(cell_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(cell_repr)},
    {Py_tp_methods, pointer_methods},
    {Py_tp_members, cell_members},
    {0, nullptr}};
PyType_Spec pointer_spec = {"gort.atomic.Pointer", sizeof(Cell), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE, pointer_slots};

// --- Value

PyObject* panic(const char* text) {
  PyErr_SetString(errors::PanicError, text);
  return nullptr;
}

PyObject* value_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, ":Value", const_cast<char**>(names))) return nullptr;
  return type->tp_alloc(type, 0);
}

// The first value decides the type of all: it is that of whatever is there. True: v is there, *old was (owned).
bool value_exchange(PyObject* self, PyObject* v, PyObject** old) {
  ObjectLock hold(self);
  PyObject*& object = as_cell(self)->object;
  if (object && Py_TYPE(object) != Py_TYPE(v)) return false;
  *old = std::exchange(object, Py_NewRef(v));
  return true;
}

PyObject* value_store(PyObject* self, PyObject* v) {
  if (v == Py_None) return panic("sync/atomic: store of nil value into Value");
  if (!operation()) return nullptr;
  PyObject* old;
  if (!value_exchange(self, v, &old)) return panic("sync/atomic: store of inconsistently typed value into Value");
  Py_XDECREF(old);
  Py_RETURN_NONE;
}

PyObject* value_swap(PyObject* self, PyObject* v) {
  if (v == Py_None) return panic("sync/atomic: swap of nil value into Value");
  if (!operation()) return nullptr;
  PyObject* old;
  if (!value_exchange(self, v, &old)) return panic("sync/atomic: swap of inconsistently typed value into Value");
  return or_none(old);
}

PyObject* value_compare_and_swap(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (!two_arguments(nargs)) return nullptr;
  PyObject *old = or_null(args[0]), *next = or_null(args[1]);
  if (!next) return panic("sync/atomic: compare and swap of nil value into Value");
  if (old && Py_TYPE(old) != Py_TYPE(next)) return panic("sync/atomic: compare and swap of inconsistently typed values");
  if (!operation()) return nullptr;
  for (;;) {   // again only if another one has changed it between the look and the exchange
    PyObject* found = get(self);
    if (found && Py_TYPE(found) != Py_TYPE(next)) {
      Py_DECREF(found);
      return panic("sync/atomic: compare and swap of inconsistently typed value into Value");
    }
    int same = !found || !old ? found == old : equal_values(found, old);
    bool done = same == 1 && exchange_if(self, found, next);
    Py_XDECREF(found);
    if (same < 0) return nullptr;
    if (same == 0) Py_RETURN_FALSE;
    if (done) Py_RETURN_TRUE;
  }
}

PyMethodDef value_methods[] = {
    {"load", cell_load, METH_NOARGS, "load()\n--\n\nThe value of the latest store, None before the first."},
    {"store", value_store, METH_O,
     "store(v, /)\n--\n\nSet the value. PanicError for None and for another type than that of the first value; the value stays then."},
    {"swap", value_swap, METH_O,
     "swap(v, /)\n--\n\nSet the value and return the one before, None if there was none. PanicError as for store."},
    {"compare_and_swap", raw(value_compare_and_swap), METH_FASTCALL,
     "compare_and_swap(old, new, /)\n--\n\nSet the value to new if it equals old (`==`), in one step; tell whether it did. An old of None means that there is none yet.\n"
     "PanicError for a new of None, for another type than that of the first value, if old and new differ in type, and if the values are of a type\n"
     "that has no hash (list, dict: Go's uncomparable types). What `==` raises is raised. The value stays then."},
    {"__class_getitem__", cell_subscript, METH_O | METH_CLASS, "Value[T] is Value, with the type of the value told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot value_slots[] = {
    {Py_tp_doc, const_cast<char*>("Value()\n--\n\nA value, of one and the same type (exactly) for ever, that goroutines and threads change without a lock; Go's atomic.Value.\n\n"
                                  ">>> from gort.atomic import Value\n>>> greeting = Value()\n>>> greeting.store('hello')\n>>> greeting.swap('hi'), greeting.load()\n"
                                  "('hello', 'hi')")},
    {Py_tp_new, reinterpret_cast<void*>(value_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(cell_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(cell_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(cell_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(cell_repr)},
    {Py_tp_methods, value_methods},
    {Py_tp_members, cell_members},
    {0, nullptr}};
PyType_Spec value_spec = {"gort.atomic.Value", sizeof(Cell), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE, value_slots};

}  // namespace

bool add_atomic_references(PyObject* module) { return add_type(module, &pointer_spec) && add_type(module, &value_spec); }

}  // namespace gort::python
