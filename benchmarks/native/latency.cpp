#include <algorithm>
#include <atomic>
#include <vector>

#include "cases.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"
#include "gort/sync/wait_group.h"
#include "together.h"

namespace bench {

double sleep_late(int64_t n) {
  constexpr gort::Nanos kSleep = 200'000;
  gort::Nanos late = 0;
  for (int64_t i = 0; i < n; i++) {
    gort::Nanos due = gort::nanotime() + kSleep;
    gort::sleep_until(due);
    late += gort::nanotime() - due;
  }
  return per_operation(late, n);
}

namespace {

// Two goroutines that compute and make no call, for as long as it lives.
class Hogs {
 public:
  Hogs() {
    for (int i = 0; i < 2; i++) {
      hogs_.go([this] {
        for (uint64_t x = 1; !over_.load(std::memory_order_relaxed);) x = x * 3 + 1;
      });
    }
  }
  ~Hogs() {
    over_ = true;
    hogs_.wait();
  }

 private:
  std::atomic<bool> over_{false};
  gort::WaitGroup hogs_;
};

}  // namespace

double sleep_late_hogs(int64_t n) {
  Hogs hogs;
  return sleep_late(n);
}

namespace {

// The 99th percentile of n waits for everybody to stand, beside 1000 goroutines that yield and whoever else is about.
double stops(int64_t n) {
  std::atomic<bool> over{false};
  gort::WaitGroup others;
  for (int i = 0; i < 1000; i++) {
    others.go([&] {
      while (!over.load(std::memory_order_relaxed)) gort::yield();
    });
  }
  std::vector<gort::Nanos> times(size_t(n), 0);
  for (gort::Nanos& time : times) {
    gort::sleep_until(gort::nanotime() + 1'000'000);
    time = gort::world::stop("benchmark");
    gort::world::start();
  }
  over = true;
  others.wait();
  auto percentile = times.begin() + (n * 99 / 100);
  std::nth_element(times.begin(), percentile, times.end());
  return double(*percentile);
}

}  // namespace

double stop_world(int64_t n) { return stops(n); }

double stop_world_hogs(int64_t n) {
  Hogs hogs;
  return stops(n);
}

}  // namespace bench
