// Pool keeps values that are expensive to make for reuse; anything in it may vanish at any time.
//
//   gort::PoolOf<Buffer> pool;
//   std::unique_ptr<Buffer> b = pool.get();     // null: none there
//   if (!b) b = std::make_unique<Buffer>();
//   ...
//   pool.put(std::move(b));
//
// Thread safety: any goroutine or thread. Destructors of values that vanish run on the collector's goroutine, under no lock: they may do
// anything but wait for a collection.
//
// Go's shape: each P has a private slot and a list; put fills the slot, then pushes; get takes from its slot, from the head of
// its list, then steals from the tails of the others, then looks at the victims. Each collection, as it begins, drops the victims of every
// pool and makes victims of everything else, so a value that nobody wants lives through one collection and not two.
//
// Who counts as a P: those of every lane by their number, so P 3 of the native lane shares its list with P 3 of the Python lane; few pools serve both. Plain
// threads have no P and share one more slot and list, and with them the P of the Python lane if it has only one: with the GIL threads and
// goroutines take turns anyway, and everybody gets what anybody put.
//
// The private slot of a native P costs no locked instruction. Whoever owns the P and is inside (preempt.h: so it cannot be taken meanwhile) says that it
// is at the slot and sees that nobody makes the pools age; who makes them age says so and waits until nobody is at the slot:
//
//   the owner:     at_slot = true; [compiler barrier]; read agers       agers: at_slot = false, and the list's lock instead
//   an ager:       agers += 1; barrier(); wait until at_slot is false; then the list's lock
//
// barrier (membarrier) makes all threads pass a full barrier, so an ager sees at_slot or the owner sees agers: Dekker's protocol, with its cost on the rare side. Hence
//
//   the slot is used by its P's owner, at_slot or with the lock, and by agers that have seen at_slot false after their barrier, with the lock     (1)
//   nothing between at_slot and its end waits, allocates or is a safe point, so an ager waits for a few instructions, or for a CPU               (2)
//
// The shared slot is used with the lock only. Ps of the Python lane have none. Where there is no membarrier agers is never zero.
//
// Rejected: an exchange for the private slot (5 ns an operation; get and put cost 1.5 times Go's). Rejected: the owner ages its slot itself when it sees a new number
// of collections: a P that is idle would keep its value for ever. Rejected: Go's lock-free chain of rings for the list.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "gort/sched/world.h"
#include "gort/types/element_type.h"

namespace gort {

struct M;

class Pool {
 public:
  // type.size is 8, and 8 zero bytes are no value (a pointer). type outlives the pool.
  explicit Pool(const ElementType& type);
  ~Pool();  // destroys what is in it
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // put moves *element in; a null pointer is ignored.
  void put(const void* element);

  // get moves some value to *element; false if there is none.
  [[nodiscard]] bool get(void* element);

  // clear ages the values by one collection and destroys those that were victims already.
  void clear();

  // for_each calls visit(bits) on all values, victims too, under locks of the pool (tp_traverse).
  void for_each(void (*visit)(void* context, uint64_t bits), void* context);

 private:
  struct Local;
  struct Block;
  struct Dropped;
  struct Place;
  friend struct PoolRegistry;

  Local* open_slot(M* m);
  static void close_slot(M* m, Local& local);
  Place place(M* m);
  void use(uint32_t id);
  Local& mine(uint32_t id);
  Local* at(uint32_t id);
  void put_locked(uint64_t bits);
  uint64_t get_locked();
  static uint64_t take_own(Local& local, bool slot_too);
  static uint64_t take_listed(Local& local, bool own);
  static uint64_t take_victim(Local& local, bool own);
  uint64_t steal(uint32_t id, bool victims);
  void age(Dropped& dropped, bool slots);

  static constexpr uint32_t kBlock = 16;
  static constexpr uint32_t kBlocks = 1024 / kBlock + 1;  // one for each of kMaxProcs, and the shared one

  const ElementType* type_;
  std::atomic<Block*> blocks_[kBlocks] = {};   // made on first use; index = id / kBlock
  std::atomic<uint32_t> used_{0};              // ids below this one have been used
  std::atomic<bool> has_victims_{false};
  Pool* next_ = nullptr;                       // all pools; guarded by the registry's lock
  Pool* prev_ = nullptr;
};

// PoolOf<T> holds std::unique_ptr<T>. put and get are safe points (world.h): who does little else still lets others run, and keeps its P.
template <class T>
class PoolOf {
 public:
  PoolOf() : pool_(element_type<std::unique_ptr<T>>()) {}
  void put(std::unique_ptr<T> value) {
    world::safe_point();
    T* raw = value.release();
    pool_.put(&raw);
  }
  std::unique_ptr<T> get() {
    world::safe_point();
    T* raw;
    return std::unique_ptr<T>(pool_.get(&raw) ? raw : nullptr);
  }
  void clear() { pool_.clear(); }

 private:
  Pool pool_;
};

namespace sync {
// clear_pools clears every pool. Collections call it, with the world running: it runs destructors of values.
void clear_pools();
}  // namespace sync

}  // namespace gort
