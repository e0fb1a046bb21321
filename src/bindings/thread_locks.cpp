#include "thread_locks.h"

#include <opcode.h>

#include <cstring>

namespace gort::python {
namespace {

constexpr const char* kThreadBound[] = {"threading", "logging", "importlib._bootstrap", "importlib._bootstrap_external"};

// Whether the function is of a module that may hold what belongs to its OS thread.
bool is_thread_bound(PyFrameObject* frame) {
  PyObject* globals = PyFrame_GetGlobals(frame);
  PyObject* name = globals ? PyDict_GetItemString(globals, "__name__") : nullptr;
  bool bound = false;
  if (name && PyUnicode_Check(name)) {
    for (const char* module : kThreadBound) bound = bound || PyUnicode_CompareWithASCIIString(name, module) == 0;
  }
  Py_XDECREF(globals);
  return bound;
}

constexpr const char* kOfWith[] = {"__enter__", "__exit__", "__aenter__", "__aexit__"};

// The handlers in a code's exception table. Positions are in code units.
class Handlers {
 public:
  Handlers(const unsigned char* table, Py_ssize_t size) : table_(table), end_(table + size) {}

  // Where an exception at `at` would be handled; -1: by the caller.
  int of(int at) const {
    for (const unsigned char* p = table_; p < end_;) {
      int start = number(p), length = number(p), target = number(p);
      number(p);   // depth of the stack
      if (at >= start && at < start + length) return target;
    }
    return -1;
  }

 private:
  int number(const unsigned char*& p) const {
    int value = 0;
    while (p < end_) {
      unsigned char byte = *p++;
      value = value << 6 | (byte & 63);
      if (!(byte & 64)) break;
    }
    return value;
  }

  const unsigned char* const table_;
  const unsigned char* const end_;
};

// The handler of a `try` is itself covered by that of what is around it: so the handlers lead from the innermost block outwards.
bool is_in_with(PyCodeObject* code, int at) {
  constexpr int kDeepest = 100;   // CPython allows 20 blocks, of two handlers each
  if (PyBytes_GET_SIZE(code->co_exceptiontable) == 0) return false;
  PyObject* bytes = PyCode_GetCode(code);
  if (!bytes) return true;
  Handlers handlers(reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(code->co_exceptiontable)),
                    PyBytes_GET_SIZE(code->co_exceptiontable));
  auto* units = reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(bytes));
  Py_ssize_t count = PyBytes_GET_SIZE(bytes) / 2;
  bool found = false;
  int depth = 0;
  while (!found && (at = handlers.of(at)) >= 0) {
    found = depth++ == kDeepest || at + 1 >= count || (units[2 * at] == PUSH_EXC_INFO && units[2 * (at + 1)] == WITH_EXCEPT_START);
  }
  Py_DECREF(bytes);
  return found;
}

bool has(PyObject* name, const char* part) {
  const char* text = PyUnicode_AsUTF8(name);
  return !text || std::strstr(text, part);
}

bool handles_locks(PyCodeObject* code) {
  for (const char* name : kOfWith) {
    if (PyUnicode_CompareWithASCIIString(code->co_name, name) == 0) return true;
  }
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(code->co_names); i++) {
    PyObject* name = PyTuple_GET_ITEM(code->co_names, i);
    if (has(name, "acquire") || has(name, "release")) return true;
  }
  return false;
}

bool holds_by_its_code(PyFrameObject* frame) {
  PyCodeObject* code = PyFrame_GetCode(frame);
  bool may = handles_locks(code) || is_in_with(code, PyFrame_GetLasti(frame) / 2);
  Py_DECREF(code);
  PyErr_Clear();
  return may;
}

}  // namespace

bool may_hold_thread_lock(PyFrameObject* frame) { return is_thread_bound(frame) || holds_by_its_code(frame); }

}  // namespace gort::python
