// The subject "gort native": the cases of benchmarks/cases.py in C++, one per process.
//
//   gort_bench --case NAME --procs N --repetitions R --scale F
//
// prints one JSON line (benchmarks/protocol.py).
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "cases.h"
#include "gort/sched/go.h"
#include "order.h"

namespace bench {
namespace {

// The cases that report nanoseconds per operation.
constexpr std::pair<const char*, double (*)(int64_t)> kPerOperation[] = {
    {"yield", yield},           {"spawn_wait", spawn_wait},           {"spawn_batch", spawn_batch},
    {"round_trip", round_trip}, {"buffered", buffered},               {"select2", select2},
    {"mutex", mutex},           {"mutex_contended", mutex_contended}, {"mutex_handoff", mutex_handoff},
    {"select10", select10},     {"select_default", select_default},   {"chan_contended", chan_contended},
    {"rwmutex_read", rwmutex_read}, {"wait_group", wait_group},       {"pool", pool},
    {"map_load", map_load},     {"map_mixed", map_mixed},             {"context_cancel", context_cancel},
    {"timer_stop", timer_stop},
    {"skynet", skynet},         {"ring", ring},                       {"sleep_late", sleep_late},
    {"sleep_late_hogs", sleep_late_hogs}, {"stop_world", stop_world},           {"stop_world_hogs", stop_world_hogs},
};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

// measure runs the case, after a tenth of its operations where it is one of kPerOperation, and returns the fields of the answer.
std::string measure(const std::string& name, int64_t n) {
  for (auto [known, work] : kPerOperation) {
    if (name != known) continue;
    work(std::max<int64_t>(1, n / 10));
    return R"("value": )" + number(work(n)) + R"(, "unit": "ns")";
  }
  if (name == "parked") {
    Parked each = parked(n);
    std::string answer = R"("value": )" + number(each.nanoseconds_each) + R"(, "unit": "ns")";
    return each.bytes_each > 0 ? answer + R"(, "extra": {"bytes_each": )" + number(each.bytes_each) + "}" : answer;
  }
  if (name == "sleepers") return R"("value": )" + number(sleepers(n)) + R"(, "unit": "ns")";
  if (name == "bintrees") return R"("value": )" + number(bintrees(n)) + R"(, "unit": "s")";
  return R"("value": null, "reason": "a case about Python")";
}

}  // namespace
}  // namespace bench

int main(int count, char** arguments) {
  try {
    bench::Order order = bench::parse_order(count, arguments);
    gort::gomaxprocs(order.procs);
    std::string answer;
    gort::run([&] { answer = bench::measure(order.name, order.operations()); });
    std::printf("{\"case\": \"%s\", %s}\n", order.name.c_str(), answer.c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gort_bench: %s\n", error.what());
    return 2;
  }
}
