// Latency: how long goroutines that were woken or started had to wait until they ran, and how long Ps looked for work to steal.
//
// Both need a clock read, so they are measured only while latency_start is in force (it nests); off, a wake and a switch
// pay one predictable branch each. Kept per P, written by its owner; what runs without a P (plain threads) is in a histogram that they share.
// The counts go on from one session to the next: who wants those of a session subtracts.
//
// A goroutine that was made runnable before the session began is not counted.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "gort/base/clock.h"

namespace gort {

struct G;
struct M;

namespace observe {

// Bucket i counts durations of [2^i, 2^(i+1)) ns; bucket 0 also those of 0 ns, the last one (from 9 minutes) all longer ones.
class LatencyHistogram {
 public:
  static constexpr size_t kBuckets = 40;

  static size_t bucket_of(Nanos duration) {
    if (duration < 2) return 0;
    size_t bucket = size_t(std::bit_width(uint64_t(duration))) - 1;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  void record(Nanos duration) {   // by one writer
    auto& bucket = buckets_[bucket_of(duration)];
    bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void record_shared(Nanos duration) { buckets_[bucket_of(duration)].fetch_add(1, std::memory_order_relaxed); }
  uint64_t operator[](size_t bucket) const { return buckets_[bucket].load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kBuckets> buckets_{};
};

// 0: nothing is measured. Not seen outside of the library, which saves its own code the detour through a table.
[[gnu::visibility("hidden")]] extern std::atomic<Nanos> latency_since;

void note_ready_slow(G* g);
void note_running_slow(M* m, G* g);

// note_ready: g has been made runnable. By its waker, before anybody else can run it.
inline void note_ready(G* g) {
  if (latency_since.load(std::memory_order_relaxed) != 0) [[unlikely]] note_ready_slow(g);
}
// note_running: g is about to run on m, the caller's.
inline void note_running(M* m, G* g) {
  if (latency_since.load(std::memory_order_relaxed) != 0) [[unlikely]] note_running_slow(m, g);
}

bool latency_measured();
void latency_start();
void latency_stop();

// The histogram of those who ran without a P.
const LatencyHistogram& loose_latencies();

}  // namespace observe
}  // namespace gort
