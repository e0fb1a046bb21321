// Epochs tells when memory that was taken out of a lock-free structure can be given back: when nobody is inside any more who may have found it there.
//
//   Epochs::Ticket ticket = epochs.enter();
//   ... follow pointers of the structure ...
//   unlink(node);                                  // nobody finds it from now on
//   bool look = epochs.retire(ticket, node);
//   if (epochs.leave(ticket) || look) {
//     for (Epochs::Retired* list = epochs.take_over(ticket, look); list;) delete std::exchange(list, list->next_retired);
//   }
//
// Thread safety: any goroutine or thread. Nobody waits for anybody. Who is inside may be stopped, preempted, moved to another thread, may even park: that
// only keeps memory from being given back, never wrongly frees it.
//
// Who enters counts itself at the present epoch e and looks whether it is still e; if not, it counts itself out and tries again. With inside[e] the number of
// those who are so confirmed:
//
//   epoch goes from n to n + 1 only after inside[n - 1] was seen to be 0, so                confirmed e >= epoch - 1          (1)
//   who can have found a node was confirmed before it was unlinked, hence before it was stamped     e <= stamp                (2)
//   so nobody has it any more as soon as                                                    epoch >= stamp + 2                (3)
//
// (1): an entrant adds to inside[e] and then reads epoch == e; whoever takes epoch on to e + 2 has read epoch == e + 1 and then inside[e]. All four are
// sequentially consistent, so the reader of inside[e] sees the entrant. As nobody can be confirmed at n - 1 once epoch is n, the counters may be looked at one
// after the other. Two sets of counters are enough: inside[n - 1] and inside[n + 1] share one, and nobody is at n + 1 yet; those who
// are only trying hold an advance up and say so (Ticket::hindered).
// (2): a stamp is read by an exchange on the epoch, so the step to stamp + 1 happens after it, and who enters later sees the node unlinked. It may be read any
// time after the unlinking, so a list of nodes gets one stamp when it is first looked at.
//
// Nothing is forgotten (batch 1): whoever holds an advance up learns from leave() that it may have done so, and tries itself. So what is retired can be given
// back at the latest when the last of those leaves who were inside at that time. What was held back is put back before the last look at the
// counters, so either that look sees him gone, or he finds it when he has left.
//
// A batch above 1 is for what nobody can see the end of (memory alone): a stripe's list is looked at when so many have come, by whoever retired the last of
// them; by others only if somebody has held up several batches. That leaves the epoch's line alone: each step takes it from all who are
// about to enter. And memory mostly goes back to malloc on the thread that writes.
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
  // Base of what is retired.
  struct Retired {
    Retired* next_retired = nullptr;
    uint64_t stamp : 63 = 0;    // 0: not stamped yet
    uint64_t urgent : 1 = 0;    // is looked at at once, and everybody's concern
  };

  explicit Epochs(uint32_t batch = 1);
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;

  struct Ticket {
    uint64_t epoch;
    uint32_t stripe;
    bool hindered;   // it may have held an advance up before it was inside
  };

  Ticket enter();

  // leave: true if an advance may have failed because of this visit; the caller should call take_over.
  [[nodiscard]] bool leave(const Ticket& ticket);

  // retire keeps what was unlinked, until take_over. True: the caller should call take_over after leaving. REQUIRES: the caller is inside with that ticket.
  [[nodiscard]] bool retire(const Ticket& ticket, Retired* node);

  // take_over returns what is retired and nobody has any more, linked by next_retired; it is the caller's. look: what retire returned, if the caller has retired.
  // REQUIRES: the caller has left with that ticket.
  [[nodiscard]] Retired* take_over(const Ticket& ticket, bool look);

  // take_all returns all that is retired. REQUIRES: nobody is inside, nor enters.
  [[nodiscard]] Retired* take_all();

  // for_each_retired calls visit(node) until one returns non-zero, which it returns. REQUIRES: nobody is inside, nor enters.
  template <class F>
  int for_each_retired(F visit) const {
    for (uint32_t i = 0; i < stripes_; i++) {
      for (Retired* node = stripe_[i].retired.load(std::memory_order_acquire); node; node = node->next_retired) {
        if (int stop = visit(node)) return stop;
      }
    }
    return 0;
  }

 private:
  struct alignas(64) Stripe {
    std::atomic<uint32_t> inside[2] = {};   // by epoch & 1
    std::atomic<uint32_t> count{0};         // with batches: of what is in retired or was a moment ago; urgent ones count held_up_ times
    std::atomic<Retired*> retired{nullptr};
  };

  bool nobody_inside(uint64_t epoch) const;
  // Takes the epoch on as far as those inside allow, by two at most, and returns it.
  uint64_t advance();
  // Tells whether advance would get on.
  bool may_advance() const { return nobody_inside(epoch_.load(std::memory_order_seq_cst) - 1); }
  uint64_t stamp() { return epoch_.fetch_add(0, std::memory_order_seq_cst); }
  void take_over(Stripe& stripe, Retired** over);
  uint32_t weight(const Retired* node) const { return node->urgent ? held_up_ : 1; }
  static void push(Stripe& stripe, Retired* first, Retired* last);

  const uint32_t batch_;
  const uint32_t held_up_;   // so many in a list are everybody's concern
  std::atomic<uint64_t> epoch_{1};
  const uint32_t stripes_;   // a power of two
  const std::unique_ptr<Stripe[]> stripe_;
};

}  // namespace gort
