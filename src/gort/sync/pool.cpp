#include "gort/sync/pool.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "gort/gc/collector.h"
#include "gort/sched/lane.h"
#include "gort/sched/machine.h"
#include "gort/sched/preempt.h"

namespace gort {
namespace {

// A stack whose other end can be taken from too.
class Values {
 public:
  void push(uint64_t bits) {
    if (first_ > 0 && first_ * 2 >= bits_.size()) {
      bits_.erase(bits_.begin(), bits_.begin() + ptrdiff_t(first_));
      first_ = 0;
    }
    bits_.push_back(bits);
  }
  uint64_t pop_newest() {
    if (first_ == bits_.size()) return 0;
    uint64_t bits = bits_.back();
    bits_.pop_back();
    return bits;
  }
  uint64_t pop_oldest() { return first_ == bits_.size() ? 0 : bits_[first_++]; }
  size_t size() const { return bits_.size() - first_; }
  auto begin() const { return bits_.begin() + ptrdiff_t(first_); }
  auto end() const { return bits_.end(); }

 private:
  std::vector<uint64_t> bits_;
  size_t first_ = 0;
};

constexpr uint32_t kSharedId = kMaxProcs;  // of threads without a P, and of lanes with one

// Not in Pool's constructor: pools may be static, and a program may never use one.
void age_at_collections() {
  static const bool registered = (gc::on_clear_pools(sync::clear_pools), true);
  static_cast<void>(registered);
}

}  // namespace

struct alignas(64) Pool::Local {
  std::atomic<uint64_t> slot{0};
  std::atomic<size_t> listed{0};   // values.size(), for a look without the lock
  SpinLock lock{LockRank::Leaf};
  Values values;                   // guarded by lock
  Values victims;                  // guarded by lock
};

struct Pool::Block {
  Local locals[kBlock];
};

struct Pool::Dropped {
  struct Run {
    const ElementType* type;
    Values values;
  };
  std::vector<Run> runs;

  // Under no lock.
  ~Dropped() {
    for (Run& run : runs) {
      if (!run.type->destroy) continue;
      for (uint64_t bits : run.values) run.type->destroy(&bits);
    }
  }
};

// All pools of the process.
struct PoolRegistry {
  SpinLock lock{LockRank::Sync};
  Pool* first = nullptr;  // guarded by lock

  static PoolRegistry& get() {
    static PoolRegistry& registry = *new PoolRegistry;  // pools may be static: never destroyed
    return registry;
  }
  void add(Pool* pool) {
    std::lock_guard guard(lock);
    pool->next_ = first;
    if (first) first->prev_ = pool;
    first = pool;
  }
  void remove(Pool* pool) {
    std::lock_guard guard(lock);
    if (pool->prev_) pool->prev_->next_ = pool->next_; else first = pool->next_;
    if (pool->next_) pool->next_->prev_ = pool->prev_;
  }
  void clear_all() {
    Pool::Dropped dropped;
    std::lock_guard guard(lock);
    for (Pool* pool = first; pool; pool = pool->next_) pool->age(dropped);
  }
};

Pool::Pool(const ElementType& type) : type_(&type) {
  static_assert(kSharedId < kBlock * kBlocks);
  PoolRegistry::get().add(this);
}

Pool::~Pool() {
  PoolRegistry::get().remove(this);
  clear();
  clear();
  for (auto& block : blocks_) delete block.load(std::memory_order_relaxed);
}

Pool::Local* Pool::at(uint32_t id) {
  Block* block = blocks_[id / kBlock].load(std::memory_order_acquire);
  return block ? &block->locals[id % kBlock] : nullptr;
}

Pool::Local& Pool::mine(uint32_t id) {
  std::atomic<Block*>& place = blocks_[id / kBlock];
  Block* block = place.load(std::memory_order_acquire);
  if (!block) [[unlikely]] {
    age_at_collections();
    auto fresh = std::make_unique<Block>();
    if (place.compare_exchange_strong(block, fresh.get(), std::memory_order_acq_rel)) block = fresh.release();
  }
  return block->locals[id % kBlock];
}

uint32_t Pool::my_id() {
  M* m = this_machine();
  RuntimeScope inside(m);
  if (!m || !m->p || m->lane->processors() == 1) return kSharedId;
  uint32_t id = m->p->local.id;
  uint32_t used = used_.load(std::memory_order_relaxed);
  while (used <= id && !used_.compare_exchange_weak(used, id + 1, std::memory_order_relaxed)) {}
  return id;
}

void Pool::put(const void* element) {
  uint64_t bits;
  std::memcpy(&bits, element, sizeof(bits));
  if (bits == 0) return;
  Local& local = mine(my_id());
  uint64_t empty = 0;
  if (local.slot.compare_exchange_strong(empty, bits, std::memory_order_release, std::memory_order_relaxed)) return;
  std::lock_guard guard(local.lock);
  local.values.push(bits);
  local.listed.store(local.values.size(), std::memory_order_relaxed);
}

bool Pool::get(void* element) {
  uint32_t id = my_id();
  uint64_t bits = take(mine(id), true, false);
  if (!bits) bits = steal(id, false);
  if (!bits && has_victims_.load(std::memory_order_acquire)) bits = steal(id, true);
  if (!bits) return false;
  std::memcpy(element, &bits, sizeof(bits));
  return true;
}

// take takes a value of one Local: its owner the newest first, others the oldest and not the slot.
uint64_t Pool::take(Local& local, bool own, bool victims) {
  if (victims) {
    std::lock_guard guard(local.lock);
    return own ? local.victims.pop_newest() : local.victims.pop_oldest();
  }
  if (own && local.slot.load(std::memory_order_relaxed) != 0) {
    if (uint64_t bits = local.slot.exchange(0, std::memory_order_acquire)) return bits;
  }
  if (local.listed.load(std::memory_order_relaxed) == 0) return 0;
  std::lock_guard guard(local.lock);
  uint64_t bits = own ? local.values.pop_newest() : local.values.pop_oldest();
  local.listed.store(local.values.size(), std::memory_order_relaxed);
  return bits;
}

// steal looks through all Locals; through those of the victims beginning with our own.
uint64_t Pool::steal(uint32_t id, bool victims) {
  uint32_t used = used_.load(std::memory_order_relaxed);
  if (victims) {
    if (uint64_t bits = take(mine(id), true, true)) return bits;
  }
  uint32_t from = id == kSharedId ? 0 : id + 1;
  for (uint32_t i = 0; i < used; i++) {
    uint32_t other = (from + i) % used;
    Local* local = other == id ? nullptr : at(other);
    if (!local) continue;
    if (uint64_t bits = take(*local, false, victims)) return bits;
  }
  if (id != kSharedId) {
    if (Local* local = at(kSharedId)) {
      if (uint64_t bits = take(*local, false, victims)) return bits;
    }
  }
  if (victims) has_victims_.store(false, std::memory_order_relaxed);
  return 0;
}

void Pool::age(Dropped& dropped) {
  bool any = false;
  for (auto& place : blocks_) {
    Block* block = place.load(std::memory_order_acquire);
    if (!block) continue;
    for (Local& local : block->locals) {
      std::lock_guard guard(local.lock);
      if (local.victims.size() > 0) dropped.runs.push_back({type_, std::move(local.victims)});
      local.victims = std::exchange(local.values, Values());
      if (uint64_t bits = local.slot.exchange(0, std::memory_order_acquire)) local.victims.push(bits);
      local.listed.store(0, std::memory_order_relaxed);
      any = any || local.victims.size() > 0;
    }
  }
  has_victims_.store(any, std::memory_order_release);
}

void Pool::clear() {
  Dropped dropped;
  age(dropped);
}

void Pool::for_each(void (*visit)(void*, uint64_t), void* context) {
  for (auto& place : blocks_) {
    Block* block = place.load(std::memory_order_acquire);
    if (!block) continue;
    for (Local& local : block->locals) {
      std::lock_guard guard(local.lock);
      if (uint64_t bits = local.slot.load(std::memory_order_acquire)) visit(context, bits);
      for (uint64_t bits : local.values) visit(context, bits);
      for (uint64_t bits : local.victims) visit(context, bits);
    }
  }
}

namespace sync {
void clear_pools() { PoolRegistry::get().clear_all(); }
}  // namespace sync

}  // namespace gort
