#include "counter.h"

#include <mutex>
#include <new>

#include "gort/chan/select.h"
#include "gort/sched/go.h"
#include "gort/sched/world.h"

namespace demo {
namespace {

constexpr size_t kBatchBytes = 4096;
constexpr int64_t kQueued = 32;   // batches

BatchPointer make_batch(std::string_view words) {
  auto* batch = static_cast<Batch*>(std::malloc(sizeof(Batch) + words.size()));
  if (batch == nullptr) throw std::bad_alloc();
  batch->size = uint32_t(words.size());
  std::memcpy(batch->bytes, words.data(), words.size());
  return BatchPointer(batch);
}

// The first words of text, up to about a batch; whole lines.
std::string_view head(std::string_view text) {
  if (text.size() <= kBatchBytes) return text;
  size_t end = text.find('\n', kBatchBytes);
  return end == std::string_view::npos ? text : text.substr(0, end + 1);
}

}  // namespace

Counter::Counter() : batches_(kQueued), context_(gort::context::with_cancel(gort::context::background())) {
  gort::world::MutatorScope scope;
  total_ = gort::heap::Ref<Table>(Table::make(1024));
}

std::shared_ptr<Counter> Counter::start(int workers) {
  std::shared_ptr<Counter> counter(new Counter);
  counter->workers_.add(workers);
  for (int i = 0; i < workers; i++) {
    gort::go([counter] {
      struct Done {
        gort::WaitGroup& group;
        ~Done() { group.done(); }
      } done{counter->workers_};
      counter->work();
    });
  }
  return counter;
}

bool Counter::submit(std::string_view text) {
  while (!text.empty()) {
    std::string_view part = head(text);
    text.remove_prefix(part.size());
    BatchPointer batch = make_batch(part);
    gort::ChannelRef done = context_->done();
    // The channel owns the bytes of a pointer that was sent.
    gort::SelectCase cases[] = {{done.get(), gort::SelectCase::Recv, nullptr},
                                {batches_.ref().get(), gort::SelectCase::Send, &batch}};
    gort::Selected selected = gort::select(cases, 2, false);
    if (selected.outcome != gort::Outcome::Fired) gort::throw_outcome(selected.outcome);
    if (selected.index == 0) return false;
    (void)batch.release();
  }
  return context_->err() == gort::context::Err::None;
}

void Counter::finish() {
  if (!finished_.exchange(true)) batches_.close();
  workers_.wait();
}

void Counter::work() {
  gort::ChannelRef done = context_->done();
  for (;;) {
    Batch* batch = nullptr;
    gort::SelectCase cases[] = {{done.get(), gort::SelectCase::Recv, nullptr},
                                {batches_.ref().get(), gort::SelectCase::Recv, &batch}};
    gort::Selected selected = gort::select(cases, 2, false);
    if (selected.outcome != gort::Outcome::Fired) gort::throw_outcome(selected.outcome);
    if (selected.index == 0 || !selected.ok) return;
    BatchPointer owned(batch);
    Table* table = Table::make();
    uint64_t n = 0;
    for (const Word* word = split(owned->bytes, owned->size); word != nullptr; word = word->next) {
      table->add(*word, 1);
      n++;
    }
    merge(*table);
    words_.fetch_add(n, std::memory_order_relaxed);
    batches_done_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Counter::merge(const Table& from) {
  std::lock_guard hold(lock_);
  Table* total = total_.get();
  from.for_each([&](const Node& node) { total->add(node, node.count); });
}

std::vector<std::pair<std::string, uint64_t>> Counter::result() {
  std::vector<std::pair<std::string, uint64_t>> words;
  std::lock_guard hold(lock_);
  gort::world::MutatorScope scope;
  const Table* total = total_.get();
  words.reserve(total->size);
  total->for_each([&](const Node& node) {
    words.emplace_back(std::string(reinterpret_cast<const char*>(node.text.get()), node.length), node.count);
  });
  return words;
}

}  // namespace demo
