// gort.gc: the collector, as plain data. collect() parks, so it is a raw function.
#include <pybind11/pybind11.h>

#include "errors.h"
#include "gort/gc/collector.h"
#include "python_lane.h"
#include "references.h"
#include "register.h"

namespace gort::python {

namespace py = pybind11;

namespace {

PyObject* collect(PyObject*, PyObject*) {
  if (!machine()) return nullptr;
  try {
    gc::collect();
  } catch (...) {
    return errors::translate();
  }
  after_wait();
  collect_dropped();   // what pools have given up
  Py_RETURN_NONE;
}

py::dict cycle_dict(const gc::Cycle& c) {
  py::dict d;
  d["number"] = c.number;
  d["reason"] = gc::reason_name(c.reason);
  d["procs"] = c.procs;
  d["start"] = c.start;
  d["stop1_begin"] = c.stop1_begin;
  d["mark_begin"] = c.mark_begin;
  d["stop2_begin"] = c.stop2_begin;
  d["sweep_begin"] = c.sweep_begin;
  d["end"] = c.end;
  d["stop1_wait"] = c.stop1_wait;
  d["stop1_pause"] = c.stop1_pause;
  d["stop2_wait"] = c.stop2_wait;
  d["stop2_pause"] = c.stop2_pause;
  d["assist_time"] = c.assist_time;
  d["worker_time"] = c.worker_time;
  d["heap_before"] = c.heap_before;
  d["heap_peak"] = c.heap_peak;
  d["heap_after"] = c.heap_after;
  d["goal"] = c.goal;
  d["stacks"] = c.stacks;
  d["stack_bytes"] = c.stack_bytes;
  d["handles"] = c.handles;
  d["objects_marked"] = c.objects_marked;
  d["bytes_scanned"] = c.bytes_scanned;
  d["objects_freed"] = c.objects_freed;
  d["bytes_freed"] = c.bytes_freed;
  d["spans_freed"] = c.spans_freed;
  d["cpu_fraction"] = c.cpu_fraction;
  d["line"] = gc::trace_line(c);
  return d;
}

py::list cycles_list() {
  py::list result;
  for (const gc::Cycle& c : gc::cycles()) result.append(cycle_dict(c));
  return result;
}

py::dict gc_stats_dict() {
  gc::Stats s = gc::stats();
  py::dict d;
  d["num_gc"] = s.num_gc;
  d["num_forced"] = s.num_forced;
  d["heap_live"] = s.heap_live;
  d["heap_marked"] = s.heap_marked;
  d["goal"] = s.goal;
  d["trigger"] = s.trigger;
  d["pause_total"] = s.pause_total;
  d["pause_max"] = s.pause_max;
  d["assist_total"] = s.assist_total;
  d["worker_total"] = s.worker_total;
  d["cpu_fraction"] = s.cpu_fraction;
  return d;
}

const char* phase_text() {
  gc::Phase phase = gc::phase();
  return phase == gc::Phase::Off && gc::sweeping() ? "sweep" : gc::phase_name(phase);
}

int set_percent(py::object n) {
  if (!PyIndex_Check(n.ptr()) || PyBool_Check(n.ptr())) {
    errors::bad_type("set_percent", "n", "an int", n.ptr());
    throw py::error_already_set();
  }
  Py_ssize_t percent = PyNumber_AsSsize_t(n.ptr(), nullptr);
  if (percent > 1000000) {
    errors::bad_value("set_percent", "n", "at most 1000000", n.ptr());
    throw py::error_already_set();
  }
  return gc::set_percent(percent < 0 ? -1 : int(percent));
}

PyMethodDef functions[] = {
    {"_gc_collect", collect, METH_NOARGS,
     "collect()\n--\n\nRun a whole collection, its sweep included. Parks until it has ended; what was unreachable at the call is free then."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool register_gc(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  if (PyModule_AddFunctions(module, functions) < 0) return false;
  m.def("_gc_phase", phase_text);
  m.def("_gc_stats", gc_stats_dict);
  m.def("_gc_cycles", cycles_list);
  m.def("_gc_set_percent", set_percent);
  return true;
}

}  // namespace gort::python
