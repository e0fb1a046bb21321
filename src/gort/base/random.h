// Xorshift: a fast, seedable generator. One per P, so it needs no lock; all users go through sched/choice.h.
#pragma once

#include <cstdint>

namespace gort {

class Xorshift {
 public:
  explicit Xorshift(uint64_t seed = 1) { reseed(seed); }

  void reseed(uint64_t seed) {
    // splitmix64, so that neighbouring seeds give unrelated streams
    uint64_t z = seed + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    state_ = (z ^ (z >> 31)) | 1;
  }
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  // below returns a number in [0, n). REQUIRES: n > 0.
  uint32_t below(uint32_t n) { return uint32_t((uint64_t(uint32_t(next() >> 32)) * n) >> 32); }

 private:
  uint64_t state_;
};

}  // namespace gort
