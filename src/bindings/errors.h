// gort's Python exceptions (defined in gort/errors.py) and the translation of the core's.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace gort::python::errors {

// Borrowed references, valid after load().
extern PyObject* GortError;
extern PyObject* PanicError;
extern PyObject* FatalError;
extern PyObject* Deadlock;
extern PyObject* GoExit;
extern PyObject* Canceled;
extern PyObject* DeadlineExceeded;

bool load();                    // imports gort.errors; false with an exception set
void prepare_deadlock();        // makes the dump for the next raise_deadlock
void raise_deadlock();          // sets Deadlock with the dump

// translate sets the Python exception for the C++ exception being handled and returns null. Call inside a catch block.
PyObject* translate();

// take takes the exception being raised, normalised, out of the thread state (new reference); put raises it again (steals it).
PyObject* take();
void put(PyObject* error);

// An exception is put away while code runs that may park or serve signals.
class Kept {
 public:
  Kept() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~Kept() { PyErr_Restore(type_, value_, traceback_); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

 private:
  PyObject *type_, *value_, *traceback_;
};

// refuse_reduce is __reduce__ of our objects: pickling and copying are a TypeError that names the type.
PyObject* refuse_reduce(PyObject* self, PyObject*);

// Argument errors in one voice: "<function>: <argument> must be <what>, got <value>".
PyObject* bad_type(const char* function, const char* argument, const char* what, PyObject* got);
PyObject* bad_value(const char* function, const char* argument, const char* what, PyObject* got);

}  // namespace gort::python::errors
