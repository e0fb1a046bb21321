// Call stacks: where measured goroutines were, each different one kept once and known by a number.
//
//   StackId where = observe::stack_here();                    // the caller's; by who measures, in the measured goroutine
//   auto stacks = observe::call_stacks();                     // later, anywhere
//   if (const CallStack* s = stacks ? stacks->find(where) : nullptr) for (const Place& place : s->places()) ...
//
// A stack is a list of places, innermost first, at most kMostPlaces of them. What a place is, is the business of the kind that took it: of native code
// a return address, in the Python lane a code object and the position in it (LaneHooks::stack_here). A stack may own what its places refer to.
//
// A table belongs to one session of measuring (contention.h). It lives until the next session begins and nobody looks into it any more;
// then its kinds are told to release what its stacks own. A number is never used again, so one of an earlier session is found in no later table.
//
// Invariant: stacks and places are appended only, and never move: what was found stays readable for as long as the table lives.
// The room is fixed, since it is taken under a spin lock: kStacks stacks with kPlaces places in all. Beyond that stacks are unknown (0).
//
// Rejected: one stack for each wait (a million waits come from a dozen places); hashes instead of the stacks (names could not be told afterwards);
// growing tables (allocation under the lock, or a second table to move to).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "gort/base/spin_lock.h"

namespace gort::observe {

using StackId = uint64_t;   // 0: unknown

struct Place {
  uintptr_t where = 0;
  uintptr_t offset = 0;
  bool operator==(const Place&) const = default;
};

// One object of it for each kind of stack, with static storage.
struct StackKind {
  void (*release)(const Place& place) = nullptr;   // null: places own nothing. Any thread, no lock held.
};
extern const StackKind native_stack;

class CallStack {
 public:
  const StackKind* kind() const { return kind_; }
  std::span<const Place> places() const { return {first_, count_}; }

 private:
  friend class CallStacks;
  const StackKind* kind_ = nullptr;
  const Place* first_ = nullptr;
  size_t count_ = 0;
  uint64_t hash_ = 0;
};

// Thread safety: every method, from anywhere, also under core locks other than leaves.
class CallStacks {
 public:
  static constexpr size_t kMostPlaces = 64;
  static constexpr size_t kStacks = 4096;
  static constexpr size_t kPlaces = 1 << 16;

  CallStacks();    // throws std::bad_alloc
  ~CallStacks();   // releases
  CallStacks(const CallStacks&) = delete;
  CallStacks& operator=(const CallStacks&) = delete;

  // keep gives the number of the stack with these places, innermost first, of which the first kMostPlaces count; 0 if there is no room. taken: it is a new
  // one, so what the places own is the table's from now on; else the caller's still.
  StackId keep(const StackKind& kind, std::span<const Place> places, bool& taken);

  // Null: none of this table's.
  const CallStack* find(StackId id) const;

  void after_fork_in_child();   // its lock may be held by one that is gone. REQUIRES: the only thread

 private:
  static constexpr size_t kSlots = 2 * kStacks;   // open addressing; a power of two

  const uint64_t base_;                   // the number of the first stack
  mutable SpinLock lock_{LockRank::Leaf};
  size_t stack_count_ = 0;                // guarded by lock_, as the rest
  size_t place_count_ = 0;
  std::unique_ptr<uint16_t[]> slots_;     // index + 1 of a stack; 0: free
  std::unique_ptr<CallStack[]> stacks_;
  std::unique_ptr<Place[]> places_;
};

// The table of the present or last session; null before the first. set_call_stacks begins another one and gives the one before it.
std::shared_ptr<CallStacks> call_stacks();
std::shared_ptr<CallStacks> set_call_stacks(std::shared_ptr<CallStacks> next);

// stack_here is the caller's stack in that table, by its lane's means; 0 if it cannot be told. REQUIRES: no core lock held.
StackId stack_here();
StackId native_stack_here();

// A place of a native stack in words: the function and its offset, the file that it is in and the offset there. What is not known is empty.
struct NativeFrame {
  std::string function;   // demangled
  std::string file;
  uint64_t offset = 0;    // of the call in the file
};
NativeFrame describe_native(const Place& place);

// After fork, in the child: whoever held a lock stayed with the parent. REQUIRES: the only thread.
void free_call_stacks_locks();

}  // namespace gort::observe
