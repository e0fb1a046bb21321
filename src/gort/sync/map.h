// Map is a map that any number of goroutines and threads use at once, without a lock around it: Go's sync.Map.
//
//   gort::Map<std::string, int> ages;
//   ages.store("gopher", 15);
//   std::optional<int> age = ages.load("gopher");
//   auto [value, loaded] = ages.load_or_store("python", 34);     // 34, false
//   ages.range([](const std::string& name, int age) { ...; return true; });
//
// Thread safety: every method, from any goroutine or thread, also from range's function. Nothing parks, except as every operation at a safe point. Each
// operation is one step: of those that compete for one key (compare_and_swap, load_and_delete, load_or_store) exactly one gets it.
//
// Loads take no lock. Keys and values are compared and copied with no lock held, and what they throw is thrown with nothing changed. A value that was replaced or
// removed ends when nobody reads it any more, in whatever operation of the map comes last then, at the latest at the map's end: destructors must not throw.
// Where K and V have none their memory is given back in batches of kBatch, a few of which may be kept for each CPU.
//
// Rejected: a std::unordered_map under an RWMutex: all readers write to one line, and a writer stops them all.
//
// K and V are copied; what is not cheap to copy goes into a std::shared_ptr<const T>. Hash gives 64 good bits, the high ones above all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "gort/sched/world.h"
#include "gort/sync/hash_trie.h"

namespace gort {

// mix spreads the bits of a hash (std::hash of a number is the number). Different ones stay different.
inline uint64_t mix(uint64_t hash) {
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccd;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53;
  return hash ^ hash >> 33;
}

template <class K>
struct MixedHash {
  uint64_t operator()(const K& key) const { return mix(uint64_t(std::hash<K>()(key))); }
};

template <class K, class V, class Hash = MixedHash<K>>
class Map {
 public:
  Map() : trie_([](HashTrie::Entry* entry) { delete static_cast<Item*>(entry); }, kBatch) {}

  // load returns the key's value, or nothing.
  std::optional<V> load(const K& key) const {
    world::safe_point();
    uint64_t hash = Hash()(key);
    HashTrie::Inside inside(trie_);
    Item* item = search(inside.find(hash), key);
    return item ? std::optional<V>(item->value) : std::nullopt;
  }

  void store(const K& key, V value) { exchange(key, std::move(value), [](const V&) {}); }

  // swap sets the key's value and returns the one before, or nothing.
  std::optional<V> swap(const K& key, V value) {
    std::optional<V> before;
    exchange(key, std::move(value), [&](const V& old) { before.emplace(old); }, [&] { before.reset(); });
    return before;
  }

  // load_or_store returns the key's value and true, or sets it to `value` and returns that and false.
  std::pair<V, bool> load_or_store(const K& key, V value) {
    world::safe_point();
    uint64_t hash = Hash()(key);
    std::unique_ptr<Item> fresh;
    HashTrie::Inside inside(trie_);
    for (;;) {
      HashTrie::Entry* head = inside.find(hash);
      if (Item* item = search(head, key)) return {item->value, true};
      if (!fresh) fresh = std::make_unique<Item>(hash, key, value);
      if (inside.insert(fresh.get(), head)) {
        (void)fresh.release();   // the trie's now
        return {std::move(value), false};
      }
    }
  }

  // load_and_delete removes the key and returns its value, or nothing.
  std::optional<V> load_and_delete(const K& key) {
    std::optional<V> before;
    bool deleted = take_out(key, [&](const V& value) {
      before.emplace(value);
      return true;
    });
    if (!deleted) before.reset();   // somebody else was faster
    return before;
  }

  void remove(const K& key) {   // Go's Delete
    take_out(key, [](const V&) { return true; });
  }

  // compare_and_swap sets the key's value to `next` if it equals `old` (==); tells whether it did. False if the key is not there.
  bool compare_and_swap(const K& key, const V& old, V next) {
    world::safe_point();
    uint64_t hash = Hash()(key);
    std::unique_ptr<Item> fresh;
    HashTrie::Inside inside(trie_);
    for (;;) {
      Item* item = search(inside.find(hash), key);
      if (!item || !(item->value == old)) return false;
      if (!fresh) fresh = std::make_unique<Item>(hash, key, std::move(next));
      if (inside.replace(item, fresh.get())) {
        (void)fresh.release();   // the trie's now
        return true;
      }
    }
  }

  // compare_and_delete removes the key if its value equals `old` (==); tells whether it did.
  bool compare_and_delete(const K& key, const V& old) {
    return take_out(key, [&](const V& value) { return value == old; });
  }

  // range calls visit(key, value) for the keys, each at most once, until it returns false (or returns nothing: for all). No snapshot: a key that is there all the time
  // is visited, one that comes or goes meanwhile may be. In the order of hashes. visit may do anything, also park and use the map.
  template <class F>
  void range(F visit) const {
    std::vector<Item*> items;
    struct Release {
      HashTrie& trie;
      std::vector<Item*>& items;
      ~Release() {
        for (Item* item : items) trie.release(item);
      }
    };
    for (uint64_t hash = 0;;) {
      world::safe_point();
      items.clear();
      Release release{trie_, items};
      {
        HashTrie::Inside inside(trie_);
        HashTrie::Entry* entry = inside.from(hash);
        if (!entry) return;
        hash = entry->hash + 1;
        for (; entry; entry = entry->next.load(std::memory_order_acquire)) {
          items.push_back(static_cast<Item*>(entry));
          HashTrie::keep(entry);
        }
      }
      for (Item* item : items) {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, const K&, const V&>>) {
          visit(std::as_const(item->key), std::as_const(item->value));
        } else {
          if (!visit(std::as_const(item->key), std::as_const(item->value))) return;
        }
      }
      if (hash == 0) return;   // that was the highest
    }
  }

  // clear removes all keys.
  void clear() {
    world::safe_point();
    HashTrie::Inside inside(trie_);
    inside.clear();
  }

 private:
  struct Item : HashTrie::Entry {
    template <class Value>
    Item(uint64_t hash, const K& k, Value&& v) : Entry(hash), key(k), value(std::forward<Value>(v)) {}
    const K key;
    const V value;
  };

  static constexpr uint32_t kBatch = std::is_trivially_destructible_v<K> && std::is_trivially_destructible_v<V> ? 32 : 1;

  static Item* search(HashTrie::Entry* entry, const K& key) {
    while (entry && !(static_cast<Item*>(entry)->key == key)) entry = entry->next.load(std::memory_order_acquire);
    return static_cast<Item*>(entry);
  }

  // Sets the value. had(old) sees the one that is to be replaced, before it is; none() takes that back when somebody else was faster.
  template <class Had, class None>
  void exchange(const K& key, V value, Had had, None none) {
    world::safe_point();
    uint64_t hash = Hash()(key);
    auto fresh = std::make_unique<Item>(hash, key, std::move(value));
    HashTrie::Inside inside(trie_);
    for (;;) {
      HashTrie::Entry* head = inside.find(hash);
      Item* item = search(head, key);
      if (item) had(item->value);
      if (item ? inside.replace(item, fresh.get()) : inside.insert(fresh.get(), head)) break;
      none();
    }
    (void)fresh.release();   // the trie's now
  }
  template <class Had>
  void exchange(const K& key, V value, Had had) {
    exchange(key, std::move(value), had, [] {});
  }

  // Removes the key if wanted(value); tells whether it did.
  template <class Wanted>
  bool take_out(const K& key, Wanted wanted) {
    world::safe_point();
    uint64_t hash = Hash()(key);
    HashTrie::Inside inside(trie_);
    for (;;) {
      Item* item = search(inside.find(hash), key);
      if (!item || !wanted(item->value)) return false;
      if (inside.replace(item, nullptr)) return true;
    }
  }

  mutable HashTrie trie_;
};

}  // namespace gort
