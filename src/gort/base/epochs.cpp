#include "gort/base/epochs.h"

#include <algorithm>
#include <bit>
#include <utility>

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

Epochs::Epochs(uint32_t batch)
    : batch_(batch), held_up_(4 * batch), stripes_(stripes_of_this_process()), stripe_(new Stripe[stripes_]) {}

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

bool Epochs::retire(const Ticket& ticket, Retired* node) {
  Stripe& stripe = stripe_[ticket.stripe];
  if (batch_ == 1) {
    push(stripe, node, node);
    return true;
  }
  uint32_t before = stripe.count.fetch_add(weight(node), std::memory_order_seq_cst);   // first: count is never too low
  bool look = node->urgent || (before + 1) % batch_ == 0;
  push(stripe, node, node);   // others may stamp it from now on
  return look;
}

void Epochs::push(Stripe& stripe, Retired* first, Retired* last) {
  last->next_retired = stripe.retired.load(std::memory_order_relaxed);
  while (!stripe.retired.compare_exchange_weak(last->next_retired, first, std::memory_order_seq_cst, std::memory_order_relaxed)) {
  }
}

Epochs::Retired* Epochs::take_over(const Ticket& ticket, bool look) {
  Retired* over = nullptr;
  for (uint32_t i = 0; i < stripes_; i++) {
    const Stripe& stripe = stripe_[i];
    bool enough = batch_ == 1 ? stripe.retired.load(std::memory_order_seq_cst) != nullptr : stripe.count.load(std::memory_order_seq_cst) >= held_up_;
    if (enough || (look && i == ticket.stripe)) take_over(stripe_[i], &over);
  }
  return over;
}

void Epochs::take_over(Stripe& stripe, Retired** over) {
  for (;;) {
    Retired* list = stripe.retired.exchange(nullptr, std::memory_order_seq_cst);
    if (!list) return;
    uint64_t fresh = stamp(), epoch = advance();
    Retired *later = nullptr, *last = nullptr;
    uint32_t taken = 0;
    while (list) {
      Retired* node = std::exchange(list, list->next_retired);
      if (node->stamp == 0) node->stamp = fresh;
      if (epoch >= node->stamp + 2) {
        node->next_retired = std::exchange(*over, node);
        taken += weight(node);
      } else {
        if (!last) last = node;
        node->next_retired = std::exchange(later, node);
      }
    }
    if (later) push(stripe, later, last);
    if (batch_ > 1) stripe.count.fetch_sub(taken, std::memory_order_relaxed);
    if (!later || !may_advance()) return;
  }
}

Epochs::Retired* Epochs::take_all() {
  Retired* all = nullptr;
  for (uint32_t i = 0; i < stripes_; i++) {
    for (Retired* list = stripe_[i].retired.exchange(nullptr, std::memory_order_acquire); list;) {
      Retired* node = std::exchange(list, list->next_retired);
      node->next_retired = std::exchange(all, node);
    }
    stripe_[i].count.store(0, std::memory_order_relaxed);
  }
  return all;
}

}  // namespace gort
