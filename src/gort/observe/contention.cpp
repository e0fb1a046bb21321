#include "gort/observe/contention.h"

#include <algorithm>
#include <mutex>

#include "gort/base/spin_lock.h"

namespace gort::observe {

std::atomic<bool> contention_on{false};

namespace {

constexpr size_t kShards = 16;
constexpr size_t kEntries = 512;  // per shard; a power of two
constexpr size_t kReasons = size_t(WaitReason::Count);

struct alignas(64) Shard {
  SpinLock lock{LockRank::Leaf};
  size_t used = 0;                  // guarded by lock, as the rest
  WaitEntry entries[kEntries];      // open addressing; free: count == 0
  WaitEntry overflow[kReasons];     // objects that found no room
};
Shard shards[kShards];

SpinLock sessions_lock{LockRank::Sync};
int sessions = 0;  // guarded by sessions_lock

size_t hash(WaitReason reason, const void* object) {
  uint64_t h = (reinterpret_cast<uintptr_t>(object) >> 3 ^ uint64_t(reason) << 56) * 0x9e3779b97f4a7c15;
  return size_t(h >> 20);
}

void sum_up(WaitEntry& entry, Nanos duration, uint64_t goroutine) {
  entry.count++;
  entry.total += duration;
  entry.max = std::max(entry.max, duration);
  entry.last_goroutine = goroutine;
}

}  // namespace

void record_wait(WaitReason reason, const void* object, Nanos duration, uint64_t goroutine) {
  size_t h = hash(reason, object);
  Shard& shard = shards[h % kShards];
  h /= kShards;
  std::lock_guard guard(shard.lock);
  for (size_t i = h % kEntries;; i = (i + 1) % kEntries) {
    WaitEntry& entry = shard.entries[i];
    if (entry.count == 0) {
      if (shard.used >= kEntries * 3 / 4) break;
      shard.used++;
      entry.reason = reason;
      entry.object = object;
    }
    if (entry.reason != reason || entry.object != object) continue;
    sum_up(entry, duration, goroutine);
    return;
  }
  WaitEntry& entry = shard.overflow[size_t(reason)];
  entry.reason = reason;
  entry.object = nullptr;
  sum_up(entry, duration, goroutine);
}

void contention_start() {
  std::lock_guard guard(sessions_lock);
  if (sessions++ > 0) return;
  for (Shard& shard : shards) {
    std::lock_guard guard2(shard.lock);
    shard.used = 0;
    std::fill(std::begin(shard.entries), std::end(shard.entries), WaitEntry{});
    std::fill(std::begin(shard.overflow), std::end(shard.overflow), WaitEntry{});
  }
  contention_on.store(true, std::memory_order_relaxed);
}

void contention_stop() {
  std::lock_guard guard(sessions_lock);
  if (sessions > 0 && --sessions == 0) contention_on.store(false, std::memory_order_relaxed);
}

std::vector<WaitEntry> contention_snapshot() {
  std::vector<WaitEntry> result;
  WaitEntry rest[kReasons] = {};
  for (Shard& shard : shards) {
    result.reserve(result.size() + kEntries);
    std::lock_guard guard(shard.lock);
    for (const WaitEntry& entry : shard.entries) {
      if (entry.count > 0) result.push_back(entry);
    }
    for (const WaitEntry& entry : shard.overflow) {
      if (entry.count == 0) continue;
      WaitEntry& sum = rest[size_t(entry.reason)];
      sum.reason = entry.reason;
      sum.count += entry.count;
      sum.total += entry.total;
      sum.max = std::max(sum.max, entry.max);
      sum.last_goroutine = entry.last_goroutine;
    }
  }
  for (const WaitEntry& sum : rest) {
    if (sum.count > 0) result.push_back(sum);
  }
  std::sort(result.begin(), result.end(), [](const WaitEntry& a, const WaitEntry& b) { return a.total > b.total; });
  return result;
}

}  // namespace gort::observe
