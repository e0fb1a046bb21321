#include "gort/gc/record.h"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <new>

#include "gort/base/spin_lock.h"
#include "gort/gc/state.h"
#include "gort/heap/hooks.h"
#include "gort/heap/stats.h"

namespace gort::gc {
namespace {

constexpr size_t kKept = 256;

const Nanos loaded_at = nanotime();

struct Records {
  SpinLock lock{LockRank::Leaf};  // guards everything here
  Cycle ring[kKept];              // cycle n at (n - 1) % kKept
  uint64_t begun = 0;
  Stats totals;
  record::Pauses pauses;
} records;

uint64_t unix_now() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return uint64_t(t.tv_sec) * uint64_t(kSecond) + uint64_t(t.tv_nsec);
}

Cycle& slot(uint64_t number) { return records.ring[(number - 1) % kKept]; }

// Go's fmtNSAsMS: from 10 ms whole milliseconds, below two significant digits, at most three decimals.
std::string milliseconds(Nanos ns) {
  char text[32];
  if (ns >= 10 * kMillisecond) {
    std::snprintf(text, sizeof(text), "%lld", static_cast<long long>(ns / kMillisecond));
    return text;
  }
  int64_t x = ns / kMicrosecond;
  if (x == 0) return "0";
  int decimals = 3;
  for (; x >= 100; x /= 10) decimals--;
  static constexpr int64_t kPower[] = {1, 10, 100, 1000};
  if (decimals == 0) return std::to_string(x);
  std::snprintf(text, sizeof(text), "%lld.%0*lld", static_cast<long long>(x / kPower[decimals]), decimals,
                static_cast<long long>(x % kPower[decimals]));
  return text;
}

}  // namespace

namespace record {

Nanos process_start() { return loaded_at; }

void begin(const Cycle& cycle) {
  std::lock_guard hold(records.lock);
  slot(cycle.number) = cycle;
  records.begun = cycle.number;
}

void end_marking(Cycle& cycle) {
  uint64_t unix_end = unix_now();
  std::lock_guard hold(records.lock);
  Stats& t = records.totals;
  uint64_t at = t.num_gc % kKept;
  records.pauses.ns[at] = uint64_t(cycle.stop1_pause + cycle.stop2_pause);
  records.pauses.end[at] = unix_end;
  records.pauses.last_gc = unix_end;
  t.num_gc++;
  if (cycle.reason == Reason::Forced) t.num_forced++;
  t.pause_total += cycle.stop1_pause + cycle.stop2_pause;
  t.pause_max = std::max({t.pause_max, cycle.stop1_pause, cycle.stop2_pause});
  t.assist_total += cycle.assist_time;
  t.worker_total += cycle.worker_time;
  double spent = double(t.assist_total + t.worker_total) + double(t.pause_total) * std::max(1, cycle.procs);
  double elapsed = double(nanotime() - loaded_at) * std::max(1, cycle.procs);
  t.cpu_fraction = cycle.cpu_fraction = elapsed > 0 ? std::min(1.0, spent / elapsed) : 0;
  slot(cycle.number) = cycle;
}

void end(const Cycle& cycle) {
  std::lock_guard hold(records.lock);
  slot(cycle.number) = cycle;
}

void after_fork_in_child() { new (&records.lock) SpinLock(LockRank::Leaf); }

Stats totals() {
  std::lock_guard hold(records.lock);
  return records.totals;
}

Pauses pauses() {
  std::lock_guard hold(records.lock);
  return records.pauses;
}

}  // namespace record

std::vector<Cycle> cycles() {
  // Room first: nothing is allocated under the lock.
  std::vector<Cycle> result(kKept);
  std::lock_guard hold(records.lock);
  uint64_t n = std::min<uint64_t>(records.begun, kKept);
  for (uint64_t i = 0; i < n; i++) result[i] = slot(records.begun - n + 1 + i);
  result.resize(n);
  return result;
}

const char* reason_name(Reason reason) {
  switch (reason) {
    case Reason::Heap: return "heap";
    case Reason::Forced: return "forced";
    case Reason::Periodic: return "periodic";
  }
  return "";
}

std::string trace_line(const Cycle& c) {
  Nanos mark = c.mark_time();
  auto mb = [](uint64_t bytes) { return std::to_string(bytes >> 20); };
  // No cycle has a goal when automatic collection is off; Go prints the largest number then.
  std::string since = std::to_string(c.since_process_start / kSecond) + ".";
  std::string thousandths = std::to_string(c.since_process_start / kMillisecond % 1000);
  since += std::string(3 - thousandths.size(), '0') + thousandths;
  std::string line = "gc " + std::to_string(c.number) + " @" + since + "s " + std::to_string(int(c.cpu_fraction * 100)) + "%: ";
  line += milliseconds(c.stop1_pause) + "+" + milliseconds(mark) + "+" + milliseconds(c.stop2_pause) + " ms clock, ";
  line += milliseconds(c.stop1_pause * c.procs) + "+" + milliseconds(c.assist_time) + "/" + milliseconds(c.worker_time) + "/0+" +
          milliseconds(c.stop2_pause * c.procs) + " ms cpu, ";
  line += mb(c.heap_before) + "->" + mb(c.heap_peak) + "->" + mb(c.heap_after) + " MB, " + mb(c.goal) + " MB goal, ";
  line += mb(c.stack_bytes) + " MB stacks, 0 MB globals, " + std::to_string(c.procs) + " P";
  if (c.reason == Reason::Forced) line += " (forced)";
  return line;
}

}  // namespace gort::gc

namespace gort::heap {

void add_collector_stats(MemStats& stats) {
  gc::Stats totals = gc::record::totals();
  gc::record::Pauses pauses = gc::record::pauses();
  stats.gc_sys += gc::state.pool.bytes();
  stats.next_gc = gc::state.pacer.goal();
  stats.last_gc = pauses.last_gc;
  stats.pause_total_ns = uint64_t(totals.pause_total);
  stats.pause_ns = pauses.ns;
  stats.pause_end = pauses.end;
  stats.num_gc = uint32_t(totals.num_gc);
  stats.num_forced_gc = uint32_t(totals.num_forced);
  stats.gc_cpu_fraction = totals.cpu_fraction;
}

}  // namespace gort::heap
