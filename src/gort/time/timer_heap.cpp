#include "gort/time/timer_heap.h"

#include <mutex>
#include <new>
#include <utility>

namespace gort {

void TimerHeap::place(size_t i, Entry entry) {
  entries_[i] = entry;
  entry.timer->slot_ = uint32_t(i);
}

void TimerHeap::sift_up(size_t i) {
  Entry moving = entries_[i];
  while (i > 0) {
    size_t parent = (i - 1) / 4;
    if (entries_[parent].when <= moving.when) break;
    place(i, entries_[parent]);
    i = parent;
  }
  place(i, moving);
}

void TimerHeap::sift_down(size_t i) {
  Entry moving = entries_[i];
  for (;;) {
    size_t first = 4 * i + 1, last = first + 4;
    if (first >= entries_.size()) break;
    if (last > entries_.size()) last = entries_.size();
    size_t least = first;
    for (size_t c = first + 1; c < last; c++) {
      if (entries_[c].when < entries_[least].when) least = c;
    }
    if (entries_[least].when >= moving.when) break;
    place(i, entries_[least]);
    i = least;
  }
  place(i, moving);
}

void TimerHeap::erase(size_t i) {
  Entry last = entries_.back();
  entries_.pop_back();
  if (i == entries_.size()) return;
  bool up = i > 0 && last.when < entries_[(i - 1) / 4].when;
  place(i, last);
  if (up) sift_up(i); else sift_down(i);
}

void TimerHeap::publish() {
  next_.store(entries_.empty() ? 0 : entries_[0].when, std::memory_order_release);
  size_.store(entries_.size(), std::memory_order_relaxed);
}

void TimerHeap::insert(Timer* timer, Nanos when, void (*function)(void*, uint64_t), void* argument,
                       uint64_t sequence) {
  std::lock_guard hold(lock_);
  timer->when_ = when;
  timer->function_ = function;
  timer->argument_ = argument;
  timer->sequence_ = sequence;
  entries_.push_back({when, timer});
  sift_up(entries_.size() - 1);
  publish();
  timer->heap_.store(this, std::memory_order_release);
}

bool TimerHeap::remove(Timer* timer) {
  std::lock_guard hold(lock_);
  if (timer->heap_.load(std::memory_order_relaxed) != this) return false;
  erase(timer->slot_);
  publish();
  timer->heap_.store(nullptr, std::memory_order_release);
  return true;
}

void TimerHeap::take_all(TimerHeap& from) {
  SpinLock* first = &lock_;
  SpinLock* second = &from.lock_;
  if (second < first) std::swap(first, second);
  std::lock_guard hold_first(*first);
  std::lock_guard hold_second(*second);
  entries_.reserve(entries_.size() + from.entries_.size());   // nothing fails half done
  for (Entry entry : from.entries_) {
    entries_.push_back(entry);
    sift_up(entries_.size() - 1);
    entry.timer->heap_.store(this, std::memory_order_release);
  }
  from.entries_.clear();
  from.publish();
  publish();
}

int TimerHeap::run_due(Nanos now) {
  for (int count = 0;; count++) {
    lock_.lock();
    if (entries_.empty() || entries_[0].when > now) {
      lock_.unlock();
      return count;
    }
    Timer* timer = entries_[0].timer;
    erase(0);
    publish();
    auto function = timer->function_;
    void* argument = timer->argument_;
    uint64_t sequence = timer->sequence_;
    timer->heap_.store(nullptr, std::memory_order_release);
    lock_.unlock();
    function(argument, sequence);
  }
}

bool TimerHeap::verify() {
  std::lock_guard hold(lock_);
  for (size_t i = 0; i < entries_.size(); i++) {
    if (entries_[i].timer->slot_ != i) return false;
    if (i > 0 && entries_[i].when < entries_[(i - 1) / 4].when) return false;
  }
  return true;
}

void TimerHeap::after_fork_in_child() {
  new (&lock_) SpinLock(LockRank::Timers);
  for (Entry& entry : entries_) entry.timer->heap_.store(nullptr, std::memory_order_relaxed);
  entries_.clear();
  publish();
}

}  // namespace gort
