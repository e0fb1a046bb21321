// Epochs tells when memory that was taken out of a lock-free structure can be given back: when nobody is inside any more who may have found it there.
//
//   Epochs::Ticket ticket = epochs.enter();
//   ... follow pointers of the structure ...
//   if (epochs.leave(ticket)) { look at what is retired }
//
//   unlink(node);                                  // inside: nobody finds it from now on
//   node->retired_at = epochs.retire();            // and later, outside:
//   if (Epochs::is_over(node->retired_at, epochs.advance())) delete node;
//
// Thread safety: any goroutine or thread. Nobody waits for anybody. Who is inside may be stopped, preempted, moved to another thread, may even park: that
// only keeps memory from being given back, never wrongly frees it.
//
// Who enters counts itself at the present epoch e and looks whether it is still e; if not, it counts itself out and tries again. With inside[e] the number of
// those who are so confirmed:
//
//   epoch goes from n to n + 1 only after inside[n - 1] was seen to be 0, so                confirmed e >= epoch - 1          (1)
//   who can have found a node was confirmed before it was unlinked, hence                   e <= retired_at                   (2)
//   so nobody has it any more as soon as                                                    epoch >= retired_at + 2           (3)
//
// (1): an entrant adds to inside[e] and then reads epoch == e; whoever takes epoch on to e + 2 has read epoch == e + 1 and then inside[e]. All four are
// sequentially consistent, so the reader of inside[e] sees the entrant. As nobody can be confirmed at n - 1 once epoch is n, the counters may be looked at one
// after the other. Two sets of counters are enough: inside[n - 1] and inside[n + 1] share one, and nobody is at n + 1 yet; those who
// are only trying hold an advance up and say so (Ticket::hindered).
// (2): retire() is an exchange on the epoch, so the step to retired_at + 1 happens after it, and who enters later sees the node unlinked.
//
// Nothing is forgotten: whoever holds an advance up learns from leave() that it may have done so, and tries itself. So what is retired can be given back
// at the latest when the last of those leaves who were inside at that time.
//
// One object a structure, so a long visit of one map keeps nothing of another. Counters are in stripes, a cache line each, so that entrants of
// different threads seldom meet; a pair of locked instructions a visit.
//
// Rejected: an epoch per machine that its scheduler loop advances (quiescent states): plain threads and goroutines that compute have none. Rejected: hazard pointers:
// a slot per thread and per pointer held, which a goroutine that moves would take along. Rejected: a lock per node for readers: the
// root's would be taken by everybody.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace gort {

class Epochs {
 public:
  Epochs();
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;

  struct Ticket {
    uint64_t epoch;
    uint32_t stripe;
    bool hindered;   // it may have held an advance up before it was inside
  };

  Ticket enter();

  // leave: true if an advance may have failed because of this visit; the caller should try to give back what is retired.
  [[nodiscard]] bool leave(const Ticket& ticket);

  // retire gives the epoch in which something was unlinked. REQUIRES: it is unlinked; the caller is inside.
  uint64_t retire() { return epoch_.fetch_add(0, std::memory_order_seq_cst); }

  // advance takes the epoch on as far as those inside allow, by two at most, and returns it.
  uint64_t advance();

  // may_advance tells whether advance would get on.
  bool may_advance() const { return nobody_inside(epoch_.load(std::memory_order_seq_cst) - 1); }

  static bool is_over(uint64_t retired_at, uint64_t epoch) { return epoch >= retired_at + 2; }

 private:
  struct alignas(64) Stripe {
    std::atomic<uint32_t> inside[2] = {};   // by epoch & 1
  };

  bool nobody_inside(uint64_t epoch) const;

  std::atomic<uint64_t> epoch_{1};
  const uint32_t stripes_;   // a power of two
  const std::unique_ptr<Stripe[]> stripe_;
};

}  // namespace gort
