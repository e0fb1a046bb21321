// gort.WaitGroup: see sync_objects.h.
#include "arguments.h"
#include "awaitables.h"
#include "errors.h"
#include "goroutine_object.h"
#include "gort/sync/wait_group.h"
#include "python_lane.h"
#include "sync_objects.h"

namespace gort::python {

namespace {

using WaitGroupObject = Holder<WaitGroup>;

PyObject* wait_group_change(PyObject* self, int32_t delta) {
  if (!operation()) return nullptr;
  try {
    WaitGroupObject::of(self).add(delta);
  } catch (...) {
    return errors::translate();
  }
  Py_RETURN_NONE;
}

PyObject* wait_group_add(PyObject* self, PyObject* n) {
  if (!PyIndex_Check(n)) return errors::bad_type("add", "n", "an int", n);
  PyObject* index = PyNumber_Index(n);
  if (!index) return nullptr;
  int overflow;
  long long delta = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  if (overflow || delta < INT32_MIN || delta > INT32_MAX)
    return errors::bad_value("add", "n", "from -2147483648 to 2147483647", n);
  return wait_group_change(self, int32_t(delta));
}

PyObject* wait_group_done(PyObject* self, PyObject*) { return wait_group_change(self, -1); }

// Parks.
PyObject* wait_group_wait(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  Nanos deadline = kForever;
  if ((nargs != 0 || names) && !parse_timeout("wait", args, nargs, names, &deadline)) return nullptr;
  if (!operation()) return nullptr;
  Outcome outcome;
  try {
    outcome = WaitGroupObject::of(self).wait_until(deadline);
  } catch (...) {
    return errors::translate();
  }
  if (outcome != Outcome::Fired) return raise_outcome(outcome);
  after_wait();
  Py_RETURN_NONE;
}

// The goroutine is over: counts it out.
void wait_group_ended(PyObject* self) {
  PyObject* result = wait_group_done(self, nullptr);
  if (!result) PyErr_WriteUnraisable(self);
  Py_XDECREF(result);
}

PyObject* wait_group_go(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  GoroutineObject* object = new_call("WaitGroup.go", args, nargs, names);
  if (!object) return nullptr;
  PyObject* counted = wait_group_change(self, 1);
  if (counted) {
    Py_DECREF(counted);
    object->ended = wait_group_ended;
    object->whom = Py_NewRef(self);
    if (!start_call(object)) {
      errors::Kept kept;
      Py_XDECREF(wait_group_change(self, -1));
      counted = nullptr;
    }
  }
  Py_DECREF(object);
  if (!counted) return nullptr;
  Py_RETURN_NONE;
}

PyObject* wait_group_repr(PyObject* self) {
  WaitGroup& wg = WaitGroupObject::of(self);
  return PyUnicode_FromFormat("<WaitGroup %d>", int(wg.count()));
}

PyMethodDef wait_group_methods[] = {
    {"add", wait_group_add, METH_O,
     "add(n, /)\n--\n\nChange the counter by n. Never parks. PanicError if it would become negative; it stays as it was then."},
    quick<"done", wait_group_done>("done()\n--\n\nadd(-1)"),
    {"wait", raw(wait_group_wait), METH_FASTCALL | METH_KEYWORDS,
     "wait(timeout=None)\n--\n\nPark until the counter is zero. TimeoutError when timeout (seconds) passes first."},
    {"go", raw(wait_group_go), METH_FASTCALL | METH_KEYWORDS,
     "go(fn, /, *args, **kwargs)\n--\n\nStart fn(*args, **kwargs) as a goroutine that the group counts until it has ended, however it ends."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot wait_group_slots[] = {
    {Py_tp_doc, const_cast<char*>("WaitGroup()\n--\n\nWaits for a set of goroutines to finish.\n\n"
                                  ">>> wg = WaitGroup()\n>>> for n in range(3):\n...     wg.go(print)\n>>> wg.wait()\n<BLANKLINE>\n<BLANKLINE>\n<BLANKLINE>")},
    {Py_tp_new, reinterpret_cast<void*>(WaitGroupObject::make)},
    {Py_tp_dealloc, reinterpret_cast<void*>(WaitGroupObject::destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(wait_group_repr)},
    {Py_am_await, reinterpret_cast<void*>(await_finish)},
    {Py_tp_methods, wait_group_methods},
    {Py_tp_members, WaitGroupObject::members},
    {0, nullptr}};
PyType_Spec wait_group_spec = {"gort.WaitGroup", sizeof(WaitGroupObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                               wait_group_slots};

}  // namespace

bool add_wait_group(PyObject* module) { return add_type(module, &wait_group_spec) != nullptr; }

}  // namespace gort::python
