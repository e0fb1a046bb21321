#include "gort/sched/choice.h"

#include <atomic>
#include <random>

#include "gort/sched/preempt.h"
#include "gort/sched/runtime.h"
#include "gort/sched/world.h"

namespace gort::choice {
namespace {

std::atomic<uint64_t> loose{0x853c49e6748fea9b};   // for threads without a P
std::atomic<uint64_t> counted{0};

constexpr uint32_t kAsked = 1 << 16;   // what explore adds to world::wanted: more than there are machines
constexpr uint32_t kGoOn = 4;          // one safe point in so many lets others run

void step() { counted.store(counted.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }

}  // namespace

std::atomic<bool> explored{false};

void seed(uint64_t value) {
  if (value == 0) {
    std::random_device device;
    value = uint64_t(device()) << 32 | device();
  }
  loose.store(value, std::memory_order_relaxed);
  Runtime::get().set_seed(value);
  Runtime::get().for_each_lane([&](Lane& lane) {
    lane.for_each_processor([&](P& p) {
      p.random.reseed(value + p.local.id);
      p.tick.store(0, std::memory_order_relaxed);   // some looks are taken every so many slices
    });
  });
}

void explore(bool on) {
  if (explored.exchange(on, std::memory_order_seq_cst) == on) return;
  if (on) world::wanted.fetch_add(kAsked, std::memory_order_seq_cst);
  else world::wanted.fetch_sub(kAsked, std::memory_order_seq_cst);
}

uint64_t steps() { return counted.load(std::memory_order_relaxed); }

// Only a goroutine in its own code, and between two waits: one that is in the scheduler or has opened a wait may not be queued.
void at_safe_point(M* m, G* g) {
  if (g->system || m->inside.load(std::memory_order_relaxed) || !m->p) return;
  if ((g->wait_word.load(std::memory_order_relaxed) & 0xff) == uint64_t(Outcome::Pending)) return;
  step();
  if (below(kGoOn) == 0) m->lane->let_others(m, g);
}

G* take(M* m) {
  P* p = m->p;
  PinnedQueue& pinned = m->pinning.queue;
  uint32_t fresh = p->queue.size() + (p->queue.peek_next() ? 1 : 0), n = fresh + pinned.size();
  if (n < 2) return fresh ? p->queue.pop() : pinned.take();
  step();
  uint32_t passed_over = p->random.below(n);
  if (passed_over >= fresh) {
    for (; passed_over > fresh; passed_over--) {
      G* g = pinned.take();
      if (!g) return nullptr;   // it is being posted just now
      pinned.push_tail(g, p->order++);
    }
    return pinned.take();
  }
  for (; passed_over > 0; passed_over--) {
    G* g = p->queue.pop();
    if (!g || !p->queue.push_tail(g)) return g;   // a thief was here, or there is no room behind
  }
  return p->queue.pop();
}

uint64_t next() {
  M* m = this_machine();
  RuntimeScope inside(m);
  if (m && m->p) return m->p->random.next();
  uint64_t z = loose.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint32_t below(uint32_t n) { return uint32_t((uint64_t(uint32_t(next() >> 32)) * n) >> 32); }

}  // namespace gort::choice
