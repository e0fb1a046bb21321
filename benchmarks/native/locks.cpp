#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "cases.h"
#include "gort/sched/park.h"
#include "gort/sync/mutex.h"
#include "gort/sync/rwmutex.h"
#include "together.h"

namespace bench {

double mutex(int64_t n) {
  gort::Mutex free;
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) {
    free.lock();
    free.unlock();
  }
  return per_operation(gort::nanotime() - start, n);
}

double mutex_contended(int64_t n) {
  int64_t each = std::max<int64_t>(1, n / 4);
  gort::Mutex shared;
  int64_t counter = 0;  // guarded by shared
  Body body = [&] {
    for (int64_t i = 0; i < each; i++) {
      std::lock_guard hold(shared);
      counter++;
    }
  };
  return per_operation(together({body, body, body, body}), 4 * each);
}

double mutex_handoff(int64_t n) {
  int64_t each = std::max<int64_t>(1, n / 4);
  gort::Mutex shared;
  int64_t counter = 0;  // guarded by shared
  Body body = [&] {
    for (int64_t i = 0; i < each; i++) {
      std::lock_guard hold(shared);
      counter++;
      gort::yield();
    }
  };
  return per_operation(together({body, body, body, body}), 4 * each);
}

double rwmutex_read(int64_t n) {
  int64_t each = std::max<int64_t>(1, n / 4);
  gort::RWMutex shared;
  int64_t counter = 0, seen = 0;  // guarded by shared; the body's
  Body body = [&, seen]() mutable {
    for (int64_t i = 0; i < each; i++) {
      if (i % 100 == 0) {
        std::lock_guard hold(shared);
        counter++;
      } else {
        std::shared_lock hold(shared);
        seen += counter;
      }
    }
  };
  return per_operation(together({body, body, body, body}), 4 * each);
}

}  // namespace bench
