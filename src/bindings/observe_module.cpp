// gort.contention, gort.runtime: what goroutines wait for and where they are, as plain data.
//
// Everything is copied out of the core first and turned into Python objects afterwards: no Python API under a core lock.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdio>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "chan_object.h"
#include "dump.h"
#include "errors.h"
#include "goroutine_object.h"
#include "gort/observe/contention.h"
#include "gort/sched/go.h"
#include "leaks.h"
#include "python_stack.h"
#include "python_lane.h"
#include "register.h"
#include "without_gil.h"

namespace gort::python {

namespace py = pybind11;

namespace {

// ---------------------------------------------------------------- contention

// (waiting, reason, object, stack, count, total, max, last, goroutine) for each entry.
py::list contention_rows() {
  py::list rows;
  for (const observe::WaitEntry& e : observe::contention_snapshot()) {
    rows.append(py::make_tuple(e.key.part == observe::Part::Waiting, wait_reason_text(e.key.reason), reinterpret_cast<uintptr_t>(e.key.object), e.key.stack,
                               e.count, e.total, e.max, e.last, e.last_goroutine));
  }
  return rows;
}

// What has no name is known by where it is in its file.
py::tuple native_frame(const observe::Place& place) {
  observe::NativeFrame frame = observe::describe_native(place);
  char offset[24];
  std::snprintf(offset, sizeof(offset), "+0x%llx", static_cast<unsigned long long>(frame.offset));
  auto text = [](const std::string& s) { return py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(s.data(), Py_ssize_t(s.size()), "replace")); };
  return py::make_tuple(text(frame.function), text(frame.file.empty() ? "?" : frame.file + offset), 0);
}

// (function, file, line) for each frame of a stack in the rows, innermost first; of native ones the line is 0. Empty: unknown, or of an earlier session.
py::tuple contention_stack(observe::StackId id) {
  std::shared_ptr<observe::CallStacks> stacks = observe::call_stacks();
  const observe::CallStack* stack = stacks ? stacks->find(id) : nullptr;
  py::list frames;
  if (stack) {
    for (const observe::Place& place : stack->places()) {
      if (stack->kind() != &python_stack) {
        frames.append(native_frame(place));
        continue;
      }
      auto frame = py::reinterpret_steal<py::object>(python_frame(place));
      if (!frame) throw py::error_already_set();
      frames.append(frame);
    }
  }
  return py::tuple(frames);
}

// The address by which waits for a channel are recorded; null: not a channel.
py::object address_of(py::object object) {
  if (!is_chan(object.ptr())) return py::none();
  return py::int_(reinterpret_cast<uintptr_t>(as_chan(object.ptr())->channel));
}

// ---------------------------------------------------------------- runtime

py::list goroutines(bool leaked) {
  if (!machine()) throw py::error_already_set();
  std::unordered_set<G*> named;
  if (leaked) named = leaked_goroutines();
  std::vector<std::pair<G*, PyObject*>> found;
  while_all_stand([&] {
    for (G* g : Runtime::get().all_goroutines()) {
      Status status = g->status.load(std::memory_order_acquire);
      if (status == Status::Dead || status == Status::Idle) continue;
      if (!leaked || named.contains(g)) found.push_back({g, known_object(g)});
    }
  });
  std::vector<py::object> objects;
  for (auto [g, object] : found) {
    if (!object && g->is_plain_thread()) object = object_of(g);
    objects.push_back(py::reinterpret_steal<py::object>(object));
    if (!object && PyErr_Occurred()) throw py::error_already_set();
  }
  py::list result;
  for (py::object& object : objects) {
    if (object) result.append(object);
  }
  return result;
}

py::list stacks() {
  py::list rows;
  Runtime::get().for_each_lane([&](Lane& lane) {
    StackPool::Usage usage = lane.stacks().usage();
    rows.append(py::dict(py::arg("lane") = lane.name(), py::arg("stack_size") = usage.stack_size, py::arg("reserved") = usage.reserved,
                         py::arg("own") = usage.own, py::arg("resident") = usage.resident, py::arg("high_water") = usage.high_water));
  });
  return rows;
}

py::object all_stacks() {
  if (!machine()) throw py::error_already_set();
  PyObject* text = dump_goroutines();
  if (!text) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(text);
}

int num_threads() {
  int n = 0;
  Runtime::get().for_each_lane([&](Lane& lane) { n += lane.machine_count(); });
  return n;
}

}  // namespace

bool register_observe(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  m.def("_sched_stacks", stacks);
  m.def("_contention_start", observe::contention_start);
  m.def("_contention_stop", observe::contention_stop);
  m.def("_contention_snapshot", contention_rows);
  m.def("_contention_stack", contention_stack);
  m.def("_contention_address", address_of);
  m.def("_runtime_goroutines", goroutines);
  m.def("_runtime_stacks", all_stacks);
  m.def("_runtime_num_threads", num_threads);
  return true;
}

}  // namespace gort::python
