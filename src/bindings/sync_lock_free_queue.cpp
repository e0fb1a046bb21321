// gort.sync.LockFreeQueue: see sync_objects.h.
//
// Cycles through a queue are collected: the queue of a Python object is only entered by methods of that object, which neither let go of the GIL (without one: of
// the thread state) inside nor run code of others, so nobody is inside while a collector looks (with the GIL held, or with all threads standing).
#include "errors.h"
#include "gort/sync/lock_free_queue.h"
#include "python_lane.h"
#include "references.h"
#include "sync_objects.h"

namespace gort::python {
namespace {

struct QueueObject {
  PyObject_HEAD
  PyObject* weak_references;
  LockFreeQueue queue;
};
LockFreeQueue& queue_of(PyObject* self) { return reinterpret_cast<QueueObject*>(self)->queue; }

PyObject* queue_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"capacity", nullptr};
  PyObject* given = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:LockFreeQueue", const_cast<char**>(names), &given)) return nullptr;
  size_t capacity = LockFreeQueue::kUnbounded;
  if (given != Py_None) {
    if (!PyIndex_Check(given)) return errors::bad_type("LockFreeQueue", "capacity", "an int or None", given);
    Py_ssize_t n = PyNumber_AsSsize_t(given, nullptr);   // clipped: nothing holds more
    if (n == -1 && PyErr_Occurred()) return nullptr;
    if (n < 1) return errors::bad_value("LockFreeQueue", "capacity", "at least 1", given);
    capacity = size_t(n);
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  try {
    new (&queue_of(self)) LockFreeQueue(object_element(), capacity);
  } catch (...) {
    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
    return errors::translate();
  }
  return self;
}

int queue_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  struct Visit {
    visitproc visit;
    void* arg;
    int stop;
  } state{visit, arg, 0};
  queue_of(self).for_each(
      [](void* context, void* element) {
        auto* s = static_cast<Visit*>(context);
        if (s->stop == 0) s->stop = s->visit(*static_cast<PyObject**>(element), s->arg);
      },
      &state);
  return state.stop;
}

int queue_clear(PyObject* self) {
  queue_of(self).clear();
  return 0;
}

void queue_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, queue_dealloc)   // queues in queues
  if (reinterpret_cast<QueueObject*>(self)->weak_references) PyObject_ClearWeakRefs(self);
  queue_of(self).~LockFreeQueue();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

// Parks if the queue is bounded and full. A reference that is not put there is not the last: the caller's frame has one.
PyObject* queue_push(PyObject* self, PyObject* v) {
  bool bounded = queue_of(self).capacity() != LockFreeQueue::kUnbounded;
  if (!(bounded ? machine_to_wait() : machine())) return nullptr;
  Py_INCREF(v);
  Outcome outcome;
  try {
    outcome = queue_of(self).push(&v);
  } catch (...) {
    Py_DECREF(v);
    return errors::translate();
  }
  if (outcome != Outcome::Fired) {
    Py_DECREF(v);
    return raise_outcome(outcome);
  }
  after_wait();
  Py_RETURN_NONE;
}

PyObject* queue_try_push(PyObject* self, PyObject* v) {
  if (!machine()) return nullptr;
  Py_INCREF(v);
  try {
    if (queue_of(self).try_push(&v)) Py_RETURN_TRUE;
  } catch (...) {
    Py_DECREF(v);
    return errors::translate();
  }
  Py_DECREF(v);
  Py_RETURN_FALSE;
}

PyObject* queue_try_pop(PyObject* self, PyObject*) {
  if (!machine()) return nullptr;
  PyObject* value;
  if (!queue_of(self).try_pop(&value)) Py_RETURN_NONE;
  PyObject* result = PyTuple_Pack(2, value, Py_True);
  Py_DECREF(value);
  return result;
}

Py_ssize_t queue_len(PyObject* self) { return Py_ssize_t(queue_of(self).size()); }
int queue_bool(PyObject*) { return 1; }

PyObject* queue_capacity(PyObject* self, void*) {
  size_t capacity = queue_of(self).capacity();
  if (capacity == LockFreeQueue::kUnbounded) Py_RETURN_NONE;
  return PyLong_FromSize_t(capacity);
}

PyObject* queue_subscript(PyObject* type, PyObject* item) { return Py_GenericAlias(type, item); }

PyObject* queue_repr(PyObject* self) {
  LockFreeQueue& queue = queue_of(self);
  if (queue.capacity() == LockFreeQueue::kUnbounded) return PyUnicode_FromFormat("<LockFreeQueue %zu>", queue.size());
  return PyUnicode_FromFormat("<LockFreeQueue %zu/%zu>", queue.size(), queue.capacity());
}

PyMethodDef queue_methods[] = {
    {"push", queue_push, METH_O,
     "push(v, /)\n--\n\nPut v at the end. At once if the queue is unbounded; while a bounded one is full, let others run and then sleep up to a millisecond\n"
     "between looks."},
    {"try_push", queue_try_push, METH_O, "try_push(v, /)\n--\n\nPut v at the end unless the queue is full; tell whether it was put there. Never parks."},
    quick<"try_pop", queue_try_pop>(
        "try_pop()\n--\n\nTake the first value: (value, True), as Chan.try_recv; None if there is none. Never parks."),
    {"__class_getitem__", queue_subscript, METH_O | METH_CLASS, "LockFreeQueue[T] is LockFreeQueue, with the type of the values told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef queue_properties[] = {
    {"capacity", queue_capacity, nullptr, "How many values it holds at most; None if it is unbounded.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef queue_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(QueueObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot queue_slots[] = {
    {Py_tp_doc, const_cast<char*>(
                    "LockFreeQueue(capacity=None)\n--\n\nA first-in first-out queue that goroutines and threads push to and pop from without a lock (Boost.Lockfree): nobody is held up\n"
                    "by one who is stopped in the middle. Nobody is woken either; who has to wait for values wants a Chan. len() is exact while nobody pushes\n"
                    "or pops, and never too small. Its memory (64 bytes a value) is used again, and given back when the queue dies.\n\n"
                    ">>> from gort.sync import LockFreeQueue\n>>> jobs = LockFreeQueue(capacity=2)\n>>> jobs.push('a')\n>>> jobs.try_push('b'), jobs.try_push('c')\n"
                    "(True, False)\n>>> jobs.try_pop(), jobs.try_pop(), jobs.try_pop()\n(('a', True), ('b', True), None)")},
    {Py_tp_new, reinterpret_cast<void*>(queue_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(queue_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(queue_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(queue_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(queue_repr)},
    {Py_sq_length, reinterpret_cast<void*>(queue_len)},
    {Py_nb_bool, reinterpret_cast<void*>(queue_bool)},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_properties},
    {Py_tp_members, queue_members},
    {0, nullptr}};
PyType_Spec queue_spec = {"gort.sync.LockFreeQueue", sizeof(QueueObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
                          queue_slots};

}  // namespace

bool add_lock_free_queue(PyObject* module) { return add_type(module, &queue_spec) != nullptr; }

}  // namespace gort::python
