#include "gort/observe/contention.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "gort/base/spin_lock.h"
#include "gort/sched/machine.h"
#include "gort/sched/park.h"

namespace gort::observe {

std::atomic<bool> contention_on{false};

namespace {

constexpr size_t kShards = 16;
constexpr size_t kEntries = 512;  // per shard; a power of two
constexpr size_t kReasons = size_t(WaitReason::Count);

constexpr size_t kParts = size_t(Part::Count);

struct alignas(64) Shard {
  SpinLock lock{LockRank::Leaf};
  size_t used = 0;                            // guarded by lock, as the rest
  WaitEntry entries[kEntries];                // open addressing; free: count == 0
  WaitEntry overflow[kParts][kReasons];       // what found no room
};
Shard shards[kShards];

SpinLock sessions_lock{LockRank::Sync};
int sessions = 0;  // guarded by sessions_lock

size_t hash(const WaitKey& key) {
  uint64_t h = (reinterpret_cast<uintptr_t>(key.object) >> 3 ^ uint64_t(key.reason) << 56 ^ uint64_t(key.part) << 55) * 0x9e3779b97f4a7c15;
  h = (h ^ h >> 32 ^ key.stack) * 0xbf58476d1ce4e5b9;
  return size_t(h >> 20);
}

void add(WaitEntry& entry, const WaitEntry& more) {
  entry.count += more.count;
  entry.total += more.total;
  entry.max = std::max(entry.max, more.max);
  if (more.last < entry.last) return;
  entry.last = more.last;
  entry.last_goroutine = more.last_goroutine;
}

}  // namespace

void record_wait(const WaitKey& key, Nanos duration, Nanos ended, uint64_t goroutine) {
  const WaitEntry one{key, 1, duration, duration, ended, goroutine};
  size_t h = hash(key);
  Shard& shard = shards[h % kShards];
  h /= kShards;
  std::lock_guard guard(shard.lock);
  for (size_t i = h % kEntries;; i = (i + 1) % kEntries) {
    WaitEntry& entry = shard.entries[i];
    if (entry.count == 0) {
      if (shard.used >= kEntries * 3 / 4) break;
      shard.used++;
      entry.key = key;
    }
    if (entry.key == key) return add(entry, one);
  }
  WaitEntry& entry = shard.overflow[size_t(key.part)][size_t(key.reason)];
  entry.key = {key.reason, key.part};
  add(entry, one);
}

void Release::add_slow(const Waiter* woken) {
  if (woken->since == 0) return;
  if (now_ == 0) now_ = nanotime();
  key_.reason = woken->g->wait_reason.load(std::memory_order_relaxed);
  key_.object = woken->g->waiting_on.load(std::memory_order_relaxed);
  delay_ += now_ - woken->since;
}

void Release::add_waiting(Waiter* first, Waiter* last, uint32_t more) {
  if (now_ == 0 || first->since == 0 || last->since == 0) return;
  delay_ += (now_ - first->since + now_ - last->since) / 2 * more;
  first->since = last->since = now_;
}

void Release::record_slow() {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  key_.stack = stack_here();
  record_wait(key_, delay_, now_, g ? g->id.load(std::memory_order_relaxed) : 0);
}

void contention_start() {
  auto stacks = std::make_shared<CallStacks>();   // out here, as is the end of those that it replaces
  std::lock_guard guard(sessions_lock);
  if (sessions++ > 0) return;
  stacks = set_call_stacks(std::move(stacks));
  for (Shard& shard : shards) {
    std::lock_guard guard2(shard.lock);
    shard.used = 0;
    std::fill(std::begin(shard.entries), std::end(shard.entries), WaitEntry{});
    for (auto& row : shard.overflow) std::fill(std::begin(row), std::end(row), WaitEntry{});
  }
  contention_on.store(true, std::memory_order_relaxed);
}

void contention_stop() {
  std::lock_guard guard(sessions_lock);
  if (sessions > 0 && --sessions == 0) contention_on.store(false, std::memory_order_relaxed);
}

std::vector<WaitEntry> contention_snapshot() {
  std::vector<WaitEntry> result;
  WaitEntry rest[kParts][kReasons] = {};
  for (Shard& shard : shards) {
    result.reserve(result.size() + kEntries);
    std::lock_guard guard(shard.lock);
    for (const WaitEntry& entry : shard.entries) {
      if (entry.count > 0) result.push_back(entry);
    }
    for (const auto& row : shard.overflow) {
      for (const WaitEntry& entry : row) {
        if (entry.count == 0) continue;
        WaitEntry& sum = rest[size_t(entry.key.part)][size_t(entry.key.reason)];
        sum.key = entry.key;
        add(sum, entry);
      }
    }
  }
  for (const auto& row : rest) {
    for (const WaitEntry& sum : row) {
      if (sum.count > 0) result.push_back(sum);
    }
  }
  std::sort(result.begin(), result.end(), [](const WaitEntry& a, const WaitEntry& b) { return a.total > b.total; });
  return result;
}

void contention_after_fork_in_child() {
  new (&sessions_lock) SpinLock(LockRank::Sync);
  for (Shard& shard : shards) new (&shard.lock) SpinLock(LockRank::Leaf);
  free_call_stacks_locks();
}

}  // namespace gort::observe
