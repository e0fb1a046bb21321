// StealLog: what one P has stolen from the other Ps of its lane: how often and how many from whom, and the last steals one by one.
//
// Written by the owner of the P only; read by anybody. A reader of recent() may miss what is overwritten meanwhile, it never sees halves
// of two steals: an entry counts only if the writer had not come round to it again when it had been read.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "gort/sched/processor_local.h"

namespace gort {

class StealLog {
 public:
  struct Victim {
    uint32_t id;
    uint32_t steals;
    uint64_t goroutines;
  };
  struct Steal {
    uint64_t number;       // 1, 2, ... for each thief
    uint32_t victim;
    uint32_t goroutines;
    uint64_t first;        // the id of the goroutine that the thief ran first
    uint64_t slice;        // the thief's P::tick then
  };

  void record(uint32_t victim, uint32_t goroutines, uint64_t first, uint64_t slice) {
    Totals& totals = victims_[victim];
    add(totals.steals, 1);
    add(totals.goroutines, goroutines);
    uint64_t number = number_.load(std::memory_order_relaxed) + 1;
    begun_.store(number, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    Entry& entry = ring_[number % kKept];
    entry.who.store(uint64_t(victim) << 32 | goroutines, std::memory_order_relaxed);
    entry.first.store(first, std::memory_order_relaxed);
    entry.slice.store(slice, std::memory_order_relaxed);
    number_.store(number, std::memory_order_release);
  }

  std::vector<Victim> victims() const {
    std::vector<Victim> result;
    for (uint32_t i = 0; i < kMaxProcs; i++) {
      uint64_t steals = victims_[i].steals.load(std::memory_order_relaxed);
      if (steals) result.push_back({i, uint32_t(steals), victims_[i].goroutines.load(std::memory_order_relaxed)});
    }
    return result;
  }

  std::vector<Steal> recent() const {   // oldest first
    std::vector<Steal> result;
    uint64_t last = number_.load(std::memory_order_acquire);
    for (uint64_t number = last > kKept ? last - kKept + 1 : 1; number <= last; number++) {
      const Entry& entry = ring_[number % kKept];
      uint64_t who = entry.who.load(std::memory_order_relaxed);
      Steal steal{number, uint32_t(who >> 32), uint32_t(who), entry.first.load(std::memory_order_relaxed),
                  entry.slice.load(std::memory_order_relaxed)};
      std::atomic_thread_fence(std::memory_order_acquire);
      if (begun_.load(std::memory_order_relaxed) < number + kKept) result.push_back(steal);
    }
    return result;
  }

 private:
  static constexpr uint64_t kKept = 64;
  struct Totals {
    std::atomic<uint32_t> steals{0};
    std::atomic<uint32_t> goroutines{0};
  };
  struct Entry {
    std::atomic<uint64_t> who{0}, first{0}, slice{0};
  };
  static void add(std::atomic<uint32_t>& counter, uint32_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  std::array<Totals, kMaxProcs> victims_{};
  std::array<Entry, kKept> ring_{};
  std::atomic<uint64_t> begun_{0}, number_{0};
};

}  // namespace gort
