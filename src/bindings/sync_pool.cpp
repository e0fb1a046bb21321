// gort.Pool: see sync_objects.h.
#include "arguments.h"
#include "errors.h"
#include "gort/sync/pool.h"
#include "python_lane.h"
#include "references.h"
#include "sync_objects.h"

namespace gort::python {

namespace {

struct PoolObject {
  PyObject_HEAD
  PyObject* weak_references;
  PyObject* make;      // callable or null
  Pool pool;
};
PoolObject* as_pool(PyObject* self) { return reinterpret_cast<PoolObject*>(self); }

PyObject* pool_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"new", nullptr};
  PyObject* make = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:Pool", const_cast<char**>(names), &make)) return nullptr;
  if (make == Py_None) make = nullptr;
  if (make && !PyCallable_Check(make)) return errors::bad_type("Pool", "new", "callable", make);
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&as_pool(self)->pool) Pool(object_element());
  as_pool(self)->make = Py_XNewRef(make);
  return self;
}

int pool_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_pool(self)->make);
  struct Visit {
    visitproc visit;
    void* arg;
    int stop;
  } state{visit, arg, 0};
  as_pool(self)->pool.for_each(
      [](void* context, uint64_t bits) {
        auto* s = static_cast<Visit*>(context);
        if (s->stop == 0) s->stop = s->visit(reinterpret_cast<PyObject*>(bits), s->arg);
      },
      &state);
  return state.stop;
}

int pool_clear(PyObject* self) {
  Py_CLEAR(as_pool(self)->make);
  as_pool(self)->pool.clear();
  as_pool(self)->pool.clear();   // the victims
  return 0;
}

void pool_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_pool(self)->weak_references) PyObject_ClearWeakRefs(self);
  pool_clear(self);
  as_pool(self)->pool.~Pool();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* pool_get(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  collect_dropped();
  PyObject* value;
  try {
    if (as_pool(self)->pool.get(&value)) return value;
  } catch (...) {
    return errors::translate();
  }
  if (!as_pool(self)->make) Py_RETURN_NONE;
  PyObject* make = Py_NewRef(as_pool(self)->make);
  value = PyObject_CallNoArgs(make);
  Py_DECREF(make);
  return value;
}

PyObject* pool_put(PyObject* self, PyObject* value) {
  if (!operation()) return nullptr;
  if (value == Py_None) Py_RETURN_NONE;
  Py_INCREF(value);
  try {
    as_pool(self)->pool.put(&value);
  } catch (...) {
    errors::translate();
    Py_DECREF(value);
    return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* pool_subscript(PyObject* type, PyObject* item) { return Py_GenericAlias(type, item); }

PyObject* pool_repr(PyObject*) { return PyUnicode_FromString("<Pool>"); }

PyMethodDef pool_methods[] = {
    quick<"get", pool_get>("get()\n--\n\nTake some value out; if there is none, new(), or None without new."),
    {"put", pool_put, METH_O, "put(x, /)\n--\n\nPut a value in for reuse. None is ignored. It may vanish at any time."},
    {"__class_getitem__", pool_subscript, METH_O | METH_CLASS, "Pool[T] is Pool, with the type of the values told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef pool_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PoolObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot pool_slots[] = {
    {Py_tp_doc, const_cast<char*>("Pool(new=None)\n--\n\nKeeps values that are expensive to make for reuse; a value that nobody takes is dropped at the second\n"
                                  "collection of gort.gc.")},
    {Py_tp_new, reinterpret_cast<void*>(pool_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(pool_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(pool_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(pool_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(pool_repr)},
    {Py_tp_methods, pool_methods},
    {Py_tp_members, pool_members},
    {0, nullptr}};
PyType_Spec pool_spec = {"gort.Pool", sizeof(PoolObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                         pool_slots};

}  // namespace

bool add_pool(PyObject* module) { return add_type(module, &pool_spec) != nullptr; }

}  // namespace gort::python
