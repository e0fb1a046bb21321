#include "errors.h"

#include <cxxabi.h>

#include <atomic>

#include "dump.h"
#include "gort/base/errors.h"
#include "gort/python/extension.h"
#include "lock_check.h"
#include "python_lane.h"
#include "run.h"

namespace gort::python::errors {

PyObject* GortError;
PyObject* PanicError;
PyObject* FatalError;
PyObject* Deadlock;
PyObject* GoExit;
PyObject* Canceled;
PyObject* DeadlineExceeded;

bool load() {
  PyObject* module = PyImport_ImportModule("gort.errors");
  if (!module) return false;
  struct {
    const char* name;
    PyObject** where;
  } wanted[] = {{"GortError", &GortError}, {"PanicError", &PanicError}, {"FatalError", &FatalError},
                {"Deadlock", &Deadlock}, {"GoExit", &GoExit},
                {"Canceled", &Canceled},   {"DeadlineExceeded", &DeadlineExceeded}};
  for (auto& item : wanted) {
    *item.where = PyObject_GetAttrString(module, item.name);
    if (!*item.where) return false;
  }
  Py_DECREF(module);
  return true;
}

PyObject* take() {
#if PY_VERSION_HEX >= 0x030c0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

void put(PyObject* error) {
#if PY_VERSION_HEX >= 0x030c0000
  PyErr_SetRaisedException(error);
#else
  PyErr_Restore(Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(error))), error, PyException_GetTraceback(error));
#endif
}

namespace {
std::atomic<PyObject*> prepared_dump{nullptr};   // owned by whoever takes it out
}

void prepare_deadlock() {
  find_faults_of_deadlock();
  PyObject* dump = dump_goroutines(true);
  if (!dump) PyErr_Clear();
  Py_XDECREF(prepared_dump.exchange(dump));
}

void raise_deadlock() {
  report_faults_of_deadlock();
  PyObject* dump = prepared_dump.exchange(nullptr);
  if (!dump && !(dump = dump_goroutines())) return;
  PyObject* error = PyObject_CallFunction(Deadlock, "sO", "all goroutines are asleep - deadlock!", dump);
  Py_DECREF(dump);
  if (!error) return;
  note_deadlock(error);
  PyErr_SetObject(Deadlock, error);
  Py_DECREF(error);
}

PyObject* translate() {
  try {
    throw;
  } catch (const gort::Deadlock&) {
    raise_deadlock();
  } catch (const Panic& panic) {
    PyErr_SetString(PanicError, panic.what());
  } catch (const Fatal& fatal) {
    PyErr_SetString(FatalError, fatal.what());
  } catch (const gort::GoExit&) {
    PyErr_SetNone(GoExit);
  } catch (const Interrupted&) {
    raise_outcome(Outcome::Interrupted);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (const PythonError&) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "gort: PythonError was thrown with no exception of Python set");
  } catch (abi::__forced_unwind&) {
    stay_for_ever();
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "a C++ exception that is no std::exception");
  }
  return nullptr;
}

PyObject* refuse_reduce(PyObject* self, PyObject*) {
  PyErr_Format(PyExc_TypeError, "cannot pickle or copy %s objects", Py_TYPE(self)->tp_name);
  return nullptr;
}

PyObject* bad_type(const char* function, const char* argument, const char* what, PyObject* got) {
  PyErr_Format(PyExc_TypeError, "%s: %s must be %s, got %.200s", function, argument, what, Py_TYPE(got)->tp_name);
  return nullptr;
}

PyObject* bad_value(const char* function, const char* argument, const char* what, PyObject* got) {
  PyErr_Format(PyExc_ValueError, "%s: %s must be %s, got %R", function, argument, what, got);
  return nullptr;
}

}  // namespace gort::python::errors
