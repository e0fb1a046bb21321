// gort._demo: an extension module as an author outside gort would write it, against the public headers alone.
//
// Counter is bound with pybind11. What may park (submit, finish, result) are plain CPython functions, by the rules of
// gort/python/extension.h.
#include <pybind11/pybind11.h>

#include <memory>
#include <string_view>

#include "counter.h"
#include "gort/python/extension.h"

namespace py = pybind11;

namespace {

// The counter of an argument, or null with TypeError set.
std::shared_ptr<demo::Counter> counter_of(const char* function, PyObject* object) {
  if (!py::isinstance<demo::Counter>(object)) {
    PyErr_Format(PyExc_TypeError, "%s: counter must be a Counter, got %.200s", function, Py_TYPE(object)->tp_name);
    return nullptr;
  }
  return py::cast<std::shared_ptr<demo::Counter>>(py::handle(object));
}

PyObject* submit(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) {
    PyErr_Format(PyExc_TypeError, "submit: takes a counter and bytes, got %zd arguments", nargs);
    return nullptr;
  }
  auto counter = counter_of("submit", args[0]);
  if (!counter) return nullptr;
  if (!PyBytes_Check(args[1])) {
    PyErr_Format(PyExc_TypeError, "submit: words must be bytes, got %.200s", Py_TYPE(args[1])->tp_name);
    return nullptr;
  }
  std::string_view words(PyBytes_AS_STRING(args[1]), size_t(PyBytes_GET_SIZE(args[1])));
  bool sent = false;
  if (!gort::python::enter([&] { sent = counter->submit(words); })) return nullptr;
  return PyBool_FromLong(sent);
}

PyObject* finish(PyObject*, PyObject* object) {
  auto counter = counter_of("finish", object);
  if (!counter || !gort::python::enter([&] { counter->finish(); })) return nullptr;
  Py_RETURN_NONE;
}

PyObject* result(PyObject*, PyObject* object) {
  auto counter = counter_of("result", object);
  if (!counter) return nullptr;
  std::vector<std::pair<std::string, uint64_t>> words;
  if (!gort::python::enter([&] { words = counter->result(); })) return nullptr;
  PyObject* counts = PyDict_New();
  for (const auto& [word, count] : words) {
    PyObject* key = counts ? PyUnicode_DecodeUTF8(word.data(), Py_ssize_t(word.size()), "strict") : nullptr;
    PyObject* value = key ? PyLong_FromUnsignedLongLong(count) : nullptr;
    if (!value || PyDict_SetItem(counts, key, value) < 0) Py_CLEAR(counts);
    Py_XDECREF(key);
    Py_XDECREF(value);
    if (!counts) return nullptr;
  }
  return counts;
}

PyMethodDef functions[] = {
    {"submit", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(submit)), METH_FASTCALL,
     "submit(counter, words, /)\n--\n\nHand words (UTF-8, each ended by a newline) to the counter's native goroutines.\n\n"
     "Parks while they are behind. False if the counter was cancelled. PanicError after finish()."},
    {"finish", finish, METH_O, "finish(counter, /)\n--\n\nClose the counter and park until all words are counted."},
    {"result", result, METH_O, "result(counter, /)\n--\n\nThe counts so far, as a dict. May park."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PYBIND11_MODULE(_demo, m, pybind11::mod_gil_not_used()) {
  py::module_::import("gort._gort");
  if (PyModule_AddFunctions(m.ptr(), functions) < 0) throw py::error_already_set();
  py::class_<demo::Counter, std::shared_ptr<demo::Counter>>(m, "Counter", py::is_final(),
                                                            "Counts words in native goroutines, on the managed heap.")
      .def(py::init([](int workers) {
             if (workers < 1 || workers > 1024) throw py::value_error("Counter: workers must be from 1 to 1024");
             std::shared_ptr<demo::Counter> counter;
             if (!gort::python::enter([&] { counter = demo::Counter::start(workers); })) throw py::error_already_set();
             return counter;
           }),
           py::arg("workers"))
      .def("cancel", &demo::Counter::cancel, "Let the workers end at the next batch. Does not park.")
      .def_property_readonly("words", &demo::Counter::words, "Words counted so far.")
      .def_property_readonly("batches", &demo::Counter::batches, "Batches counted so far.")
      .def_property_readonly(
          "lock_address", [](const demo::Counter& c) { return reinterpret_cast<uintptr_t>(c.lock_address()); },
          "What contention reports know the merge lock by.")
      .def_property_readonly(
          "channel_address", [](const demo::Counter& c) { return reinterpret_cast<uintptr_t>(c.channel_address()); },
          "What contention reports know the channel of batches by.");
}
