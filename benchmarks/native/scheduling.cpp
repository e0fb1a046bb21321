#include <algorithm>

#include "cases.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sync/wait_group.h"
#include "together.h"

namespace bench {

double yield(int64_t n) {
  int64_t each = std::max<int64_t>(1, n / 2);
  Body body = [=] {
    for (int64_t i = 0; i < each; i++) gort::yield();
  };
  return per_operation(together({body, body}), 2 * each);
}

double spawn_wait(int64_t n) {
  gort::WaitGroup group;
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) {
    group.add(1);
    gort::go([&] { group.done(); });
    group.wait();
  }
  return per_operation(gort::nanotime() - start, n);
}

double spawn_batch(int64_t n) {
  constexpr int kSize = 1000;
  int64_t batches = std::max<int64_t>(1, n / kSize);
  gort::WaitGroup group;
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < batches; i++) {
    group.add(kSize);
    for (int j = 0; j < kSize; j++) gort::go([&] { group.done(); });
    group.wait();
  }
  return per_operation(gort::nanotime() - start, kSize * batches);
}

}  // namespace bench
