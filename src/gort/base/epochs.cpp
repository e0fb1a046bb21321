#include "gort/base/epochs.h"

#include <algorithm>
#include <bit>

#include "gort/base/cpu_limit.h"

namespace gort {
namespace {

constexpr uint32_t kMaxStripes = 16;

uint32_t stripes_of_this_process() {
  static const uint32_t stripes = std::min(std::bit_ceil(uint32_t(num_cpu())), kMaxStripes);
  return stripes;
}

std::atomic<uint32_t> threads{0};
thread_local uint32_t mine = 0;

// A small number for the thread that runs this. A goroutine may be elsewhere afterwards; any stripe is right.
[[gnu::noinline, gnu::noipa]] uint32_t thread_number() {
  asm volatile("");
  if (mine == 0) mine = threads.fetch_add(1, std::memory_order_relaxed) + 1;
  return mine;
}

}  // namespace

Epochs::Epochs() : stripes_(stripes_of_this_process()), stripe_(new Stripe[stripes_]) {}

Epochs::Ticket Epochs::enter() {
  Ticket ticket{epoch_.load(std::memory_order_seq_cst), thread_number() & (stripes_ - 1), false};
  for (;;) {
    std::atomic<uint32_t>& inside = stripe_[ticket.stripe].inside[ticket.epoch & 1];
    inside.fetch_add(1, std::memory_order_seq_cst);
    uint64_t now = epoch_.load(std::memory_order_seq_cst);
    if (now == ticket.epoch) return ticket;
    inside.fetch_sub(1, std::memory_order_seq_cst);
    ticket.epoch = now;
    ticket.hindered = true;
  }
}

bool Epochs::leave(const Ticket& ticket) {
  stripe_[ticket.stripe].inside[ticket.epoch & 1].fetch_sub(1, std::memory_order_seq_cst);
  return ticket.hindered || epoch_.load(std::memory_order_seq_cst) != ticket.epoch;
}

bool Epochs::nobody_inside(uint64_t epoch) const {
  for (uint32_t i = 0; i < stripes_; i++) {
    if (stripe_[i].inside[epoch & 1].load(std::memory_order_seq_cst) != 0) return false;
  }
  return true;
}

uint64_t Epochs::advance() {
  uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
  for (int step = 0; step < 2; step++) {
    if (!nobody_inside(epoch - 1)) break;
    if (epoch_.compare_exchange_strong(epoch, epoch + 1, std::memory_order_seq_cst)) epoch++;
  }
  return epoch;
}

}  // namespace gort
