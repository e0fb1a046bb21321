#include "gort/sync/hash_trie.h"

#include <mutex>
#include <utility>

#include "gort/base/spin_lock.h"

namespace gort {
namespace {

constexpr int kBits = 4;
constexpr int kChildren = 1 << kBits;

}  // namespace

struct HashTrie::Indirect : Node {
  Indirect(Indirect* up, int below) : Node(false), shift(below), parent(up) {}
  std::atomic<Node*>& slot(uint64_t hash) { return children[(hash >> shift) & (kChildren - 1)]; }
  bool empty() const {
    for (const std::atomic<Node*>& child : children) {
      if (child.load(std::memory_order_relaxed)) return false;
    }
    return true;
  }

  const int shift;   // of the bits of the hash that choose a child
  SpinLock lock;
  std::atomic<bool> dead{false};   // set under lock
  Indirect* const parent;          // readable by whoever found this node in its visit; null: the root
  std::atomic<Node*> children[kChildren] = {};   // changed under lock
};

namespace {

constexpr int kTopShift = 64 - kBits;

}  // namespace

HashTrie::Entry* HashTrie::Inside::find(uint64_t hash) const {
  Node* node = trie_.root_.load(std::memory_order_acquire);
  while (node && !node->is_entry) node = static_cast<Indirect*>(node)->slot(hash).load(std::memory_order_acquire);
  auto* entry = static_cast<Entry*>(node);
  return entry && entry->hash == hash ? entry : nullptr;
}

HashTrie::Entry* HashTrie::Inside::from(uint64_t hash) const {
  Indirect* root = trie_.root_.load(std::memory_order_acquire);
  return root ? first(root, hash) : nullptr;
}

// Children are in the order of their hashes.
HashTrie::Entry* HashTrie::first(Indirect* node, uint64_t hash) {
  int start = int((hash >> node->shift) & (kChildren - 1));
  for (int i = start; i < kChildren; i++) {
    Node* child = node->children[i].load(std::memory_order_acquire);
    if (!child) continue;
    Entry* found;
    if (child->is_entry) {
      auto* entry = static_cast<Entry*>(child);
      found = i > start || entry->hash >= hash ? entry : nullptr;
    } else {
      found = first(static_cast<Indirect*>(child), i > start ? 0 : hash);
    }
    if (found) return found;
  }
  return nullptr;
}

bool HashTrie::Inside::insert(Entry* fresh, const Entry* head) {
  uint64_t hash = fresh->hash;
  for (;;) {
    Indirect* node = trie_.root_.load(std::memory_order_acquire);
    if (!node) {
      if (head) return false;
      auto* root = new Indirect(nullptr, kTopShift);
      if (trie_.root_.compare_exchange_strong(node, root, std::memory_order_acq_rel, std::memory_order_acquire)) {
        node = root;
      } else {
        delete root;
      }
    }
    Node* child;
    while ((child = node->slot(hash).load(std::memory_order_acquire)) && !child->is_entry) node = static_cast<Indirect*>(child);

    std::unique_lock hold(node->lock);
    if (node->dead.load(std::memory_order_relaxed)) {
      hold.unlock();
      prune(node, hash);
      continue;
    }
    std::atomic<Node*>& slot = node->slot(hash);
    child = slot.load(std::memory_order_relaxed);
    if (child && !child->is_entry) continue;
    auto* there = static_cast<Entry*>(child);
    bool same_hash = there && there->hash == hash;
    if ((same_hash ? there : nullptr) != head) return false;
    if (!there || same_hash) {
      fresh->next.store(there, std::memory_order_relaxed);
      slot.store(fresh, std::memory_order_release);
    } else {
      slot.store(make_room(there, fresh, node), std::memory_order_release);
    }
    return true;
  }
}

// make_room returns a new subtree with both, whose hashes agree down to parent's bits and differ below.
HashTrie::Node* HashTrie::make_room(Entry* there, Entry* fresh, Indirect* parent) {
  auto* top = new Indirect(parent, parent->shift - kBits);
  Indirect* node = top;
  while (&node->slot(there->hash) == &node->slot(fresh->hash)) {
    Indirect* below;
    try {
      below = new Indirect(node, node->shift - kBits);
    } catch (...) {
      while (node != parent) delete std::exchange(node, node->parent);
      throw;
    }
    node->slot(fresh->hash).store(below, std::memory_order_relaxed);
    node = below;
  }
  node->slot(there->hash).store(there, std::memory_order_relaxed);
  node->slot(fresh->hash).store(fresh, std::memory_order_relaxed);
  return top;
}

bool HashTrie::Inside::replace(Entry* old, Entry* fresh) {
  uint64_t hash = old->hash;
  for (;;) {
    Indirect* node = trie_.root_.load(std::memory_order_acquire);
    if (!node) return false;
    Node* child;
    while ((child = node->slot(hash).load(std::memory_order_acquire)) && !child->is_entry) node = static_cast<Indirect*>(child);

    std::unique_lock hold(node->lock);
    if (node->dead.load(std::memory_order_relaxed)) {
      hold.unlock();
      prune(node, hash);
      continue;
    }
    std::atomic<Node*>& slot = node->slot(hash);
    child = slot.load(std::memory_order_relaxed);
    if (child && !child->is_entry) continue;
    Entry* before = nullptr;
    auto* entry = static_cast<Entry*>(child);
    while (entry && entry != old) {
      before = entry;
      entry = entry->next.load(std::memory_order_relaxed);
    }
    if (!entry) return false;
    Entry* after = old->next.load(std::memory_order_relaxed);   // stays: who stands at old goes on from there
    if (fresh) {
      fresh->next.store(after, std::memory_order_relaxed);
      after = fresh;
    }
    if (before) {
      before->next.store(after, std::memory_order_release);
    } else {
      slot.store(after, std::memory_order_release);
    }
    bool dies = !before && !after && node->parent && node->empty();
    if (dies) node->dead.store(true, std::memory_order_relaxed);
    hold.unlock();
    retire(old);
    if (dies) prune(node, hash);
    return true;
  }
}

// prune takes a dead node on the way of hash out of its parent, unless somebody has done so, and so on upwards.
void HashTrie::Inside::prune(Indirect* dead, uint64_t hash) {
  for (bool dies = true; dies;) {
    Indirect* parent = dead->parent;
    bool mine;
    {
      std::lock_guard hold(parent->lock);
      std::atomic<Node*>& slot = parent->slot(hash);
      mine = slot.load(std::memory_order_relaxed) == dead;
      if (mine) slot.store(nullptr, std::memory_order_release);
      dies = mine && parent->parent && parent->empty();
      if (dies) parent->dead.store(true, std::memory_order_relaxed);
    }
    if (mine) retire(dead);
    dead = parent;
  }
}

void HashTrie::Inside::clear() {
  Indirect* root = trie_.root_.exchange(nullptr, std::memory_order_acq_rel);
  if (!root) return;
  root->urgent = true;   // a whole tree
  retire(root);
}

void HashTrie::Inside::retire(Node* node) {
  if (trie_.epochs_.retire(ticket_, node)) look_ = true;
}

void HashTrie::reclaim(const Epochs::Ticket& ticket, bool look) {
  for (Epochs::Retired* over = epochs_.take_over(ticket, look); over;) give_up(static_cast<Node*>(std::exchange(over, over->next_retired)));
}

// A node goes with all that is below. An entry goes alone: those that it still leads to are in the trie, or have been retired themselves.
void HashTrie::give_up(Node* node) {
  if (node->is_entry) {
    release(static_cast<Entry*>(node));
    return;
  }
  auto* indirect = static_cast<Indirect*>(node);
  for (std::atomic<Node*>& slot : indirect->children) {
    Node* child = slot.load(std::memory_order_acquire);
    if (!child) continue;
    if (!child->is_entry) {
      give_up(child);
      continue;
    }
    for (auto* entry = static_cast<Entry*>(child); entry;) release(std::exchange(entry, entry->next.load(std::memory_order_acquire)));
  }
  delete indirect;
}

HashTrie::~HashTrie() {
  for (Epochs::Retired* all = epochs_.take_all(); all;) give_up(static_cast<Node*>(std::exchange(all, all->next_retired)));
  if (Indirect* root = root_.load(std::memory_order_acquire)) give_up(root);
}

int HashTrie::each(Node* node, int (*visit)(void*, Entry*), void* context) {
  for (std::atomic<Node*>& slot : static_cast<Indirect*>(node)->children) {
    Node* child = slot.load(std::memory_order_acquire);
    if (!child) continue;
    if (!child->is_entry) {
      if (int stop = each(child, visit, context)) return stop;
      continue;
    }
    for (auto* entry = static_cast<Entry*>(child); entry; entry = entry->next.load(std::memory_order_acquire)) {
      if (int stop = visit(context, entry)) return stop;
    }
  }
  return 0;
}

int HashTrie::for_each(int (*visit)(void*, Entry*), void* context) const {
  int stop = epochs_.for_each_retired([&](Epochs::Retired* retired) {
    auto* node = static_cast<Node*>(retired);
    return node->is_entry ? visit(context, static_cast<Entry*>(node)) : each(node, visit, context);
  });
  if (stop) return stop;
  Indirect* root = root_.load(std::memory_order_acquire);
  return root ? each(root, visit, context) : 0;
}

}  // namespace gort
