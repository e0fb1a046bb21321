#include "gort/sync/pool.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "gort/base/cpu.h"
#include "gort/base/spin_lock.h"
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

std::atomic<uint32_t> agers{0};   // those who make pools age at this moment

// An ager, for its lifetime.
class Ageing {
 public:
  Ageing() {
    agers.fetch_add(1, std::memory_order_seq_cst);
    has_slots_ = preempt::barrier();
  }
  ~Ageing() { agers.fetch_sub(1, std::memory_order_release); }
  Ageing(const Ageing&) = delete;
  Ageing& operator=(const Ageing&) = delete;

  // False: the barrier is forbidden since a short while ago (a sandbox); private slots stay as they are.
  bool has_slots() const { return has_slots_ || !preempt::available(); }

 private:
  bool has_slots_;
};

// Not in Pool's constructor: pools may be static, and a program may never use one.
void prepare_ageing() {
  static const bool prepared = [] {
    if (!preempt::available()) agers.fetch_add(1, std::memory_order_relaxed);
    gc::on_clear_pools(sync::clear_pools);
    return true;
  }();
  static_cast<void>(prepared);
}

}  // namespace

struct alignas(64) Pool::Local {
  // REQUIRES: the caller is an ager.
  void wait_while_at_slot() const {
    for (int spins = 0; at_slot.load(std::memory_order_acquire); spins++) {
      if (spins < 1000) cpu_relax(); else sched_yield();
    }
  }

  std::atomic<uint64_t> slot{0};   // pool.h (1)
  std::atomic<bool> at_slot{false};
  std::atomic<size_t> listed{0};   // values.size(), for a look without the lock
  SpinLock lock{LockRank::Leaf};
  Values values;                   // guarded by lock
  Values victims;                  // guarded by lock
};

struct Pool::Block {
  Local locals[kBlock];
};

// Where somebody puts and gets first.
struct Pool::Place {
  uint32_t id;
  bool has_slot;
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
    if (!first) return;
    Ageing ageing;
    for (Pool* pool = first; pool; pool = pool->next_) pool->age(dropped, ageing.has_slots());
  }
};

Pool::Pool(const ElementType& type) : type_(&type) {
  static_assert(kSharedId < kBlock * kBlocks);
  PoolRegistry::get().add(this);
}

Pool::~Pool() {
  PoolRegistry::get().remove(this);
  {
    Dropped dropped;   // no barrier: nobody is at a slot any more
    age(dropped, true);
    age(dropped, true);
  }
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
    prepare_ageing();
    auto fresh = std::make_unique<Block>();
    if (place.compare_exchange_strong(block, fresh.get(), std::memory_order_acq_rel)) block = fresh.release();
  }
  return block->locals[id % kBlock];
}

// open_slot: the caller is inside, and at the slot of its native P, until close_slot. Null: it has none, or must take the lock.
inline Pool::Local* Pool::open_slot(M* m) {
  if (!m || m->inside.load(std::memory_order_relaxed)) [[unlikely]] return nullptr;
  enter_runtime(m);
  if (m->p && !m->lane->hooks()) [[likely]] {
    if (Local* local = at(m->p->local.id)) [[likely]] {
      local->at_slot.store(true, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (agers.load(std::memory_order_acquire) == 0) [[likely]] return local;
      local->at_slot.store(false, std::memory_order_release);
    }
  }
  leave_runtime(m);
  return nullptr;
}

inline void Pool::close_slot(M* m, Local& local) {
  local.at_slot.store(false, std::memory_order_release);
  leave_runtime(m);
}

void Pool::put(const void* element) {
  uint64_t bits;
  std::memcpy(&bits, element, sizeof(bits));
  if (bits == 0) return;
  M* m = this_machine();
  if (Local* local = open_slot(m)) [[likely]] {
    bool empty = local->slot.load(std::memory_order_relaxed) == 0;
    if (empty) local->slot.store(bits, std::memory_order_relaxed);
    close_slot(m, *local);
    if (empty) [[likely]] return;
  }
  put_locked(bits);
}

bool Pool::get(void* element) {
  uint64_t bits = 0;
  M* m = this_machine();
  if (Local* local = open_slot(m)) [[likely]] {
    bits = local->slot.load(std::memory_order_relaxed);
    if (bits) local->slot.store(0, std::memory_order_relaxed);
    close_slot(m, *local);
  }
  if (!bits) [[unlikely]] bits = get_locked();
  if (!bits) return false;
  std::memcpy(element, &bits, sizeof(bits));
  return true;
}

// REQUIRES: m, the caller's, is inside; what is said holds as long.
Pool::Place Pool::place(M* m) {
  if (!m || !m->p) return {kSharedId, true};
  bool native = !m->lane->hooks();
  if (!native && m->lane->processors() == 1) return {kSharedId, true};
  uint32_t id = m->p->local.id;
  use(id);
  return {id, native};
}

void Pool::use(uint32_t id) {
  uint32_t used = used_.load(std::memory_order_relaxed);
  while (used <= id && !used_.compare_exchange_weak(used, id + 1, std::memory_order_relaxed)) {}
}

void Pool::put_locked(uint64_t bits) {
  M* m = this_machine();
  RuntimeScope inside(m);
  Place here = place(m);
  Local& local = mine(here.id);
  std::lock_guard guard(local.lock);
  if (here.has_slot && local.slot.load(std::memory_order_relaxed) == 0) {
    local.slot.store(bits, std::memory_order_relaxed);
    return;
  }
  local.values.push(bits);
  local.listed.store(local.values.size(), std::memory_order_relaxed);
}

uint64_t Pool::get_locked() {
  uint64_t bits;
  uint32_t id;
  {
    M* m = this_machine();
    RuntimeScope inside(m);
    Place here = place(m);
    id = here.id;
    bits = take_own(mine(id), here.has_slot);
  }
  if (!bits) bits = steal(id, false);
  if (!bits && has_victims_.load(std::memory_order_acquire)) bits = steal(id, true);
  return bits;
}

// REQUIRES: slot_too: the caller owns the slot's P and is inside, or the slot is the shared one.
uint64_t Pool::take_own(Local& local, bool slot_too) {
  if (slot_too && local.slot.load(std::memory_order_relaxed) != 0) {
    std::lock_guard guard(local.lock);
    if (uint64_t bits = local.slot.load(std::memory_order_relaxed)) {
      local.slot.store(0, std::memory_order_relaxed);
      return bits;
    }
  }
  return take_listed(local, true);
}

// The owner takes the newest, others the oldest.
uint64_t Pool::take_listed(Local& local, bool own) {
  if (local.listed.load(std::memory_order_relaxed) == 0) return 0;
  std::lock_guard guard(local.lock);
  uint64_t bits = own ? local.values.pop_newest() : local.values.pop_oldest();
  local.listed.store(local.values.size(), std::memory_order_relaxed);
  return bits;
}

uint64_t Pool::take_victim(Local& local, bool own) {
  std::lock_guard guard(local.lock);
  return own ? local.victims.pop_newest() : local.victims.pop_oldest();
}

// steal looks through all Locals; through those of the victims beginning with our own.
uint64_t Pool::steal(uint32_t id, bool victims) {
  uint32_t used = used_.load(std::memory_order_relaxed);
  if (victims) {
    if (uint64_t bits = take_victim(mine(id), true)) return bits;
  }
  auto take = [victims](Local& local) { return victims ? take_victim(local, false) : take_listed(local, false); };
  uint32_t from = id == kSharedId ? 0 : id + 1;
  for (uint32_t i = 0; i < used; i++) {
    uint32_t other = (from + i) % used;
    Local* local = other == id ? nullptr : at(other);
    if (!local) continue;
    if (uint64_t bits = take(*local)) return bits;
  }
  if (id != kSharedId) {
    if (Local* local = at(kSharedId)) {
      if (uint64_t bits = take(*local)) return bits;
    }
  }
  if (victims) has_victims_.store(false, std::memory_order_relaxed);
  return 0;
}

// REQUIRES: the caller is an ager, or nobody else uses the pool.
void Pool::age(Dropped& dropped, bool slots) {
  bool any = false;
  for (uint32_t id = 0; id <= kSharedId; id++) {
    if (!blocks_[id / kBlock].load(std::memory_order_acquire)) {
      id |= kBlock - 1;
      continue;
    }
    Local& local = *at(id);
    if (slots) local.wait_while_at_slot();
    std::lock_guard guard(local.lock);
    if (local.victims.size() > 0) dropped.runs.push_back({type_, std::move(local.victims)});
    local.victims = std::exchange(local.values, Values());
    uint64_t bits = local.slot.load(std::memory_order_relaxed);
    if (slots && bits) {
      local.victims.push(bits);
      local.slot.store(0, std::memory_order_relaxed);
      if (id != kSharedId) use(id);   // its owner need not have been seen but at its slot
    }
    local.listed.store(0, std::memory_order_relaxed);
    any = any || local.victims.size() > 0;
  }
  has_victims_.store(any, std::memory_order_release);
}

void Pool::clear() {
  Dropped dropped;
  Ageing ageing;
  age(dropped, ageing.has_slots());
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
