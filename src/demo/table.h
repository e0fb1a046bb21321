// Table: how often each word occurs, as objects of the managed heap.
//
//   Table* table = Table::make();
//   for (const Word* w = split(text, size); w != nullptr; w = w->next) table->add(*w, 1);
//
// Chained hashing; the buckets double when there are as many words as buckets, and the old array is garbage. The words of a text are a list
// of objects on the heap too, as in a program that splits a string, so most of what is allocated is garbage soon.
//
// Thread safety: none. REQUIRES, for everything here: a native goroutine, or world::MutatorScope.
#pragma once

#include <cstdint>
#include <cstring>

#include "gort/heap/object.h"

namespace demo {

namespace heap = gort::heap;

// FNV-1a, with its weak low bits mixed.
inline uint64_t hash_of(const uint8_t* word, uint32_t length) {
  uint64_t h = 0xcbf29ce484222325;
  for (uint32_t i = 0; i < length; i++) h = (h ^ word[i]) * 0x100000001b3;
  return h ^ h >> 29;
}

struct Word {
  heap::Pointer<Word> next;
  heap::Pointer<const uint8_t> text;
  uint64_t hash = 0;
  uint32_t length = 0;
  static auto heap_pointers() { return heap::pointers(&Word::next, &Word::text); }
};

// split cuts a text into words, each ended by a newline; the last one comes first.
inline Word* split(const uint8_t* text, uint32_t size) {
  Word* words = nullptr;
  const uint8_t* end = text + size;
  while (text < end) {
    auto* stop = static_cast<const uint8_t*>(std::memchr(text, '\n', size_t(end - text)));
    if (stop == nullptr) stop = end;
    auto length = uint32_t(stop - text);
    auto* copy = heap::make_array<uint8_t>(length);
    std::memcpy(copy, text, length);
    auto* word = heap::make<Word>();
    word->next = words;
    word->text = copy;
    word->hash = hash_of(copy, length);
    word->length = length;
    words = word;
    text = stop + 1;
  }
  return words;
}

struct Node {
  heap::Pointer<Node> next;
  heap::Pointer<const uint8_t> text;
  uint64_t hash = 0;
  uint64_t count = 0;
  uint32_t length = 0;
  static auto heap_pointers() { return heap::pointers(&Node::next, &Node::text); }
};

struct Table {
  using Bucket = heap::Pointer<Node>;
  heap::Pointer<Bucket> buckets;
  uint64_t capacity = 0;   // a power of two
  uint64_t size = 0;
  static auto heap_pointers() { return heap::pointers(&Table::buckets); }

  static Table* make(uint64_t capacity = 64) {
    Bucket* buckets = heap::make_array<Bucket>(capacity);
    auto* table = heap::make<Table>();
    table->buckets = buckets;
    table->capacity = capacity;
    return table;
  }

  // add counts a word n times more: a Word, or a Node of another table. Its bytes are shared.
  template <class W>
  void add(const W& word, uint64_t n) {
    for (Node* node = bucket(word.hash); node != nullptr; node = node->next) {
      if (node->hash == word.hash && node->length == word.length && std::memcmp(node->text.get(), word.text.get(), word.length) == 0) {
        node->count += n;
        return;
      }
    }
    if (size == capacity) grow();
    auto* node = heap::make<Node>();
    node->text = word.text;
    node->hash = word.hash;
    node->length = word.length;
    node->count = n;
    Bucket& first = bucket(node->hash);
    node->next = first;
    first = node;
    size++;
  }

  template <class F>
  void for_each(F visit) const {
    for (uint64_t i = 0; i < capacity; i++) {
      for (const Node* node = buckets.get()[i]; node != nullptr; node = node->next) visit(*node);
    }
  }

 private:
  Bucket& bucket(uint64_t hash) { return buckets.get()[hash & (capacity - 1)]; }

  void grow() {
    Bucket* old = buckets;
    uint64_t old_capacity = capacity;
    buckets = heap::make_array<Bucket>(old_capacity * 2);
    capacity = old_capacity * 2;
    for (uint64_t i = 0; i < old_capacity; i++) {
      for (Node* node = old[i]; node != nullptr;) {
        Node* next = node->next;
        Bucket& first = bucket(node->hash);
        node->next = first;
        first = node;
        node = next;
      }
    }
  }
};

}  // namespace demo
