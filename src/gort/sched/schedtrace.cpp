#include "gort/sched/schedtrace.h"

#include <unistd.h>

#include <atomic>
#include <vector>

#include "gort/sched/runtime.h"
#include "gort/sched/world.h"

namespace gort {
namespace {

const Nanos loaded_at = nanotime();
std::atomic<Nanos> period{0};
std::atomic<bool> detailed{false};
std::atomic<Nanos> last{0};   // written by sysmon, and by who changes the period

// What is read under the lane's lock; text is made of it afterwards.
struct MachineLine {
  int id;
  int processor;         // -1: none
  uint64_t running, own;   // ids; 0: none
  bool spinning, idle;
};

struct ProcessorLine {
  int machine;           // -1: none
  P* p;
};

void field(std::string& text, const char* name, int64_t value) { text += std::string(" ") + name + "=" + std::to_string(value); }
void field(std::string& text, const char* name, bool value) { text += std::string(" ") + name + "=" + (value ? "true" : "false"); }
void id_field(std::string& text, const char* name, int64_t id, int64_t none) {
  text += std::string(name) + "=" + (id == none ? "nil" : std::to_string(id));
}

uint64_t id_of(const G* g) { return g ? g->id.load(std::memory_order_relaxed) : 0; }

std::vector<ProcessorLine> processors_of(Lane& lane) {
  std::vector<ProcessorLine> lines;
  size_t active = size_t(lane.processors());
  lane.for_each_processor([&](P& p) {
    if (p.local.id >= active) return;
    M* owner = p.owner.load(std::memory_order_acquire);
    lines.push_back({owner ? owner->id : -1, &p});
  });
  return lines;
}

// Which P a machine has is read from the P's side: M::p is its owner's alone.
std::vector<MachineLine> machines_of(Lane& lane, const std::vector<ProcessorLine>& processors) {
  std::vector<MachineLine> lines;
  lines.reserve(size_t(lane.machine_count()) + 16);
  lane.for_each_machine([&](M& m) {
    MachineLine line{m.id, -1, id_of(m.running.load(std::memory_order_acquire)), id_of(m.own), false,
                     m.counted_idle.load(std::memory_order_relaxed)};
    for (const ProcessorLine& p : processors) {
      if (p.machine == m.id) line.processor = int(p.p->local.id);
    }
    line.spinning = line.processor >= 0 && line.running == 0;
    lines.push_back(line);
  });
  return lines;
}

void summary(std::string& text, Lane& lane) {
  text += "SCHED " + std::to_string((nanotime() - loaded_at) / kMillisecond) + "ms:";
  field(text, "gomaxprocs", int64_t(lane.processors()));
  field(text, "idleprocs", int64_t(lane.idle_processors()));
  field(text, "threads", int64_t(lane.machine_count()));
  field(text, "spinningthreads", int64_t(lane.spinning()));
  field(text, "needspinning", int64_t(0));
  field(text, "idlethreads", int64_t(lane.idle_machines()));
  field(text, "runqueue", int64_t(lane.global_queue_size()));
}

void end_of_line(std::string& text, Lane& lane) {
  if (&lane != &Runtime::get().native()) text += std::string(" lane=") + lane.name();
  text += "\n";
}

void queues(std::string& text, const std::vector<ProcessorLine>& processors) {
  std::string ticks;
  text += " [ ";
  for (const ProcessorLine& line : processors) {
    text += std::to_string(line.p->queue.size()) + " ";
    ticks += std::to_string(line.p->tick.load(std::memory_order_relaxed)) + " ";
  }
  text += "] schedticks=[ " + ticks + "]";
}

void details(std::string& text, Lane& lane, const std::vector<ProcessorLine>& processors, const std::vector<MachineLine>& machines) {
  for (const ProcessorLine& line : processors) {
    const P& p = *line.p;
    text += "  P" + std::to_string(p.local.id) + ":";
    field(text, "status", int64_t(line.machine < 0 ? 0 : 1));
    field(text, "schedtick", int64_t(p.tick.load(std::memory_order_relaxed)));
    field(text, "syscalltick", int64_t(p.syscall.load(std::memory_order_relaxed) / 2));
    id_field(text, " m", line.machine, -1);
    field(text, "runqsize", int64_t(p.queue.size()));
    field(text, "gfreecnt", int64_t(read_count(p.free_count)));
    field(text, "timerslen", int64_t(p.timers.size()));
    text += "\n";
  }
  for (const MachineLine& m : machines) {
    text += "  M" + std::to_string(m.id) + ":";
    id_field(text, " p", m.processor, -1);
    id_field(text, " curg", int64_t(m.running), 0);
    text += " mallocing=0 throwing=0 preemptoff= locks=0 dying=0";
    field(text, "spinning", m.spinning);
    field(text, "blocked", m.idle);
    id_field(text, " lockedg", int64_t(m.own), 0);
    text += "\n";
  }
  for (G* g : Runtime::get().all_goroutines()) {
    Status status = g->status.load(std::memory_order_acquire);
    if (g->lane.load(std::memory_order_relaxed) != &lane || status == Status::Dead || status == Status::Idle) continue;
    uint64_t id = id_of(g);
    int64_t machine = -1;
    for (const MachineLine& m : machines) {
      if (m.running == id) machine = m.id;
    }
    M* own = g->own_machine;
    text += "  G" + std::to_string(id) + ": status=" + std::to_string(int(status)) + "(" +
            wait_reason_text(g->wait_reason.load(std::memory_order_relaxed)) + ")";
    id_field(text, " m", machine, -1);
    id_field(text, " lockedm", own ? own->id : -1, -1);
    text += "\n";
  }
}

}  // namespace

std::string schedtrace(bool detail) {
  std::string text;
  Runtime::get().for_each_lane([&](Lane& lane) {
    auto processors = processors_of(lane);
    summary(text, lane);
    if (!detail) {
      queues(text, processors);
      end_of_line(text, lane);
      return;
    }
    auto machines = machines_of(lane, processors);
    int64_t locked = 0;
    for (const MachineLine& m : machines) locked += m.own != 0 && m.idle;
    field(text, "gcwaiting", world::stop_flag.load(std::memory_order_relaxed) != 0);
    field(text, "nmidlelocked", locked);
    field(text, "stopwait", int64_t(0));
    field(text, "sysmonwait", Runtime::get().sysmon_sleeps());
    end_of_line(text, lane);
    details(text, lane, processors, machines);
  });
  return text;
}

void set_schedtrace(Nanos every, bool detail) {
  detailed.store(detail, std::memory_order_relaxed);
  last.store(0, std::memory_order_relaxed);
  period.store(every == 0 ? 0 : every < kMillisecond ? kMillisecond : every, std::memory_order_release);
  if (every != 0) Runtime::get().wake_sysmon();
}

bool schedtrace_wanted() { return period.load(std::memory_order_relaxed) != 0; }

void schedtrace_round(Nanos now) {
  Nanos every = period.load(std::memory_order_acquire);
  if (every == 0 || now - last.load(std::memory_order_relaxed) < every) return;
  last.store(now, std::memory_order_relaxed);
  std::string text = schedtrace(detailed.load(std::memory_order_relaxed));
  for (size_t done = 0; done < text.size();) {
    ssize_t n = write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n <= 0) return;   // nobody is left to read it
    done += size_t(n);
  }
}

}  // namespace gort
