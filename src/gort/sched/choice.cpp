#include "gort/sched/choice.h"

#include <atomic>
#include <random>

#include "gort/sched/runtime.h"

namespace gort::choice {
namespace {
std::atomic<uint64_t> loose{0x853c49e6748fea9b};   // for threads without a P
}

void seed(uint64_t value) {
  if (value == 0) {
    std::random_device device;
    value = uint64_t(device()) << 32 | device();
  }
  loose.store(value, std::memory_order_relaxed);
  Runtime::get().set_seed(value);
  Runtime::get().for_each_lane([&](Lane& lane) {
    lane.for_each_processor([&](P& p) { p.random.reseed(value + p.local.id); });
  });
}

uint64_t next() {
  M* m = this_machine();
  if (m && m->p) return m->p->random.next();
  uint64_t z = loose.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint32_t below(uint32_t n) { return uint32_t((uint64_t(uint32_t(next() >> 32)) * n) >> 32); }

}  // namespace gort::choice
