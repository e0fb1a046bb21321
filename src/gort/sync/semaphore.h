// The semaphore table: sleep and wake-up on any 32-bit counter, the base of Mutex.
//
// A semaphore is a bare std::atomic<uint32_t> that never goes below zero; whoever sleeps on it is found through its address in
// a table of 251 buckets, as in Go. So a lock costs 8 bytes and the queues exist only while somebody waits.
//
// Thread safety: any goroutine or thread. Wakes in FIFO order, except waiters that came with lifo, which go to the front.
// A release without hand-off does not reserve the permit: a newcomer may take it first, and the woken one queues again.
//
// A bucket is a list of addresses, each with the list of its waiters: first waiter O(distinct waited-for addresses in the
// bucket), pushing and popping at either end O(1). Rejected: Go's treap of addresses; it pays off with thousands of contended
// locks at once, each of which already costs a parked goroutine.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/clock.h"
#include "gort/sched/park.h"

namespace gort {

// No safe point (world.h) is passed here: what is built on it passes one before it changes anything of its own.

// semacquire waits until *semaphore > 0 and takes one. Another outcome than Fired has taken none.
// on: what dumps and contention reports show as waited for; null: the semaphore.
[[nodiscard]] Outcome semacquire(std::atomic<uint32_t>& semaphore, bool lifo = false, WaitReason reason = WaitReason::Semacquire,
                                 Nanos deadline = kForever, const void* on = nullptr);

// try_semacquire takes one if there is one.
bool try_semacquire(std::atomic<uint32_t>& semaphore);

// semrelease adds one and wakes a waiter. hand_off: the permit goes to that waiter at once, and the caller yields its time slice
// so that the waiter runs next (may switch goroutines); without a waiter it is like a plain release.
void semrelease(std::atomic<uint32_t>& semaphore, bool hand_off = false);

}  // namespace gort
