// LockCheck looks for faults in how goroutines use locks: orders that can end in a deadlock, and waits that nobody will end.
//
//   LockCheck check;
//   StackId here = ...;                                            // a stack of check.stacks()
//   if (check.is_new(me, name, how)) faults = check.order(me, name, how, here);
//   check.waits(me, name, how, here, nanotime());                  // only if it must wait
//   check.waited(me);
//   check.taken(me, name, how, here);
//   check.released(me, lock, how);                                 // before it is unlocked
//   faults = check.stuck(nanotime() - patience);                   // now and then
//
// Two searches, over two graphs:
//
//   Orders. Lock A -> lock B: somebody has wanted B while holding A. A cycle is a fault even if nothing has happened yet, whoever went along its edges:
//   goroutines that run the same code at the same time could meet. It is looked for when an edge is new, so a program that has shown its orders pays for a
//   probe of a hash table per lock that it holds. A cycle is none if
//     - two of its edges were gone along with one common lock held, not by both for reading: who holds that keeps the other out (a gate); or
//     - at one of its locks both only read, and nobody has ever wanted to write. (With a writer that waits in between readers block each other.)
//   An edge therefore keeps several sightings, each with the other locks held; one that needs less than another replaces it.
//
//   Waits. Goroutine -> goroutine: it waits for a lock that the other holds, or for reading behind the other, which waits to write. A cycle is a
//   deadlock of those in it: re-entry if there is one only. It is believed when all of its waits began before a given time, as anybody may still
//   unlock: locks have no owner. A deadlock of the whole run needs no patience.
//
// A lock that was once unlocked by another goroutine than had locked it is passed around like a token; whoever has locked it does not *hold* it in the sense
// of both graphs. It is left out from then on.
//
// Locks are addresses, known from their first use to `gone`, and numbered in that order; goroutines are ids, 0 for nobody, which is ignored. A goroutine that ends
// holding a lock holds it still. Thread safety: every method, from anywhere, also under core locks other than leaves. Methods allocate; without memory they
// forget what they were told, so faults may be missed.
//
// Rejected: classes of locks by the place where they were made, as Linux' lockdep has: it needs fewer examples, but two accounts locked in the order
// of their numbers are one class with itself. Rejected: cycles by one goroutine only are none: a test is often one goroutine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "gort/base/clock.h"
#include "gort/base/spin_lock.h"
#include "gort/observe/call_stacks.h"

namespace gort::observe {

enum class Hold : uint8_t { Shared, Exclusive };

struct LockName {
  const void* address = nullptr;   // null: none
  const char* type = "";           // static storage
  uint64_t number = 0;             // given by the check
};

// What one goroutine has to do with a fault.
struct LockUse {
  uint64_t goroutine = 0;
  LockName held{};       // of those that it holds, the one that matters; its address is null if there is none
  Hold held_how = Hold::Exclusive;
  StackId taken = 0;     // where it took that; short
  LockName wanted{};
  Hold wanted_how = Hold::Exclusive;
  StackId wants = 0;     // where it wanted or wants this
};

struct LockFault {
  enum class Kind : uint8_t {
    Order,           // each use wants what the next one holds; the last one wants what the first one holds
    Reentry,         // one goroutine waits for what it holds, at least one of the two for writing
    Upgrade,         // the same, holding it for reading and wanting to write
    RecursiveRead,   // the first reads and waits to read again, behind the second, which waits to write
    Deadlock,        // as Order, but they wait
  };
  Kind kind = Kind::Order;
  std::vector<LockUse> uses;
};

class LockCheck {
 public:
  LockCheck() = default;
  ~LockCheck();
  LockCheck(const LockCheck&) = delete;
  LockCheck& operator=(const LockCheck&) = delete;

  void clear();   // forgets everything; stacks() is another table then. Throws std::bad_alloc, with everything forgotten and no table.
  std::shared_ptr<CallStacks> stacks() const;   // null before the first clear

  // is_new tells whether that goroutine wanting the lock now is something that order has not seen. again: it lets go of the lock before it wants it (Cond).
  bool is_new(uint64_t goroutine, const LockName& lock, Hold how, bool again = false);
  // order notes it, and gives the faults that it makes; each set of locks is reported once.
  std::vector<LockFault> order(uint64_t goroutine, const LockName& lock, Hold how, StackId wants);

  void taken(uint64_t goroutine, const LockName& lock, Hold how, StackId where);
  void released(uint64_t goroutine, const void* lock, Hold how);   // by anybody; what was not taken is ignored

  void waits(uint64_t goroutine, const LockName& lock, Hold how, StackId where, Nanos since);
  void waited(uint64_t goroutine);
  // stuck gives the deadlocks among waits that began at that time or before; each wait is in one report.
  std::vector<LockFault> stuck(Nanos since);

  void gone(const void* lock);

  // name gives the lock a number, as its first use would.
  LockName name(const LockName& lock);

  // A goroutine that reports a fault is not checked meanwhile. False: it does so already.
  bool begin_report(uint64_t goroutine);
  void end_report(uint64_t goroutine);

  void after_fork_in_child();   // REQUIRES: the only thread. Forgets everything but the stacks.

 private:
  struct Record;
  struct Holding {
    uint64_t goroutine;
    Record* record;
    Hold how;
    StackId where;
    Holding* next_in_bucket;
    Holding* next_of_record;
  };
  using Gate = std::pair<uint64_t, Hold>;   // a lock's number
  struct Sighting {
    Hold from, to;
    std::vector<Gate> gates;   // what else was held
    uint64_t goroutine;
    StackId taken, wants;
  };
  using Edge = std::vector<Sighting>;
  struct Record {
    LockName name;
    bool handed = false;     // unlocked by another goroutine than had locked it
    bool written = false;    // somebody wanted to lock it for writing; not: tried
    Holding* holdings = nullptr;
    std::unordered_map<Record*, Edge> out;
    std::unordered_set<Record*> in;
  };
  struct Step {
    Record* from;
    Record* to;
    const Sighting* seen;
  };
  struct Wait {
    LockName lock;
    Hold how;
    StackId where;
    Nanos since;
    bool reported = false;
  };
  static constexpr size_t kBuckets = 1024;
  static constexpr size_t kMostSightings = 16;
  static constexpr size_t kMostSteps = 20'000;   // of one search; beyond that it has found nothing
  static constexpr size_t kLongest = 12;         // cycle

  void clear_locked();
  Record* find(const void* lock) const;
  Record& record_of(const LockName& lock);
  void drop(Holding** link);
  template <class F>
  void for_each_holding(uint64_t goroutine, F visit) const;
  std::vector<Gate> gates(uint64_t goroutine, const Record* from, const Record* to) const;
  static bool covers(const Sighting& known, const Sighting& fresh);
  static bool exclude(const Step& a, const Step& b);
  static bool blocks(const Record& at, Hold wanted, Hold held);
  static bool reaches(Record* from, const Record* to);
  bool close(std::vector<Step>& path, size_t length, size_t& steps) const;
  void search(Record* from, Record* to, const Sighting& seen, std::vector<LockFault>& faults);
  bool blocked_by_itself(uint64_t start, uint64_t goroutine, Nanos since, std::vector<uint64_t>& path, std::unordered_set<uint64_t>& seen) const;
  LockFault describe(const std::vector<uint64_t>& path);
  const Holding* holding(uint64_t goroutine, const void* lock) const;

  mutable SpinLock lock_{LockRank::Leaf};   // guards all
  std::shared_ptr<CallStacks> stacks_;
  std::unordered_map<const void*, std::unique_ptr<Record>> records_;
  std::array<Holding*, kBuckets> buckets_{};   // by goroutine
  Holding* spare_ = nullptr;
  uint64_t last_number_ = 0;
  std::unordered_map<uint64_t, Wait> waits_;
  std::set<std::vector<uint64_t>> reported_;   // the numbers of the locks, in order
  std::unordered_set<uint64_t> reporting_;
};

}  // namespace gort::observe
