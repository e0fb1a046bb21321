#include <time.h>
#include <unistd.h>

#include <fstream>

#include "cases.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sync/wait_group.h"
#include "together.h"

namespace bench {
namespace {

// resident_bytes is the resident set size, or 0 where the system has no /proc/self/statm.
double resident_bytes() {
  double size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * double(sysconf(_SC_PAGESIZE));
}

gort::Nanos processor_time() {
  timespec spent;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
  return gort::Nanos(spent.tv_sec) * gort::kSecond + spent.tv_nsec;
}

}  // namespace

double sleepers(int64_t n) {
  gort::WaitGroup ended;
  gort::Nanos start = processor_time();
  ended.add(int32_t(n));
  for (int64_t i = 0; i < n; i++) {
    gort::go([&] {
      gort::Outcome outcome = gort::sleep_until(gort::deadline_after(100 * gort::kMillisecond));
      if (outcome != gort::Outcome::TimedOut) gort::throw_outcome(outcome);
      ended.done();
    });
  }
  ended.wait();
  return per_operation(processor_time() - start, n);
}

Parked parked(int64_t n) {
  gort::Chan<gort::Empty> gate(0);
  gort::WaitGroup started, ended;
  double before = resident_bytes();
  gort::Nanos start = gort::nanotime();
  started.add(int32_t(n));
  ended.add(int32_t(n));
  for (int64_t i = 0; i < n; i++) {
    gort::go([&] {
      started.done();
      gate.recv();
      ended.done();
    });
  }
  started.wait();
  gort::yield();  // lets the last one reach its receive
  gort::Nanos elapsed = gort::nanotime() - start;
  double during = resident_bytes();
  start = gort::nanotime();
  gate.close();
  ended.wait();
  elapsed += gort::nanotime() - start;
  return {per_operation(elapsed, n), (during - before) / double(n)};
}

}  // namespace bench
