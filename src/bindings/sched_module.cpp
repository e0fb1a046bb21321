// gort.sched: what the scheduler is doing and has done, as plain data. The Python side (sched.py) gives it names.
//
// Everything is copied out of the core first and turned into Python objects afterwards: no Python API under a core lock.
// The picture is not taken in a stopped world: its parts may be moments apart. But what the goroutines do is, where there is no GIL
// (while_all_stand): their waits and stacks can be looked into only while they do not go on.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "dump.h"
#include "goroutine_object.h"
#include "gort/observe/latency.h"
#include "gort/sched/go.h"
#include "gort/sched/schedtrace.h"
#include "python_lane.h"
#include "register.h"
#include "waits.h"
#include "without_gil.h"

namespace gort::python {

namespace py = pybind11;

namespace {

const Nanos loaded_at = nanotime();

uint64_t id_of(const G* g) { return g ? g->id.load(std::memory_order_relaxed) : 0; }
py::object or_none(bool known, int64_t value) { return known ? py::object(py::int_(value)) : py::object(py::none()); }
py::str text_of(const std::string& text) {
  return py::reinterpret_steal<py::str>(PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace"));
}

// ---------------------------------------------------------------- state

struct GoroutineRow {
  G* g;
  uint64_t id, parent;
  const char* status;
  const char* wait_reason;
  const void* waiting_on;
  Nanos wait_since;
  const char* lane;
  bool system, thread;
  Wait wait;
  Stack stack;
  py::object object;    // null: a native goroutine, or a thread that nobody has asked for it
};

struct MachineRow {
  int id;
  const char* lane;
  int processor;        // -1: none
  uint64_t goroutine;   // 0: none
  bool thread, idle;
};

struct ProcessorRow {
  const char* lane;
  const char* status;
  int machine;          // -1: none
  P* p;
};

std::vector<GoroutineRow> goroutine_rows(bool stacks) {
  std::vector<GoroutineRow> rows;
  while_all_stand([&] {
    Runtime::get().note_waits(nanotime());
    for (G* g : Runtime::get().all_goroutines()) {
      Status status = g->status.load(std::memory_order_acquire);
      if (status == Status::Dead || status == Status::Idle) continue;
      bool waiting = status == Status::Waiting;
      rows.push_back({g, id_of(g), g->parent_id, status_text(status),
                      waiting ? wait_reason_text(g->wait_reason.load(std::memory_order_relaxed)) : "",
                      waiting ? g->waiting_on.load(std::memory_order_relaxed) : nullptr,
                      waiting ? g->wait_since.load(std::memory_order_relaxed) : 0, g->lane.load(std::memory_order_relaxed)->name(), g->system,
                      g->own_machine != nullptr, wait_of(g), Stack(), py::reinterpret_steal<py::object>(known_object(g))});
      if (stacks && g->home == &lane()) rows.back().stack.take(g);
    }
  });
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
      rows.push_back({lane.name(), status, owner ? owner->id : -1, &p});
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
        if (row.machine == m.id) p = int(row.p->local.id);
      }
      rows.push_back({m.id, lane.name(), p, id_of(m.running.load(std::memory_order_acquire)), m.own != nullptr,
                      m.counted_idle.load(std::memory_order_relaxed)});
    });
  });
  return rows;
}

// g's Goroutine object; null for native goroutines.
py::object object_of_row(const GoroutineRow& row) {
  if (row.object || !row.g->is_plain_thread()) return row.object;
  auto object = py::reinterpret_steal<py::object>(object_of(row.g));
  if (!object) PyErr_Clear();
  return object;
}

// An attribute of it; None if there is none.
py::object attribute(const py::object& object, const char* name) {
  PyObject* value = object ? PyObject_GetAttrString(object.ptr(), name) : nullptr;
  if (!value) PyErr_Clear();
  return value ? py::reinterpret_steal<py::object>(value) : py::object(py::none());
}

template <class Word>
py::dict parks_of(const SwitchCounts<Word>& counts) {
  py::dict d;
  for (size_t i = 0; i < size_t(WaitReason::Count); i++) {
    if (uint64_t n = read_count(counts.parks[i])) d[wait_reason_text(WaitReason(i))] = n;
  }
  return d;
}

// Every cause that has happened.
py::dict switches_of(const SwitchCounts<uint32_t>& counts) {
  py::dict d = parks_of(counts);
  auto add = [&](const char* name, const uint32_t& count) {
    if (uint32_t n = read_count(count)) d[name] = n;
  };
  add("yield", counts.yields);
  add("preempt_handoff", counts.preempt_handoff);
  add("preempt_call", counts.preempt_call);
  add("preempt_signal", counts.preempt_signal);
  add("foreign_call", counts.foreign_calls);
  return d;
}

py::dict state(bool stacks) {
  if (!machine()) throw py::error_already_set();
  const G* asker = self();
  bool may_be_dead = false;
  while_all_stand([&] { may_be_dead = Runtime::get().may_be_dead(asker); });   // at one moment: a sleeper has its timer or has been readied
  auto goroutines = goroutine_rows(stacks);
  auto processors = processor_rows();
  auto machines = machine_rows(processors);
  Nanos now = nanotime();
  py::dict d;

  py::list gs;
  for (const GoroutineRow& r : goroutines) {
    py::object object = object_of_row(r);
    py::dict row;
    row["id"] = r.id;
    row["lane"] = r.lane;
    row["status"] = r.status;
    row["wait_reason"] = r.wait_reason;
    row["waiting_on"] = reinterpret_cast<uintptr_t>(r.waiting_on);
    row["waiting_for"] = r.wait_since > 0 && now > r.wait_since ? double(now - r.wait_since) / 1e9 : 0.0;
    py::list on;
    for (const std::string& text : r.wait.on) on.append(text_of(text));
    row["waits_for"] = py::tuple(on);
    row["held_by"] = or_none(r.wait.holder != 0, int64_t(r.wait.holder));
    row["parent_id"] = r.parent;
    row["name"] = attribute(object, "name");
    row["created_at"] = attribute(object, "created_at");
    row["stack"] = text_of(r.stack.text());
    row["switches"] = switches_of(r.g->switches);
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
    row["processor"] = or_none(r.processor >= 0, r.processor);
    row["goroutine"] = or_none(r.goroutine != 0, int64_t(r.goroutine));
    row["plain_thread"] = r.thread;
    row["idle"] = r.idle;
    ms.append(row);
  }
  d["machines"] = ms;

  py::list ps;
  for (const ProcessorRow& r : processors) {
    py::dict row;
    row["id"] = r.p->local.id;
    row["lane"] = r.lane;
    row["status"] = r.status;
    row["machine"] = or_none(r.machine >= 0, r.machine);
    row["queue"] = r.p->queue.size();
    row["next"] = r.p->queue.peek_next() != nullptr;
    row["timers"] = r.p->timers.size();
    row["tick"] = r.p->tick.load(std::memory_order_relaxed);
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
  d["deadlock"] = may_be_dead ? "possibly deadlocked" : "";
  return d;
}

// ---------------------------------------------------------------- stats

py::tuple histogram_of(const observe::LatencyHistogram& histogram) {
  py::tuple counts(observe::LatencyHistogram::kBuckets);
  for (size_t i = 0; i < observe::LatencyHistogram::kBuckets; i++) counts[i] = histogram[i];
  return counts;
}

py::dict processor_stats(const ProcessorRow& r) {
  const Counters& c = r.p->counters;
  auto value = [](const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  py::dict row;
  py::dict reasons = parks_of(c);
  uint64_t parks = 0;
  for (const uint64_t& n : c.parks) parks += read_count(n);
  row["id"] = r.p->local.id;
  row["lane"] = r.lane;
  row["spawns"] = value(c.spawns);
  row["ends"] = value(c.ends);
  row["runs"] = r.p->tick.load(std::memory_order_relaxed);
  row["parks"] = parks;
  row["yields"] = read_count(c.yields);
  row["preempt_handoff"] = read_count(c.preempt_handoff);
  row["preempt_call"] = read_count(c.preempt_call);
  row["preempt_signal"] = read_count(c.preempt_signal);
  row["foreign_calls"] = read_count(c.foreign_calls);
  row["switches"] = value(c.switches);
  row["steals"] = value(c.steals);
  row["stolen"] = value(c.stolen);
  row["steal_failures"] = value(c.steal_failures);
  row["steal_searches"] = value(c.steal_searches);
  row["steal_time"] = double(value(c.steal_nanos)) / 1e9;
  row["global_gets"] = value(c.global_gets);
  row["reasons"] = reasons;
  py::dict victims;
  for (const StealLog::Victim& v : r.p->steal_log.victims()) victims[py::int_(v.id)] = py::make_tuple(v.steals, v.goroutines);
  row["victims"] = victims;
  return row;
}

py::dict stats() {
  py::dict d;
  py::list ps, recent, latencies;
  for (const ProcessorRow& r : processor_rows()) {
    ps.append(processor_stats(r));
    for (const StealLog::Steal& s : r.p->steal_log.recent()) {
      recent.append(py::make_tuple(r.lane, r.p->local.id, s.number, s.victim, s.goroutines, s.first, s.slice));
    }
    latencies.append(histogram_of(r.p->latencies));
  }
  latencies.append(histogram_of(observe::loose_latencies()));
  d["processors"] = ps;
  d["recent_steals"] = recent;
  d["latencies"] = latencies;
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
    const Stalls& stalls = lane.stalls();
    row["stalls"] = stalls.count.load(std::memory_order_relaxed);
    if (uint64_t culprit = stalls.culprit.load(std::memory_order_relaxed)) {
      row["stalled_by"] = culprit;
      row["stalled_while"] = stalls.blocked.load(std::memory_order_relaxed) ? "blocked" : "computing";
    }
    lanes.append(row);
  });
  d["lanes"] = lanes;
  d["sysmon_rounds"] = Runtime::get().sysmon_rounds();
  d["seconds"] = double(nanotime() - loaded_at) / 1e9;
  return d;
}

// ---------------------------------------------------------------- trace

// From the environment no thread is started: lines come when sysmon does.
void trace_every(double seconds, bool detail, bool start) {
  set_schedtrace(Nanos(seconds * 1e9), detail);
  if (start && seconds > 0) Runtime::get().start_sysmon();
}

}  // namespace

bool register_sched(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  m.def("_sched_state", state);
  m.def("_sched_stats", stats);
  m.def("_sched_trace", schedtrace);
  m.def("_sched_trace_every", trace_every);
  m.def("_latency_start", observe::latency_start);
  m.def("_latency_stop", observe::latency_stop);
  return true;
}

}  // namespace gort::python
