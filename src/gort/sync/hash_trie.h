// HashTrie is the concurrent hash trie under Map and gort.sync's Map: entries by their 64-bit hash, found without a lock. It knows nothing of keys and
// values; whoever derives from Entry does. Go's internal/sync/hashtriemap.go.
//
//   HashTrie::Inside inside(trie);
//   for (;;) {
//     HashTrie::Entry* head = inside.find(hash);                     // no lock: compare keys as you like
//     Item* found = the entry of head's list with the key;
//     if (found ? inside.replace(found, fresh) : inside.insert(fresh, head)) break;   // else somebody was faster: look again
//   }
//
// A node has 16 children, chosen by 4 bits of the hash, the highest first; a child is a node or a list of entries that agree in all 64 bits.
//
//   an entry's key, value and hash never change; a new value is a new entry in the same place of the list
//   a new key is put at the head of its list, and only if the head is still the one whose list was searched: so no key is there twice       (1)
//   who changes a slot or the list in it holds the lock of the slot's node; nobody ever holds two locks, and none while code of others runs   (2)
//   a node that lost its last child is dead: it never gets another one. Whoever meets a dead node takes it out of its parent and starts again    (3)
//   the root is never dead; an empty trie has none
//
// (1) is what lets keys be compared away from the lock: `==` of a user may do anything, also use this trie. An entry that was replaced or taken out is
// never put in again, and not freed while somebody keeps it, so an equal address is the same entry.
// (3): who walks through a dead node sees a moment, not before its own beginning, in which nothing was below.
//
// Memory: an entry belongs to its owners, which are counted: the trie, and whoever keeps it over something longer than a visit. What is taken out (entries, dead
// nodes, the whole tree by clear) is retired, and given up when nobody is inside who may have found it (base/epochs.h), at the latest
// when the last of those leaves who are inside now, unless it is done in batches. Whoever leaves last runs the destructors of entries, after leaving, with no lock held.
//
// Thread safety: any goroutine or thread. Nothing parks. Locks are held for a walk over one list and, when two hashes first collide, the making of
// up to 15 nodes.
//
// Rejected: Go's way of pruning, which locks child and parent together; two locks of one rank, for the same result. Rejected: a table with locks per bucket
// (a reader writes to the lock's line, growing stops everybody). Rejected: a seed per map: hashes are mixed (map.h), those of Python's
// strings are seeded already, and the order of range repeats in an explored run.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/epochs.h"

namespace gort {

class HashTrie {
  struct Node : Epochs::Retired {
    explicit Node(bool entry) : is_entry(entry) {}
    const bool is_entry;
  };
  struct Indirect;

 public:
  struct Entry : Node {
    explicit Entry(uint64_t hash_of_key) : Node(true), hash(hash_of_key) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    std::atomic<uint32_t> owners{1};
    const uint64_t hash;
    std::atomic<Entry*> next{nullptr};   // of the same hash
  };

  // destroy ends an entry that nobody owns any more. No lock is held; it may do anything, also use the trie.
  using Destroy = void (*)(Entry*);
  // batch: as Epochs says; above 1 only if destroy does nothing but give memory back.
  explicit HashTrie(Destroy destroy, uint32_t batch = 1) : destroy_(destroy), epochs_(batch) {}
  ~HashTrie();   // gives up all entries. REQUIRES: nobody is inside
  HashTrie(const HashTrie&) = delete;
  HashTrie& operator=(const HashTrie&) = delete;

  // Inside is a visit: what it finds stays readable while it lives. Its end may run destructors of entries that others took out.
  // Parking inside is allowed, and keeps what is taken out meanwhile from being freed.
  class Inside {
   public:
    explicit Inside(HashTrie& trie) : trie_(trie), ticket_(trie.epochs_.enter()) {}
    ~Inside() {
      if (trie_.epochs_.leave(ticket_) || look_) trie_.reclaim(ticket_, look_);
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    // find returns the first entry with that hash, or null; the others are linked by next.
    Entry* find(uint64_t hash) const;

    // from returns the first entry of those with the lowest hash that is not below `hash`, or null. Entries of one hash are linked by next.
    Entry* from(uint64_t hash) const;

    // insert puts fresh, which the trie owns from now on, at the head of the list of its hash if that is still `head` (null: there is none), as find
    // said, in this visit or while head was kept. Throws std::bad_alloc with nothing changed.
    [[nodiscard]] bool insert(Entry* fresh, const Entry* head);

    // replace puts fresh (null: nothing) in the place of `old` if that is still in the trie. REQUIRES: equal hashes; old is kept, or was found in this visit.
    [[nodiscard]] bool replace(Entry* old, Entry* fresh);

    // clear takes everything out. An insert or replace that is under way may still go to what was taken out: it counts as done before.
    void clear();

   private:
    void retire(Node* node);
    void prune(Indirect* dead, uint64_t hash);

    HashTrie& trie_;
    const Epochs::Ticket ticket_;
    bool look_ = false;   // at what is retired
  };

  // keep makes the caller an owner of an entry that it has found in a visit that goes on; release gives that up, and may destroy it.
  static void keep(Entry* entry) { entry->owners.fetch_add(1, std::memory_order_relaxed); }
  void release(Entry* entry) {
    if (entry->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_(entry);
  }

  // for_each calls visit(context, entry) for every entry that the trie owns, also those that it has retired, until one returns non-zero, which it returns. REQUIRES:
  // nobody is inside (tp_traverse, with the GIL held or the world stopped).
  int for_each(int (*visit)(void* context, Entry* entry), void* context) const;

 private:
  friend class Inside;

  void reclaim(const Epochs::Ticket& ticket, bool look);
  void give_up(Node* node);
  static int each(Node* node, int (*visit)(void*, Entry*), void* context);
  static Node* make_room(Entry* there, Entry* fresh, Indirect* parent);
  static Entry* first(Indirect* node, uint64_t hash);

  const Destroy destroy_;
  std::atomic<Indirect*> root_{nullptr};
  Epochs epochs_;
};

}  // namespace gort
