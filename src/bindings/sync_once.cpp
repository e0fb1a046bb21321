// gort.Once: see sync_objects.h.
#include "arguments.h"
#include "errors.h"
#include "gort/sync/once.h"
#include "python_lane.h"
#include "sync_objects.h"

namespace gort::python {

namespace {

using OnceObject = Holder<Once>;

// Parks while somebody else's call is going on.
PyObject* once_do(PyObject* self, PyObject* function) {
  if (!PyCallable_Check(function)) return errors::bad_type("do", "fn", "callable", function);
  if (!operation() || !machine_to_wait()) return nullptr;
  Once& once = OnceObject::of(self);
  if (once.is_done()) Py_RETURN_NONE;
  Once::Begun begun = once.begin();
  if (begun.outcome != Outcome::Fired) return raise_outcome(begun.outcome);
  after_wait();
  if (!begun.first) Py_RETURN_NONE;
  PyObject* result = PyObject_CallNoArgs(function);
  {
    errors::Kept kept;
    once.finish();
  }
  if (!result) return nullptr;
  Py_DECREF(result);
  Py_RETURN_NONE;
}

PyObject* once_repr(PyObject* self) {
  return PyUnicode_FromString(OnceObject::of(self).is_done() ? "<Once done>" : "<Once>");
}

PyMethodDef once_methods[] = {
    {"do", once_do, METH_O,
     "do(fn, /)\n--\n\nCall fn() if this is the first do; else park until that first call is over.\n\n"
     "A call that raises counts as done: only its own caller sees the exception."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot once_slots[] = {{Py_tp_doc, const_cast<char*>("Once()\n--\n\nCalls a function once, whoever comes first.")},
                            {Py_tp_new, reinterpret_cast<void*>(OnceObject::make)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(OnceObject::destroy)},
                            {Py_tp_repr, reinterpret_cast<void*>(once_repr)},
                            {Py_tp_methods, once_methods},
                            {Py_tp_members, OnceObject::members},
                            {0, nullptr}};
PyType_Spec once_spec = {"gort.Once", sizeof(OnceObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, once_slots};

}  // namespace

bool add_once(PyObject* module) { return add_type(module, &once_spec) != nullptr; }

}  // namespace gort::python
