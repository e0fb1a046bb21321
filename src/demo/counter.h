// Counter: native goroutines that count words, fed through a typed channel.
//
//   std::shared_ptr<Counter> counter = Counter::start(4);
//   counter->submit("a\nb\na");       // parks while the channel is full
//   counter->finish();                // parks until everything is counted
//   counter->result();                // {("a", 2), ("b", 1)}
//
// A batch of words lives in malloc memory and its pointer goes through the channel. A worker counts a batch in a table of its own on the
// managed heap, then merges that into the common one under a Mutex; the small table is garbage then. A text of many batches wakes all
// workers at once, and they meet at the Mutex.
//
// Thread safety: every method, from any goroutine or thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gort/chan/typed_channel.h"
#include "gort/context/context.h"
#include "gort/heap/handle.h"
#include "gort/sync/mutex.h"
#include "gort/sync/wait_group.h"
#include "table.h"

namespace demo {

// Words, each ended by a newline.
struct Batch {
  uint32_t size;
  uint8_t bytes[];
};
struct FreeBatch {
  void operator()(Batch* batch) const { std::free(batch); }
};
using BatchPointer = std::unique_ptr<Batch, FreeBatch>;

class Counter {
 public:
  // start makes a counter with so many worker goroutines.
  static std::shared_ptr<Counter> start(int workers);

  // submit hands the words of a text, one on a line, to the workers. False if the counter was cancelled; then any part may be
  // missing. Throws Panic("send on closed channel") after finish.
  bool submit(std::string_view text);

  // finish tells the workers that no more comes and waits for them. A second call only waits.
  void finish();

  // cancel lets the workers end at the next batch. Does not park.
  void cancel() { context_->cancel(); }

  // result is every word with its count; exact after finish. A Mutex guards the table, so this may park.
  std::vector<std::pair<std::string, uint64_t>> result();

  uint64_t words() const { return words_.load(std::memory_order_relaxed); }
  uint64_t batches() const { return batches_done_.load(std::memory_order_relaxed); }

  // What the waits of contention reports are about.
  const void* lock_address() const { return &lock_; }
  const void* channel_address() const { return batches_.ref().get(); }

 private:
  Counter();
  void work();
  void merge(const Table& from);

  gort::Chan<BatchPointer> batches_;
  gort::ContextRef context_;
  gort::WaitGroup workers_;
  std::atomic<bool> finished_{false};
  std::atomic<uint64_t> words_{0};
  std::atomic<uint64_t> batches_done_{0};
  gort::Mutex lock_;
  gort::heap::Ref<Table> total_;   // guarded by lock_
};

}  // namespace demo
