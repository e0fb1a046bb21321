#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>

#include "cases.h"
#include "gort/chan/timers.h"
#include "gort/context/context.h"
#include "gort/sync/map.h"
#include "gort/sync/pool.h"
#include "gort/sync/wait_group.h"
#include "together.h"

namespace bench {

double wait_group(int64_t n) {
  gort::WaitGroup group;
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) {
    group.add(1);
    group.done();
  }
  return per_operation(gort::nanotime() - start, n);
}

double pool(int64_t n) {
  struct Buffer {
    char bytes[64];
  };
  int64_t each = std::max<int64_t>(1, n / 4);
  gort::PoolOf<Buffer> buffers;
  Body body = [&] {
    for (int64_t i = 0; i < each; i++) {
      std::unique_ptr<Buffer> buffer = buffers.get();
      if (!buffer) buffer = std::make_unique<Buffer>();
      buffers.put(std::move(buffer));
    }
  };
  return per_operation(together({body, body, body, body}), 4 * each);
}

namespace {

// Marsaglia's xorshift: the same keys in each language.
uint64_t next_random(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// store_every: of so many operations one stores; 0: none.
double map_with(int64_t store_every, int64_t n) {
  constexpr int64_t kKeys = 1024;
  int64_t each = std::max<int64_t>(1, n / 4);
  gort::Map<int64_t, int64_t> map;
  for (int64_t key = 0; key < kKeys; key++) map.store(key, key);
  auto body = [&](uint64_t seed) {
    return [&map, each, store_every, seed] {
      uint64_t state = seed;
      for (int64_t i = 1; i <= each; i++) {
        auto key = int64_t(next_random(state) % kKeys);
        if (store_every != 0 && i % store_every == 0) map.store(key, key);
        else if (map.load(key) != key) throw std::logic_error("map: a key has got lost");
      }
    };
  };
  return per_operation(together({body(1), body(2), body(3), body(4)}), 4 * each);
}

}  // namespace

double map_load(int64_t n) { return map_with(0, n); }
double map_mixed(int64_t n) { return map_with(10, n); }

double context_cancel(int64_t n) {
  gort::ContextRef parent = gort::context::with_cancel(gort::context::background());
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) gort::context::with_cancel(parent)->cancel();
  return per_operation(gort::nanotime() - start, n);
}

double timer_stop(int64_t n) {
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) gort::ChanTimer(3600 * gort::kSecond).stop();
  return per_operation(gort::nanotime() - start, n);
}

}  // namespace bench
