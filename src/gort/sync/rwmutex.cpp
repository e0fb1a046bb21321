#include "gort/sync/rwmutex.h"

#include "gort/base/errors.h"
#include "gort/observe/contention.h"
#include "gort/sync/for_sure.h"

namespace gort {
namespace {

[[noreturn, gnu::cold]] void throw_not_read_locked() { throw Fatal("sync: RUnlock of unlocked RWMutex"); }

void ready_all(Waiter* claimed) {
  observe::Release charge;
  for (Waiter* w = claimed; w; w = w->next) charge.add(w);
  while (claimed) {
    Waiter* w = claimed;
    claimed = w->next;
    ready(w->g);
  }
  charge.record();
}

}  // namespace

// --- readers

Outcome RWMutex::lock_shared_slow(uint64_t seen, Nanos deadline) {
  G* g = current();
  lock_.lock();
  uint64_t now = state_.load(std::memory_order_relaxed);
  if (!(now & kWriter) || (now ^ seen) >= kEpoch) {  // that writer has gone, and let us in
    lock_.unlock();
    return Outcome::Fired;
  }
  if (!g || has_passed(deadline)) {
    state_.fetch_sub(kReader, std::memory_order_relaxed);
    lock_.unlock();
    current_to_wait();   // not before: the reader was counted already
    return Outcome::TimedOut;
  }
  Waiter w(g);
  w.since = observe::lock_wait_begins();
  readers_.push(&w);
  Outcome outcome = park(&lock_, {.reason = WaitReason::RWMutexRLock, .on = this, .deadline = deadline});
  if (outcome == Outcome::Fired) return outcome;
  lock_.lock();
  bool let_in = !w.queued;
  if (!let_in) {
    readers_.remove(&w);
    state_.fetch_sub(kReader, std::memory_order_relaxed);
  }
  lock_.unlock();
  if (let_in) unlock_shared();
  return outcome;
}

bool RWMutex::try_lock_shared() {
  world::safe_point();
  uint64_t now = state_.load(std::memory_order_relaxed);
  while (!(now & kWriter)) {
    if (state_.compare_exchange_weak(now, now + kReader, std::memory_order_acquire, std::memory_order_relaxed)) return true;
  }
  return false;
}

void RWMutex::unlock_shared() {
  if (!(state_.load(std::memory_order_relaxed) & kReaders)) throw_not_read_locked();
  uint64_t before = state_.fetch_sub(kReader, std::memory_order_release);
  if (!(before & kReaders)) [[unlikely]] {  // two such misuses at once
    state_.fetch_add(kReader, std::memory_order_relaxed);
    throw_not_read_locked();
  }
  if (before & kWriter) [[unlikely]] unlock_shared_slow(before);
}

void RWMutex::unlock_shared_slow(uint64_t seen) {
  G* wake = nullptr;
  observe::Release charge;
  lock_.lock();
  uint64_t now = state_.load(std::memory_order_relaxed);
  if ((now & kWriter) && (now ^ seen) < kEpoch) {
    if (still_reading_ == 0) {  // the readers that are counted wait for the writer: none of them was unlocked here
      state_.fetch_add(kReader, std::memory_order_relaxed);
      lock_.unlock();
      throw_not_read_locked();
    }
    if (--still_reading_ == 0 && writer_) {
      Waiter* w = writer_;
      writer_ = nullptr;
      if (w->claim()) {
        held_ = true;
        wake = w->g;
        charge.add(w);
      }
    }
  }
  lock_.unlock();
  if (wake) ready(wake);
  charge.record();
}

// --- writers

Outcome RWMutex::lock_until(Nanos deadline) {
  G* g = current_to_wait();   // before anything is taken, as it may throw
  Outcome outcome = writers_.lock_until(deadline);
  if (outcome != Outcome::Fired) return outcome;
  lock_.lock();
  uint64_t before = state_.fetch_add(kEpoch + kWriter, std::memory_order_acq_rel);
  still_reading_ = uint32_t(before & kReaders);
  if (still_reading_ == 0) {
    held_ = true;
    lock_.unlock();
    return Outcome::Fired;
  }
  if (has_passed(deadline)) {
    outcome = Outcome::TimedOut;
  } else {
    Waiter w(g);
    w.since = observe::lock_wait_begins();
    writer_ = &w;
    outcome = park(&lock_, {.reason = WaitReason::RWMutexLock, .on = this, .deadline = deadline});
    if (outcome == Outcome::Fired) return outcome;
    lock_.lock();
    writer_ = nullptr;
  }
  // Not to be had in time. Readers that came after us go on; those that we waited for find another epoch, or no writer.
  still_reading_ = 0;
  Waiter* let_in = writer_leaves();
  lock_.unlock();
  ready_all(let_in);
  writers_.unlock();
  return outcome;
}

bool RWMutex::try_lock() {
  if (!writers_.try_lock()) return false;
  lock_.lock();
  uint64_t now = state_.load(std::memory_order_relaxed);
  bool got_it = !(now & kReaders) && state_.compare_exchange_strong(now, now + kEpoch + kWriter, std::memory_order_acq_rel,
                                                                    std::memory_order_relaxed);
  held_ = got_it;
  lock_.unlock();
  if (!got_it) writers_.unlock();
  return got_it;
}

void RWMutex::unlock() {
  lock_.lock();
  if (!held_) {
    lock_.unlock();
    throw Fatal("sync: Unlock of unlocked RWMutex");
  }
  held_ = false;
  Waiter* let_in = writer_leaves();
  lock_.unlock();
  ready_all(let_in);
  writers_.unlock();
}

Outcome RWMutex::lock_for_sure() { return for_sure([this] { return lock_until(); }); }
Outcome RWMutex::lock_shared_for_sure() { return for_sure([this] { return lock_shared_until(); }); }

// writer_leaves clears the writer bit and lets the waiting readers in. Under lock_. Returns those to be readied, in order.
Waiter* RWMutex::writer_leaves() {
  state_.fetch_and(~kWriter, std::memory_order_release);
  Waiter* first = nullptr;
  Waiter** end = &first;
  while (Waiter* w = readers_.pop_claimed()) {
    *end = w;
    end = &w->next;
  }
  return first;
}

}  // namespace gort
