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
// Who counts as a P: those of every lane by their number, so P 3 of the native lane shares with P 3 of the Python lane; nothing depends on owning a
// slot, and few pools serve both. Plain threads have no P and share one more slot and list, and with them the P of a lane that has only one: with
// the GIL threads and goroutines take turns anyway, and everybody gets what anybody put.
//
// Rejected: Go's private slot without atomics and its lock-free chain of rings. They hold only while nobody migrates between
// two instructions and rely on the world being stopped for clear; an exchange on a line that is ours costs 5 ns, and clear may
// run at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "gort/base/spin_lock.h"
#include "gort/types/element_type.h"

namespace gort {

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
  friend struct PoolRegistry;

  uint32_t my_id();
  Local& mine(uint32_t id);
  Local* at(uint32_t id);
  uint64_t take(Local& local, bool own, bool victims);
  uint64_t steal(uint32_t id, bool victims);
  void age(Dropped& dropped);

  static constexpr uint32_t kBlock = 16;
  static constexpr uint32_t kBlocks = 1024 / kBlock + 1;  // one for each of kMaxProcs, and the shared one

  const ElementType* type_;
  std::atomic<Block*> blocks_[kBlocks] = {};   // made on first use; index = id / kBlock
  std::atomic<uint32_t> used_{0};              // ids below this one have been used
  std::atomic<bool> has_victims_{false};
  Pool* next_ = nullptr;                       // all pools; guarded by the registry's lock
  Pool* prev_ = nullptr;
};

// PoolOf<T> holds std::unique_ptr<T>.
template <class T>
class PoolOf {
 public:
  PoolOf() : pool_(element_type<std::unique_ptr<T>>()) {}
  void put(std::unique_ptr<T> value) {
    T* raw = value.release();
    pool_.put(&raw);
  }
  std::unique_ptr<T> get() {
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
