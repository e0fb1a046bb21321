// gort.Map: see sync_objects.h. A HashTrie of (key, value) pairs.
//
// Hashes are taken before, keys and values compared between visits of the trie: an entry that is compared is kept meanwhile, so that `==` may park, raise and
// use the map; a change then goes through only if what was compared is still there (hash_trie.h), else it is all done again. What is given up is
// given up after a visit. So no code of others ever runs inside, and whoever is inside neither parks nor detaches its state. That is why
//
//   while a collector looks (with the GIL held, or with all threads standing) nobody is inside          tp_traverse needs no lock
//   with a GIL nobody else is inside, ever                                                              what is taken out is given up at once
//
// Entries that a method keeps are not shown to the collector twice: they are the trie's too, or else count as owned from outside.
//
// Keys are equal as a dict's are: the same object, or `==`. A value that is set anew keeps its key, as in a dict.
#include <memory>
#include <utility>
#include <vector>

#include "equality.h"
#include "errors.h"
#include "gort/sync/hash_trie.h"
#include "gort/sync/map.h"
#include "python_lane.h"
#include "sync_objects.h"
#include "without_gil.h"

namespace gort::python {
namespace {

struct Item : HashTrie::Entry {
  Item(uint64_t hash, PyObject* k, PyObject* v) : Entry(hash), key(Py_NewRef(k)), value(Py_NewRef(v)) {}
  PyObject* const key;     // owned, both
  PyObject* const value;
};

void destroy(HashTrie::Entry* entry) {
  auto* item = static_cast<Item*>(entry);
  PyObject *key = item->key, *value = item->value;
  delete item;
  Py_DECREF(value);
  Py_DECREF(key);
}

// An entry that is not in the trie yet.
struct Destroy {
  void operator()(Item* item) const { destroy(item); }
};
using Fresh = std::unique_ptr<Item, Destroy>;

struct MapObject {
  PyObject_HEAD
  PyObject* weak_references;
  HashTrie trie;
};
HashTrie& trie_of(PyObject* self) { return reinterpret_cast<MapObject*>(self)->trie; }

bool hash_of(PyObject* key, uint64_t* hash) {
  if (Py_TYPE(key)->tp_hash == PyObject_HashNotImplemented) {
    PyErr_Format(errors::PanicError, "runtime error: hash of unhashable type %s", Py_TYPE(key)->tp_name);
    return false;
  }
  Py_hash_t plain = PyObject_Hash(key);
  *hash = mix(uint64_t(plain));
  return plain != -1;
}

// Where a key is, or is not: what one look at the list of its hash found. Everything here is kept.
class Place {
 public:
  explicit Place(HashTrie& trie) : trie_(trie) {}
  ~Place() { forget(); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  Item* item() const { return item_; }     // the key's, or null
  const Item* head() const { return first_; }   // of the list, if item is null

  // look looks for the key. False with an exception set (what `==` raised).
  bool look(PyObject* key, uint64_t hash) {
    forget();
    {
      HashTrie::Inside inside(trie_);
      HashTrie::Entry* head = inside.find(hash);
      for (HashTrie::Entry* entry = head; entry; entry = entry->next.load(std::memory_order_acquire)) {
        if (static_cast<Item*>(entry)->key != key) continue;
        keep(entry);
        item_ = first_;
        return true;
      }
      for (HashTrie::Entry* entry = head; entry; entry = entry->next.load(std::memory_order_acquire)) keep(entry);
    }
    if (!first_) return true;
    if (!compare(first_, key)) return false;
    for (size_t i = 0; !item_ && i < others_.size(); i++) {
      if (!compare(others_[i], key)) return false;
    }
    return true;
  }

 private:
  void keep(HashTrie::Entry* entry) {
    if (first_) {
      others_.push_back(static_cast<Item*>(entry));
    } else {
      first_ = static_cast<Item*>(entry);
    }
    HashTrie::keep(entry);
  }

  bool compare(Item* item, PyObject* key) {
    int same = PyObject_RichCompareBool(item->key, key, Py_EQ);
    if (same > 0) item_ = item;
    return same >= 0;
  }

  void forget() {
    item_ = nullptr;
    for (Item* item : std::exchange(others_, {})) trie_.release(item);
    if (Item* first = std::exchange(first_, nullptr)) trie_.release(first);
  }

  HashTrie& trie_;
  Item* first_ = nullptr;
  std::vector<Item*> others_;   // of the same hash: seldom any
  Item* item_ = nullptr;        // one of them
};

// The beginning of every method: its arguments are there, others may run first, the key has a hash. False with an exception set.
bool begin(const char* method, Py_ssize_t nargs, Py_ssize_t wanted, PyObject* const* args, uint64_t* hash) {
  if (nargs != wanted) {
    PyErr_Format(PyExc_TypeError, "%s: takes %zd argument%s, got %zd", method, wanted, wanted == 1 ? "" : "s", nargs);
    return false;
  }
  return operation() && hash_of(args[0], hash);
}

PyObject* pair(PyObject* value, bool flag) { return PyTuple_Pack(2, value, flag ? Py_True : Py_False); }
PyObject* nothing() { return pair(Py_None, false); }

// Puts value in the key's place as it was found. 1: done; 0: another was faster. Throws std::bad_alloc.
bool put(PyObject* self, const Place& place, uint64_t hash, PyObject* key, PyObject* value) {
  Fresh fresh(new Item(hash, place.item() ? place.item()->key : key, value));
  HashTrie::Inside inside(trie_of(self));
  bool done = place.item() ? inside.replace(place.item(), fresh.get()) : inside.insert(fresh.get(), place.head());
  if (done) (void)fresh.release();   // the trie's now
  return done;
}

bool take_out(PyObject* self, const Place& place) {
  HashTrie::Inside inside(trie_of(self));
  return inside.replace(place.item(), nullptr);
}

PyObject* map_load(PyObject* self, PyObject* key) try {
  uint64_t hash;
  if (!begin("load", 1, 1, &key, &hash)) return nullptr;
  Place place(trie_of(self));
  if (!place.look(key, hash)) return nullptr;
  return place.item() ? pair(place.item()->value, true) : nothing();
} catch (...) {
  return errors::translate();
}

PyObject* map_swap(PyObject* self, PyObject* const* args, Py_ssize_t nargs) try {
  uint64_t hash;
  if (!begin("swap", nargs, 2, args, &hash)) return nullptr;
  Place place(trie_of(self));
  do {
    if (!place.look(args[0], hash)) return nullptr;
  } while (!put(self, place, hash, args[0], args[1]));
  return place.item() ? pair(place.item()->value, true) : nothing();
} catch (...) {
  return errors::translate();
}

PyObject* map_store(PyObject* self, PyObject* const* args, Py_ssize_t nargs) try {
  uint64_t hash;
  if (!begin("store", nargs, 2, args, &hash)) return nullptr;
  Place place(trie_of(self));
  do {
    if (!place.look(args[0], hash)) return nullptr;
  } while (!put(self, place, hash, args[0], args[1]));
  Py_RETURN_NONE;
} catch (...) {
  return errors::translate();
}

PyObject* map_load_or_store(PyObject* self, PyObject* const* args, Py_ssize_t nargs) try {
  uint64_t hash;
  if (!begin("load_or_store", nargs, 2, args, &hash)) return nullptr;
  Place place(trie_of(self));
  for (;;) {
    if (!place.look(args[0], hash)) return nullptr;
    if (place.item()) return pair(place.item()->value, true);
    if (put(self, place, hash, args[0], args[1])) return pair(args[1], false);
  }
} catch (...) {
  return errors::translate();
}

// The value before, owned, or null without an exception set if the key is not there.
PyObject* pop(PyObject* self, PyObject* key, uint64_t hash) {
  Place place(trie_of(self));
  do {
    if (!place.look(key, hash) || !place.item()) return nullptr;
  } while (!take_out(self, place));
  return Py_NewRef(place.item()->value);
}

PyObject* map_load_and_delete(PyObject* self, PyObject* key) try {
  uint64_t hash;
  if (!begin("load_and_delete", 1, 1, &key, &hash)) return nullptr;
  PyObject* value = pop(self, key, hash);
  if (!value) return PyErr_Occurred() ? nullptr : nothing();
  PyObject* result = pair(value, true);
  Py_DECREF(value);
  return result;
} catch (...) {
  return errors::translate();
}

PyObject* map_delete(PyObject* self, PyObject* key) try {
  uint64_t hash;
  if (!begin("delete", 1, 1, &key, &hash)) return nullptr;
  PyObject* value = pop(self, key, hash);
  if (!value && PyErr_Occurred()) return nullptr;
  Py_XDECREF(value);
  Py_RETURN_NONE;
} catch (...) {
  return errors::translate();
}

// change is called with the place of a key whose value equals old, until it returns true.
template <class Change>
PyObject* if_equal(PyObject* self, PyObject* key, uint64_t hash, PyObject* old, Change change) {
  Place place(trie_of(self));
  for (;;) {
    if (!place.look(key, hash)) return nullptr;
    if (!place.item()) Py_RETURN_FALSE;
    int same = equal_values(place.item()->value, old);
    if (same < 0) return nullptr;
    if (same == 0) Py_RETURN_FALSE;
    if (change(place)) Py_RETURN_TRUE;
  }
}

PyObject* map_compare_and_swap(PyObject* self, PyObject* const* args, Py_ssize_t nargs) try {
  uint64_t hash;
  if (!begin("compare_and_swap", nargs, 3, args, &hash)) return nullptr;
  return if_equal(self, args[0], hash, args[1], [&](const Place& place) { return put(self, place, hash, args[0], args[2]); });
} catch (...) {
  return errors::translate();
}

PyObject* map_compare_and_delete(PyObject* self, PyObject* const* args, Py_ssize_t nargs) try {
  uint64_t hash;
  if (!begin("compare_and_delete", nargs, 2, args, &hash)) return nullptr;
  return if_equal(self, args[0], hash, args[1], [&](const Place& place) { return take_out(self, place); });
} catch (...) {
  return errors::translate();
}

void take_out_all(PyObject* self) {
  HashTrie::Inside inside(trie_of(self));
  inside.clear();
}

PyObject* map_clear_method(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  take_out_all(self);
  Py_RETURN_NONE;
}

// --- range

struct RangeObject {
  PyObject_HEAD
  PyObject* map;       // owned; null: it is over. These under the ObjectLock, where nothing is given up
  PyObject* pairs;     // owned; a tuple of those that share a hash, or null
  Py_ssize_t left;     // of them
  uint64_t next_hash;  // where to go on
};
RangeObject* as_range(PyObject* self) { return reinterpret_cast<RangeObject*>(self); }
PyTypeObject* range_type = nullptr;

PyObject* map_range(PyObject* self, PyObject*) {
  if (!operation()) return nullptr;
  PyObject* range = range_type->tp_alloc(range_type, 0);
  if (range) as_range(range)->map = Py_NewRef(self);
  return range;
}

// The pairs with the lowest hash from *hash on, which is set to where to go on, 0 if that was the highest: a tuple, or null without an exception set if there are
// none.
PyObject* next_pairs(HashTrie& trie, uint64_t* hash) {
  std::vector<Item*> items;
  bool memory = true;
  {
    HashTrie::Inside inside(trie);
    HashTrie::Entry* entry = inside.from(*hash);
    if (!entry) return nullptr;
    *hash = entry->hash + 1;
    try {
      for (; entry; entry = entry->next.load(std::memory_order_acquire)) {
        items.push_back(static_cast<Item*>(entry));
        HashTrie::keep(entry);
      }
    } catch (const std::bad_alloc&) {
      memory = false;
    }
  }
  PyObject* pairs = memory ? PyTuple_New(Py_ssize_t(items.size())) : PyErr_NoMemory();
  for (size_t i = 0; pairs && i < items.size(); i++) {
    PyObject* one = PyTuple_Pack(2, items[i]->key, items[i]->value);
    if (one) {
      PyTuple_SET_ITEM(pairs, Py_ssize_t(i), one);
    } else {
      Py_CLEAR(pairs);
    }
  }
  for (Item* item : items) trie.release(item);
  return pairs;
}

PyObject* range_next(PyObject* self) {
  if (!operation()) return nullptr;
  RangeObject* range = as_range(self);
  for (;;) {
    PyObject *map = nullptr, *next = nullptr, *done = nullptr;
    uint64_t hash = 0;
    {
      ObjectLock hold(self);
      if (range->pairs) {
        next = Py_NewRef(PyTuple_GET_ITEM(range->pairs, --range->left));
        if (range->left == 0) done = std::exchange(range->pairs, nullptr);
      } else if (range->map) {
        map = Py_NewRef(range->map);
        hash = range->next_hash;
      }
    }
    Py_XDECREF(done);
    if (!map) return next;   // null: it is over

    uint64_t next_hash = hash;
    PyObject* pairs = next_pairs(trie_of(map), &next_hash);
    Py_DECREF(map);
    if (!pairs && PyErr_Occurred()) return nullptr;
    PyObject* over = nullptr;
    {
      ObjectLock hold(self);
      if (range->map && !range->pairs && range->next_hash == hash) {   // nobody else has taken this step
        if (!pairs || next_hash == 0) over = std::exchange(range->map, nullptr);
        range->left = pairs ? PyTuple_GET_SIZE(pairs) : 0;
        range->pairs = std::exchange(pairs, nullptr);
        range->next_hash = next_hash;
      }
    }
    Py_XDECREF(pairs);
    Py_XDECREF(over);
  }
}

int range_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_range(self)->map);
  Py_VISIT(as_range(self)->pairs);
  return 0;
}

int range_clear(PyObject* self) {
  Py_CLEAR(as_range(self)->map);
  Py_CLEAR(as_range(self)->pairs);
  return 0;
}

void range_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  range_clear(self);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* range_repr(PyObject*) { return PyUnicode_FromString("<range of a Map>"); }

PyMethodDef range_methods[] = {{"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

PyType_Slot range_slots[] = {
    {Py_tp_doc, const_cast<char*>("What Map.range returns: an iterator over (key, value) pairs.")},
    {Py_tp_traverse, reinterpret_cast<void*>(range_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(range_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(range_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(range_repr)},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(range_next)},
    {Py_tp_methods, range_methods},
    {0, nullptr}};
PyType_Spec range_spec = {"gort.MapRange", sizeof(RangeObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, range_slots};

// --- the type

PyObject* map_new(PyTypeObject* type, PyObject* args, PyObject* keywords) {
  static const char* names[] = {nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, keywords, ":Map", const_cast<char**>(names))) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  try {
    new (&trie_of(self)) HashTrie(destroy);
  } catch (...) {
    PyObject_GC_UnTrack(self);
    type->tp_free(self);
    Py_DECREF(type);
    return errors::translate();
  }
  return self;
}

int map_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  struct Visit {
    visitproc visit;
    void* arg;
  } state{visit, arg};
  return trie_of(self).for_each(
      [](void* context, HashTrie::Entry* entry) {
        auto* s = static_cast<Visit*>(context);
        auto* item = static_cast<Item*>(entry);
        int stop = s->visit(item->key, s->arg);
        return stop ? stop : s->visit(item->value, s->arg);
      },
      &state);
}

int map_clear(PyObject* self) {
  take_out_all(self);
  return 0;
}

void map_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_TRASHCAN_BEGIN(self, map_dealloc)   // maps in maps
  if (reinterpret_cast<MapObject*>(self)->weak_references) PyObject_ClearWeakRefs(self);
  trie_of(self).~HashTrie();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
  Py_TRASHCAN_END
}

PyObject* map_subscript(PyObject* type, PyObject* item) { return Py_GenericAlias(type, item); }
PyObject* map_repr(PyObject*) { return PyUnicode_FromString("<Map>"); }

PyMethodDef map_methods[] = {
    {"load", map_load, METH_O, "load(k, /)\n--\n\nThe value of k: (value, True), or (None, False) if k is not there."},
    {"store", raw(map_store), METH_FASTCALL, "store(k, v, /)\n--\n\nSet the value of k to v."},
    {"load_or_store", raw(map_load_or_store), METH_FASTCALL,
     "load_or_store(k, v, /)\n--\n\nThe value of k if it is there: (value, True); else set it to v: (v, False). In one step: one of those who store wins."},
    {"load_and_delete", map_load_and_delete, METH_O,
     "load_and_delete(k, /)\n--\n\nTake k out: (value, True), or (None, False) if it is not there. In one step: one of those who delete gets it."},
    {"delete", map_delete, METH_O, "delete(k, /)\n--\n\nTake k out, if it is there."},
    {"swap", raw(map_swap), METH_FASTCALL,
     "swap(k, v, /)\n--\n\nSet the value of k to v, and return the one before in one step: (old, True), or (None, False) if there was none."},
    {"compare_and_swap", raw(map_compare_and_swap), METH_FASTCALL,
     "compare_and_swap(k, old, new, /)\n--\n\nSet the value of k to new if it equals old (`==`), in one step; tell whether it did. False if k is not there, whatever old is.\n"
     "PanicError if the value and old are of one type that has no hash (list, dict: Go's uncomparable types). What `==` raises is raised. The\n"
     "value stays then."},
    {"compare_and_delete", raw(map_compare_and_delete), METH_FASTCALL,
     "compare_and_delete(k, old, /)\n--\n\nTake k out if its value equals old, in one step; tell whether it did. Otherwise as compare_and_swap."},
    {"clear", map_clear_method, METH_NOARGS, "clear()\n--\n\nTake everything out."},
    {"range", map_range, METH_NOARGS,
     "range()\n--\n\nAn iterator over (key, value) pairs. No snapshot: no key comes twice; one that is there all the time comes, one that comes or goes meanwhile may; its\n"
     "value is one that it had meanwhile. In no order that means anything. Everything may be done to the map meanwhile, by anybody."},
    {"__class_getitem__", map_subscript, METH_O | METH_CLASS, "Map[K, V] is Map, with the types of keys and values told to type checkers."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyMemberDef map_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(MapObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot map_slots[] = {
    {Py_tp_doc, const_cast<char*>(
                    "Map()\n--\n\nA map that goroutines and threads use at once without a lock around it; Go's sync.Map. Every method is one step, and none parks. Keys are those of a\n"
                    "dict, compared as a dict does (the same object, or `==`); a key that has no hash is a PanicError with Go's text, and what `__hash__` or `__eq__`\n"
                    "raise is raised, with nothing changed. They are called with no lock held: they may do anything, also use the map.\n\n"
                    ">>> from gort import Map\n>>> ages = Map()\n>>> ages.store('gopher', 15)\n>>> ages.load('gopher'), ages.load('python')\n((15, True), (None, False))\n"
                    ">>> ages.compare_and_swap('gopher', 15, 16), ages.load_or_store('gopher', 0)\n(True, (16, True))\n>>> list(ages.range())\n[('gopher', 16)]")},
    {Py_tp_new, reinterpret_cast<void*>(map_new)},
    {Py_tp_traverse, reinterpret_cast<void*>(map_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(map_clear)},
    {Py_tp_dealloc, reinterpret_cast<void*>(map_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(map_repr)},
    {Py_tp_methods, map_methods},
    {Py_tp_members, map_members},
    {0, nullptr}};
PyType_Spec map_spec = {"gort.Map", sizeof(MapObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE, map_slots};

}  // namespace

bool add_map(PyObject* module) {
  range_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&range_spec));
  return range_type && add_type(module, &map_spec) != nullptr;
}

}  // namespace gort::python
