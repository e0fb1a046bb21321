#include "without_gil.h"

namespace gort::python {

#ifdef GORT_WITHOUT_GIL

namespace {

PyMutex exclusive;

struct Look {
  void (*function)(void*);
  void* argument;
  bool done;
};

// One object is enough; there always is one that the collector knows.
int look_once(PyObject*, void* argument) {
  auto* look = static_cast<Look*>(argument);
  if (!look->done) look->function(look->argument);
  look->done = true;
  return 0;
}

}  // namespace

Exclusive::Exclusive() { PyMutex_Lock(&exclusive); }
Exclusive::~Exclusive() { PyMutex_Unlock(&exclusive); }

void while_all_stand(void (*function)(void*), void* argument) {
  Look look{function, argument, false};
  PyUnstable_GC_VisitObjects(look_once, &look);
}

PyObject* Remembered::get() const {
  PyObject* object = nullptr;
  if (object_) PyWeakref_GetRef(object_, &object);
  return object;
}

bool Remembered::set(PyObject* object) {
  PyObject* weak = PyWeakref_NewRef(object, nullptr);
  if (weak) Py_XSETREF(object_, weak);
  return weak != nullptr;
}

void Remembered::clear() { Py_CLEAR(object_); }

void forget_exclusive() { exclusive = {}; }

#else

Exclusive::Exclusive() {}
Exclusive::~Exclusive() {}

void while_all_stand(void (*function)(void*), void* argument) { function(argument); }

PyObject* Remembered::get() const { return Py_XNewRef(object_); }

bool Remembered::set(PyObject* object) {
  object_ = object;
  return true;
}

void Remembered::clear() { object_ = nullptr; }

void forget_exclusive() {}

#endif

}  // namespace gort::python
