#include "gort/sync/semaphore.h"

#include "gort/base/spin_lock.h"
#include "gort/observe/contention.h"

namespace gort {
namespace {

// A sleeping party; lives on its stack.
struct Sleeper : Waiter {
  explicit Sleeper(G* g) : Waiter(g) {}
  std::atomic<uint32_t>* semaphore = nullptr;
  bool has_permit = false;    // handed over by the releaser

  // Only the first sleeper of an address is on its bucket's list and has the queue of all sleepers of that address (itself
  // included); when it goes, the next one takes both over.
  Sleeper* next_address = nullptr;
  Sleeper* prev_address = nullptr;
  Sleeper* last = nullptr;
  uint32_t count = 0;         // in that queue
};

struct alignas(64) Bucket {
  SpinLock lock{LockRank::Sync};
  std::atomic<uint32_t> sleepers{0};  // changed under lock; read by releasers without it
  Sleeper* addresses = nullptr;       // guarded by lock

  Sleeper* first_of(const std::atomic<uint32_t>* semaphore) const {
    Sleeper* s = addresses;
    while (s && s->semaphore != semaphore) s = s->next_address;
    return s;
  }
  static Sleeper* next_of(Sleeper* s) { return static_cast<Sleeper*>(s->next); }

  void add(Sleeper* s, bool lifo) {
    s->queued = true;
    Sleeper* first = first_of(s->semaphore);
    if (!first) {
      s->last = s;
      s->count = 1;
      s->next_address = addresses;
      if (addresses) addresses->prev_address = s;
      addresses = s;
    } else if (lifo) {
      s->next = first;
      first->prev = s;
      first->count++;
      stand_in(first, s);
    } else {
      s->prev = first->last;
      first->last->next = s;
      first->last = s;
      first->count++;
    }
  }

  // The sleepers counter is the caller's: it must not drop before the add that it undoes is over.
  void remove(Sleeper* s) {
    Sleeper* next = next_of(s);
    if (s->prev) {
      Sleeper* first = first_of(s->semaphore);
      s->prev->next = next;
      if (next) next->prev = s->prev; else first->last = static_cast<Sleeper*>(s->prev);
      first->count--;
    } else if (next) {
      next->prev = nullptr;
      s->count--;
      stand_in(s, next);
    } else {
      if (s->prev_address) s->prev_address->next_address = s->next_address; else addresses = s->next_address;
      if (s->next_address) s->next_address->prev_address = s->prev_address;
    }
    s->next = s->prev = nullptr;
    s->queued = false;
  }

 private:
  // `to` takes the place of `from` on the list of addresses.
  void stand_in(Sleeper* from, Sleeper* to) {
    to->last = from->last;
    to->count = from->count;
    to->next_address = from->next_address;
    to->prev_address = from->prev_address;
    if (to->prev_address) to->prev_address->next_address = to; else addresses = to;
    if (to->next_address) to->next_address->prev_address = to;
    from->next_address = from->prev_address = from->last = nullptr;
  }
};

constexpr size_t kBuckets = 251;
Bucket buckets[kBuckets];

Bucket& bucket_of(const std::atomic<uint32_t>* semaphore) {
  return buckets[(reinterpret_cast<uintptr_t>(semaphore) >> 3) % kBuckets];
}

}  // namespace

bool try_semacquire(std::atomic<uint32_t>& semaphore) {
  uint32_t permits = semaphore.load();
  while (permits > 0) {
    if (semaphore.compare_exchange_weak(permits, permits - 1)) return true;
  }
  return false;
}

Outcome semacquire(std::atomic<uint32_t>& semaphore, bool lifo, WaitReason reason, Nanos deadline, const void* on) {
  if (try_semacquire(semaphore)) return Outcome::Fired;
  G* g = current_to_wait();
  Bucket& bucket = bucket_of(&semaphore);
  for (;;) {
    bucket.lock.lock();
    // Sequentially consistent against semrelease: it adds the permit and then reads sleepers, we count ourselves and then look for a permit.
    bucket.sleepers.fetch_add(1);
    bool got_it = try_semacquire(semaphore);
    if (got_it || has_passed(deadline)) {
      bucket.sleepers.fetch_sub(1);
      bucket.lock.unlock();
      return got_it ? Outcome::Fired : Outcome::TimedOut;
    }
    Sleeper s(g);
    s.semaphore = &semaphore;
    if (reason != WaitReason::Semacquire) s.since = observe::lock_wait_begins();   // a bare semaphore is released by whoever likes
    bucket.add(&s, lifo);
    Outcome outcome = park(&bucket.lock, {.reason = reason, .on = on ? on : &semaphore, .deadline = deadline});
    if (outcome != Outcome::Fired) {
      bucket.lock.lock();
      if (s.queued) {  // else a releaser met us, could not claim us, and has counted us out
        bucket.remove(&s);
        bucket.sleepers.fetch_sub(1);
      }
      bucket.lock.unlock();
      return outcome;
    }
    if (s.has_permit || try_semacquire(semaphore)) return Outcome::Fired;
    // Somebody who did not sleep took the permit.
  }
}

void semrelease(std::atomic<uint32_t>& semaphore, bool hand_off) {
  Bucket& bucket = bucket_of(&semaphore);
  semaphore.fetch_add(1);
  if (bucket.sleepers.load() == 0) return;
  bucket.lock.lock();
  Sleeper* woken = nullptr;
  observe::Release charge;
  while (Sleeper* s = bucket.first_of(&semaphore)) {
    bucket.remove(s);
    bucket.sleepers.fetch_sub(1);
    if (s->claim()) {
      woken = s;
      charge.add(s);
      if (charge) [[unlikely]] {
        if (Sleeper* first = bucket.first_of(&semaphore)) charge.add_waiting(first, first->last, first->count);
      }
      break;
    }
  }
  bucket.lock.unlock();
  if (!woken) return;
  bool handed = hand_off && try_semacquire(semaphore);
  woken->has_permit = handed;
  ready(woken->g);
  charge.record();
  if (handed) yield();
}

}  // namespace gort
