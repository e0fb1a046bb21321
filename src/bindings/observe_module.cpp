// gort.sched, gort.contention, gort.runtime: what the scheduler is doing, as plain data.
//
// Everything is copied out of the core first and turned into Python objects afterwards: no Python API under a core lock.
// The picture is not taken in a stopped world: its parts may be moments apart.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "chan_object.h"
#include "dump.h"
#include "errors.h"
#include "goroutine_object.h"
#include "gort/observe/contention.h"
#include "gort/python/extension.h"
#include "gort/sched/go.h"
#include "python_lane.h"
#include "register.h"

namespace gort::python {

namespace py = pybind11;

namespace {

const Nanos loaded_at = nanotime();

// ---------------------------------------------------------------- state

uint64_t id_of(const G* g) { return g ? g->id.load(std::memory_order_relaxed) : 0; }

struct GoroutineRow {
  G* g;
  uint64_t id, parent;
  const char* status;
  const char* wait_reason;
  const void* waiting_on;
  Nanos wait_since;
  const char* lane;
  bool system, thread;
};

struct MachineRow {
  int id;
  const char* lane;
  int processor;        // -1: none
  uint64_t goroutine;   // 0: none
  bool thread, idle;
};

struct ProcessorRow {
  int id;
  const char* lane;
  const char* status;
  int machine;          // -1: none
  uint32_t queue;
  bool next;
  size_t timers;
  uint64_t tick;
  const Counters* counters;
};

std::vector<GoroutineRow> goroutine_rows() {
  std::vector<GoroutineRow> rows;
  for (G* g : Runtime::get().all_goroutines()) {
    Status status = g->status.load(std::memory_order_acquire);
    if (status == Status::Dead || status == Status::Idle || !g->lane) continue;
    bool waiting = status == Status::Waiting;
    rows.push_back({g, id_of(g), g->parent_id, status_text(status),
                    waiting ? wait_reason_text(g->wait_reason.load(std::memory_order_relaxed)) : "",
                    waiting ? g->waiting_on.load(std::memory_order_relaxed) : nullptr,
                    waiting ? g->wait_since.load(std::memory_order_relaxed) : 0, g->lane->name(), g->system,
                    g->own_machine != nullptr});
  }
  return rows;
}

std::vector<ProcessorRow> processor_rows() {
  std::vector<ProcessorRow> rows;
  Runtime::get().for_each_lane([&](Lane& lane) {
    int active = lane.processors();
    lane.for_each_processor([&](P& p) {
      if (int(p.local.id) >= active) return;
      M* owner = p.owner.load(std::memory_order_acquire);
      const char* status = !owner ? "idle" : (p.syscall.load(std::memory_order_relaxed) & 1) ? "syscall" : "running";
      rows.push_back({int(p.local.id), lane.name(), status, owner ? owner->id : -1, p.queue.size(), p.queue.peek_next() != nullptr,
                      p.timers.size(), p.tick.load(std::memory_order_relaxed), &p.counters});
    });
  });
  return rows;
}

// Which P a machine has is read from the P's side: M::p is its owner's alone.
std::vector<MachineRow> machine_rows(const std::vector<ProcessorRow>& processors) {
  std::vector<MachineRow> rows;
  Runtime::get().for_each_lane([&](Lane& lane) {
    rows.reserve(rows.size() + size_t(lane.machine_count()) + 16);
    lane.for_each_machine([&](M& m) {
      int p = -1;
      for (const ProcessorRow& row : processors) {
        if (row.machine == m.id) p = row.id;
      }
      rows.push_back({m.id, lane.name(), p, id_of(m.running.load(std::memory_order_acquire)), m.own != nullptr,
                      m.counted_idle.load(std::memory_order_relaxed)});
    });
  });
  return rows;
}

py::object name_of(G* g) {
  PyObject* object = object_of(g);
  if (!object) {
    if (PyErr_Occurred()) PyErr_Clear();
    return py::none();
  }
  PyObject* name = PyObject_GetAttrString(object, "name");
  Py_DECREF(object);
  if (!name) PyErr_Clear();
  return name ? py::reinterpret_steal<py::object>(name) : py::object(py::none());
}

py::dict state() {
  if (!machine()) throw py::error_already_set();
  auto goroutines = goroutine_rows();
  auto processors = processor_rows();
  auto machines = machine_rows(processors);
  Nanos now = nanotime();
  py::dict d;

  py::list gs;
  for (const GoroutineRow& r : goroutines) {
    py::dict row;
    row["id"] = r.id;
    row["lane"] = r.lane;
    row["status"] = r.status;
    row["wait_reason"] = r.wait_reason;
    row["waiting_on"] = reinterpret_cast<uintptr_t>(r.waiting_on);
    row["waiting_for"] = r.wait_since > 0 && now > r.wait_since ? double(now - r.wait_since) / 1e9 : 0.0;
    row["parent_id"] = r.parent;
    row["name"] = id_of(r.g) == r.id ? name_of(r.g) : py::object(py::none());
    row["system"] = r.system;
    row["thread"] = r.thread;
    gs.append(row);
  }
  d["goroutines"] = gs;

  py::list ms;
  for (const MachineRow& r : machines) {
    py::dict row;
    row["id"] = r.id;
    row["lane"] = r.lane;
    row["processor"] = r.processor < 0 ? py::object(py::none()) : py::object(py::int_(r.processor));
    row["goroutine"] = r.goroutine == 0 ? py::object(py::none()) : py::object(py::int_(r.goroutine));
    row["plain_thread"] = r.thread;
    row["idle"] = r.idle;
    ms.append(row);
  }
  d["machines"] = ms;

  py::list ps;
  for (const ProcessorRow& r : processors) {
    py::dict row;
    row["id"] = r.id;
    row["lane"] = r.lane;
    row["status"] = r.status;
    row["machine"] = r.machine < 0 ? py::object(py::none()) : py::object(py::int_(r.machine));
    row["queue"] = r.queue;
    row["next"] = r.next;
    row["timers"] = r.timers;
    row["tick"] = r.tick;
    ps.append(row);
  }
  d["processors"] = ps;

  py::list lanes;
  Runtime::get().for_each_lane([&](Lane& lane) {
    py::dict row;
    row["name"] = lane.name();
    row["processors"] = lane.processors();
    row["idle_processors"] = lane.idle_processors();
    row["machines"] = lane.machine_count();
    row["idle_machines"] = lane.idle_machines();
    row["spinning_machines"] = lane.spinning();
    row["global_queue"] = lane.global_queue_size();
    row["goroutines"] = lane.live();
    lanes.append(row);
  });
  d["lanes"] = lanes;
  return d;
}

// ---------------------------------------------------------------- counters

py::dict stats() {
  py::dict d;
  py::list ps;
  for (const ProcessorRow& r : processor_rows()) {
    const Counters& c = *r.counters;
    py::dict row;
    row["id"] = r.id;
    row["lane"] = r.lane;
    row["spawns"] = c.spawns.load(std::memory_order_relaxed);
    row["ends"] = c.ends.load(std::memory_order_relaxed);
    row["parks"] = c.parks.load(std::memory_order_relaxed);
    row["yields"] = c.yields.load(std::memory_order_relaxed);
    row["switches"] = c.switches.load(std::memory_order_relaxed);
    row["steals"] = c.steals.load(std::memory_order_relaxed);
    row["stolen"] = c.stolen.load(std::memory_order_relaxed);
    row["steal_failures"] = c.steal_failures.load(std::memory_order_relaxed);
    row["global_gets"] = c.global_gets.load(std::memory_order_relaxed);
    ps.append(row);
  }
  d["processors"] = ps;
  py::list lanes;
  Runtime::get().for_each_lane([&](Lane& lane) {
    Lane::Totals t = lane.totals();
    py::dict row;
    row["name"] = lane.name();
    row["hand_offs"] = t.hand_offs;
    row["takeovers"] = t.takeovers;
    row["failed_takeovers"] = t.failed_takeovers;
    row["machines_started"] = t.machines_started;
    row["spawns"] = t.loose_spawns;
    row["ends"] = t.loose_ends;
    lanes.append(row);
  });
  d["lanes"] = lanes;
  d["sysmon_rounds"] = Runtime::get().sysmon_rounds();
  return d;
}

// Go's line for the native lane; for the Python lane one more that says so at its end.
std::string schedtrace() {
  std::string text;
  Runtime::get().for_each_lane([&](Lane& lane) {
    auto field = [&](const char* name, int64_t value) { text += std::string(" ") + name + "=" + std::to_string(value); };
    if (!text.empty()) text += "\n";
    text += "SCHED " + std::to_string((nanotime() - loaded_at) / kMillisecond) + "ms:";
    field("gomaxprocs", lane.processors());
    field("idleprocs", lane.idle_processors());
    field("threads", lane.machine_count());
    field("spinningthreads", lane.spinning());
    field("needspinning", 0);
    field("idlethreads", lane.idle_machines());
    field("runqueue", lane.global_queue_size());
    text += " [ ";
    std::string ticks;
    int active = lane.processors();
    lane.for_each_processor([&](P& p) {
      if (int(p.local.id) >= active) return;
      text += std::to_string(p.queue.size()) + " ";
      ticks += std::to_string(p.tick.load(std::memory_order_relaxed)) + " ";
    });
    text += "] schedticks=[ " + ticks + "]";
    if (&lane != &Runtime::get().native()) text += std::string(" lane=") + lane.name();
  });
  return text;
}

// ---------------------------------------------------------------- contention

py::list contention_rows() {
  py::list rows;
  for (const observe::WaitEntry& e : observe::contention_snapshot()) {
    rows.append(py::make_tuple(wait_reason_text(e.reason), reinterpret_cast<uintptr_t>(e.object), e.count, e.total, e.max,
                               e.last_goroutine));
  }
  return rows;
}

// The address by which waits for a channel are recorded; null: not a channel.
py::object address_of(py::object object) {
  if (!is_chan(object.ptr())) return py::none();
  return py::int_(reinterpret_cast<uintptr_t>(as_chan(object.ptr())->channel));
}

// ---------------------------------------------------------------- runtime

py::list goroutines() {
  if (!machine()) throw py::error_already_set();
  py::list result;
  for (const GoroutineRow& r : goroutine_rows()) {
    PyObject* object = object_of(r.g);
    if (!object) {
      if (PyErr_Occurred()) throw py::error_already_set();
      continue;
    }
    result.append(py::reinterpret_steal<py::object>(object));
  }
  return result;
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

const ExtensionHooks extension = {
    [] { return machine() != nullptr; },
    [] { errors::translate(); },
    [] { after_wait(); },
};

}  // namespace

bool register_observe(py::module_& m) {
  set_extension_hooks(extension);
  m.def("_sched_state", state);
  m.def("_sched_stats", stats);
  m.def("_sched_trace", schedtrace);
  m.def("_contention_start", observe::contention_start);
  m.def("_contention_stop", observe::contention_stop);
  m.def("_contention_snapshot", contention_rows);
  m.def("_contention_address", address_of);
  m.def("_runtime_goroutines", goroutines);
  m.def("_runtime_stacks", all_stacks);
  m.def("_runtime_num_threads", num_threads);
  return true;
}

}  // namespace gort::python
