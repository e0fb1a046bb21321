#include "gort/observe/lock_check.h"

#include <algorithm>
#include <mutex>
#include <new>

namespace gort::observe {

LockCheck::~LockCheck() {
  clear_locked();
  while (Holding* h = spare_) {
    spare_ = h->next_in_bucket;
    delete h;
  }
}

// ---------------------------------------------------------------- what there is

void LockCheck::clear() {
  auto stacks = std::make_shared<CallStacks>();   // before the lock: it is large
  {
    std::lock_guard hold(lock_);
    clear_locked();
    std::swap(stacks, stacks_);
  }
}   // not before: the old table releases what its stacks own

void LockCheck::clear_locked() {
  for (Holding*& bucket : buckets_) {
    while (Holding* h = bucket) {
      bucket = h->next_in_bucket;
      delete h;
    }
  }
  records_.clear();
  waits_.clear();
  reported_.clear();
  reporting_.clear();
  last_number_ = 0;
}

void LockCheck::after_fork_in_child() {
  new (&lock_) SpinLock(LockRank::Leaf);
  clear_locked();
  if (stacks_) stacks_->after_fork_in_child();
}

std::shared_ptr<CallStacks> LockCheck::stacks() const {
  std::lock_guard hold(lock_);
  return stacks_;
}

LockCheck::Record* LockCheck::find(const void* lock) const {
  auto found = records_.find(lock);
  return found == records_.end() ? nullptr : found->second.get();
}

LockCheck::Record& LockCheck::record_of(const LockName& lock) {
  std::unique_ptr<Record>& record = records_[lock.address];
  if (!record) {
    record = std::make_unique<Record>();
    record->name = lock;
    record->name.number = ++last_number_;
  }
  return *record;
}

LockName LockCheck::name(const LockName& lock) {
  std::lock_guard hold(lock_);
  return record_of(lock).name;
}

template <class F>
void LockCheck::for_each_holding(uint64_t goroutine, F visit) const {
  for (Holding* h = buckets_[goroutine % kBuckets]; h; h = h->next_in_bucket) {
    if (h->goroutine == goroutine) visit(*h);
  }
}

const LockCheck::Holding* LockCheck::holding(uint64_t goroutine, const void* lock) const {
  const Holding* found = nullptr;
  for_each_holding(goroutine, [&](Holding& h) {
    if (h.record->name.address == lock) found = &h;
  });
  return found;
}

void LockCheck::taken(uint64_t goroutine, const LockName& lock, Hold how, StackId where) {
  if (goroutine == 0) return;
  std::lock_guard hold(lock_);
  Record& record = record_of(lock);
  Holding* h = spare_;
  if (h) spare_ = h->next_in_bucket;
  else h = new Holding;
  *h = {goroutine, &record, how, where, buckets_[goroutine % kBuckets], record.holdings};
  buckets_[goroutine % kBuckets] = h;
  record.holdings = h;
}

// Takes out what *link, in its record's list, points to.
void LockCheck::drop(Holding** link) {
  Holding* h = *link;
  *link = h->next_of_record;
  Holding** in_bucket = &buckets_[h->goroutine % kBuckets];
  while (*in_bucket != h) in_bucket = &(*in_bucket)->next_in_bucket;
  *in_bucket = h->next_in_bucket;
  h->next_in_bucket = spare_;
  spare_ = h;
}

void LockCheck::released(uint64_t goroutine, const void* lock, Hold how) {
  std::lock_guard hold(lock_);
  Record* record = find(lock);
  if (!record) return;
  Holding** found = nullptr;
  for (Holding** link = &record->holdings; *link; link = &(*link)->next_of_record) {
    if ((*link)->how != how) continue;
    if (!found || (*link)->goroutine == goroutine) found = link;
    if ((*link)->goroutine == goroutine) break;
  }
  if (!found) return;
  if ((*found)->goroutine != goroutine && !record->handed) {
    record->handed = true;
    for (auto& [to, edge] : record->out) to->in.erase(record);
    record->out.clear();
  }
  drop(found);
}

void LockCheck::gone(const void* lock) {
  std::lock_guard hold(lock_);
  Record* record = find(lock);
  if (!record) return;
  while (record->holdings) drop(&record->holdings);
  for (auto& [to, edge] : record->out) to->in.erase(record);
  for (Record* from : record->in) from->out.erase(record);
  records_.erase(lock);
}

bool LockCheck::begin_report(uint64_t goroutine) {
  std::lock_guard hold(lock_);
  return reporting_.insert(goroutine).second;
}

void LockCheck::end_report(uint64_t goroutine) {
  std::lock_guard hold(lock_);
  reporting_.erase(goroutine);
}

// ---------------------------------------------------------------- orders

std::vector<LockCheck::Gate> LockCheck::gates(uint64_t goroutine, const Record* from, const Record* to) const {
  std::vector<Gate> all;
  for_each_holding(goroutine, [&](Holding& h) {
    if (h.record != from && h.record != to && !h.record->handed) all.push_back({h.record->name.number, h.how});
  });
  return all;
}

// Whatever cycle the fresh one makes, the known one makes too.
bool LockCheck::covers(const Sighting& known, const Sighting& fresh) {
  if (known.from < fresh.from || known.to < fresh.to) return false;
  return std::ranges::all_of(known.gates, [&](const Gate& gate) {
    return std::ranges::any_of(fresh.gates, [&](const Gate& g) { return g.first == gate.first && g.second >= gate.second; });
  });
}

bool LockCheck::is_new(uint64_t goroutine, const LockName& lock, Hold how, bool again) {
  std::lock_guard hold(lock_);
  if (goroutine == 0 || (!reporting_.empty() && reporting_.contains(goroutine))) return false;
  bool fresh = false, itself = false;
  Record* to = &record_of(lock);
  for_each_holding(goroutine, [&](Holding& h) {
    if (h.record == to) itself = true;
    if (fresh || h.record == to || h.record->handed) return;
    auto edge = h.record->out.find(to);
    if (edge == h.record->out.end() || edge->second.empty()) {
      fresh = true;
      return;
    }
    const Sighting& first = edge->second.front();
    if (first.gates.empty() && first.from >= h.how && first.to >= how) return;   // nearly always
    Sighting now{h.how, how, gates(goroutine, h.record, to), goroutine, 0, 0};
    fresh = std::ranges::none_of(edge->second, [&](const Sighting& known) { return covers(known, now); }) && edge->second.size() < kMostSightings;
  });
  if (itself && !again) return false;   // a wait, no order
  if (fresh || how == Hold::Shared || to->written) return fresh;
  if (!to->out.empty()) return true;   // it may complete a cycle of readers
  to->written = true;
  return false;
}

std::vector<LockFault> LockCheck::order(uint64_t goroutine, const LockName& lock, Hold how, StackId wants) {
  std::vector<LockFault> faults;
  std::lock_guard hold(lock_);
  Record* to = &record_of(lock);
  std::vector<std::pair<Record*, size_t>> fresh;   // the edge from there to `to`, and its sighting
  for_each_holding(goroutine, [&](Holding& h) {
    if (h.record == to || h.record->handed) return;
    Sighting now{h.how, how, gates(goroutine, h.record, to), goroutine, h.where, wants};
    Edge& edge = h.record->out[to];
    to->in.insert(h.record);
    if (std::ranges::any_of(edge, [&](const Sighting& known) { return covers(known, now); })) return;
    std::erase_if(edge, [&](const Sighting& known) { return covers(now, known); });
    if (edge.size() == kMostSightings) return;
    edge.push_back(std::move(now));
    fresh.push_back({h.record, edge.size() - 1});
  });
  for (auto [from, i] : fresh) search(from, to, from->out[to][i], faults);
  if (how == Hold::Exclusive && !std::exchange(to->written, true)) {
    for (auto& [next, edge] : to->out) {
      for (const Sighting& seen : edge) search(to, next, seen, faults);
    }
  }
  return faults;
}

// Two that hold that much cannot both be there at one time.
bool LockCheck::exclude(const Step& a, const Step& b) {
  auto clash = [](const Gate& x, const Gate& y) { return x.first == y.first && (x.second == Hold::Exclusive || y.second == Hold::Exclusive); };
  Gate from_a{a.from->name.number, a.seen->from}, from_b{b.from->name.number, b.seen->from};
  auto in = [&](const Gate& gate, const std::vector<Gate>& all) { return std::ranges::any_of(all, [&](const Gate& g) { return clash(g, gate); }); };
  if (clash(from_a, from_b) || in(from_a, b.seen->gates) || in(from_b, a.seen->gates)) return true;
  return std::ranges::any_of(a.seen->gates, [&](const Gate& gate) { return in(gate, b.seen->gates); });
}

bool LockCheck::blocks(const Record& at, Hold wanted, Hold held) {
  return wanted == Hold::Exclusive || held == Hold::Exclusive || at.written;
}

bool LockCheck::reaches(Record* from, const Record* to) {
  std::unordered_set<Record*> seen{from};
  std::vector<Record*> pending{from};
  while (!pending.empty()) {
    Record* at = pending.back();
    pending.pop_back();
    if (at == to) return true;
    for (auto& [next, edge] : at->out) {
      if (seen.insert(next).second) pending.push_back(next);
    }
  }
  return false;
}

// Makes the path, which ends somewhere, a cycle of that length.
bool LockCheck::close(std::vector<Step>& path, size_t length, size_t& steps) const {
  const Step last = path.back();
  for (auto& [next, edge] : last.to->out) {
    bool closes = next == path.front().from;
    if (closes != (path.size() + 1 == length)) continue;
    if (!closes && std::ranges::any_of(path, [&](const Step& s) { return s.from == next || s.to == next; })) continue;
    for (const Sighting& seen : edge) {
      if (++steps > kMostSteps) return false;
      Step step{last.to, next, &seen};
      if (!blocks(*last.to, last.seen->to, seen.from) || (closes && !blocks(*next, seen.to, path.front().seen->from))) continue;
      if (std::ranges::any_of(path, [&](const Step& s) { return exclude(s, step); })) continue;
      path.push_back(step);
      if (closes || close(path, length, steps)) return true;
      path.pop_back();
    }
  }
  return false;
}

void LockCheck::search(Record* from, Record* to, const Sighting& seen, std::vector<LockFault>& faults) {
  if (!reaches(to, from)) return;
  size_t steps = 0;
  std::vector<Step> path{{from, to, &seen}};
  for (size_t length = 2; length <= kLongest && steps <= kMostSteps; length++) {   // the shortest says most
    path.resize(1);
    if (!close(path, length, steps)) continue;
    std::vector<uint64_t> numbers;
    LockFault fault{LockFault::Kind::Order, {}};
    for (const Step& step : path) {
      numbers.push_back(step.from->name.number);
      fault.uses.push_back({step.seen->goroutine, step.from->name, step.seen->from, step.seen->taken, step.to->name, step.seen->to, step.seen->wants});
    }
    std::ranges::sort(numbers);
    if (reported_.insert(std::move(numbers)).second) faults.push_back(std::move(fault));
    return;
  }
}

// ---------------------------------------------------------------- waits

void LockCheck::waits(uint64_t goroutine, const LockName& lock, Hold how, StackId where, Nanos since) {
  if (goroutine == 0) return;
  std::lock_guard hold(lock_);
  waits_[goroutine] = {record_of(lock).name, how, where, since};
}

void LockCheck::waited(uint64_t goroutine) {
  std::lock_guard hold(lock_);
  waits_.erase(goroutine);
}

// Whether `goroutine` waits for `start`, by way of others or at once. path: the goroutines from `goroutine` on, each waiting for the next one.
bool LockCheck::blocked_by_itself(uint64_t start, uint64_t goroutine, Nanos since, std::vector<uint64_t>& path,
                                  std::unordered_set<uint64_t>& seen) const {
  auto wait = waits_.find(goroutine);
  if (wait == waits_.end() || wait->second.since > since || wait->second.reported) return false;
  const Record* record = find(wait->second.lock.address);
  if (!record || record->handed) return false;
  std::vector<uint64_t> blockers;
  for (const Holding* h = record->holdings; h; h = h->next_of_record) {
    if (wait->second.how == Hold::Exclusive || h->how == Hold::Exclusive) blockers.push_back(h->goroutine);
  }
  if (wait->second.how == Hold::Shared) {
    for (auto& [other, w] : waits_) {
      if (other != goroutine && w.how == Hold::Exclusive && w.lock.address == wait->second.lock.address) blockers.push_back(other);
    }
  }
  path.push_back(goroutine);
  if (std::ranges::find(blockers, start) != blockers.end()) return true;
  for (uint64_t blocker : blockers) {
    if (seen.insert(blocker).second && blocked_by_itself(start, blocker, since, path, seen)) return true;
  }
  path.pop_back();
  return false;
}

LockFault LockCheck::describe(const std::vector<uint64_t>& path) {
  LockFault fault{LockFault::Kind::Deadlock, {}};
  for (size_t i = 0; i < path.size(); i++) {
    const Wait& before = waits_.at(path[i == 0 ? path.size() - 1 : i - 1]);   // which this one blocks
    const Wait& wait = waits_.at(path[i]);
    LockUse use{path[i], {}, Hold::Exclusive, 0, wait.lock, wait.how, wait.where};
    if (const Holding* h = holding(path[i], before.lock.address)) {
      use.held = h->record->name;
      use.held_how = h->how;
      use.taken = h->where;
    }
    fault.uses.push_back(use);
  }
  const LockUse& first = fault.uses[0];
  if (path.size() == 1) {
    fault.kind = first.held_how == Hold::Shared ? LockFault::Kind::Upgrade : LockFault::Kind::Reentry;
  } else if (path.size() == 2 && first.wanted.address == fault.uses[1].wanted.address) {
    fault.kind = LockFault::Kind::RecursiveRead;
    if (first.wanted_how == Hold::Exclusive) std::swap(fault.uses[0], fault.uses[1]);
  }
  return fault;
}

std::vector<LockFault> LockCheck::stuck(Nanos since) {
  std::vector<LockFault> faults;
  std::lock_guard hold(lock_);
  std::vector<uint64_t> waiting;   // in an order that is the same each time
  for (auto& [goroutine, wait] : waits_) waiting.push_back(goroutine);
  std::ranges::sort(waiting);
  for (uint64_t goroutine : waiting) {
    std::vector<uint64_t> path;
    std::unordered_set<uint64_t> seen;
    if (!blocked_by_itself(goroutine, goroutine, since, path, seen)) continue;
    faults.push_back(describe(path));
    for (uint64_t one : path) waits_.at(one).reported = true;
  }
  return faults;
}

}  // namespace gort::observe
