// The table of waits.
#include <boost/test/unit_test.hpp>

#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "../waiting.h"
#include "gort/chan/typed_channel.h"
#include "gort/observe/contention.h"
#include "gort/sched/go.h"
#include "gort/sync/mutex.h"
#include "gort/sync/rwmutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

const observe::WaitEntry* find(const std::vector<observe::WaitEntry>& entries, WaitReason reason, const void* object,
                               observe::Part part = observe::Part::Waiting) {
  for (auto& e : entries) {
    if (e.key.reason == reason && e.key.object == object && e.key.part == part) return &e;
  }
  return nullptr;
}

using Body = void (*)(Mutex&);

bool passes_through(const observe::WaitEntry& e, Body function) {
  auto stacks = observe::call_stacks();
  const observe::CallStack* stack = stacks->find(e.key.stack);
  return stack && std::ranges::any_of(stack->places(), [&](const observe::Place& place) {
    return _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(place.where)) == reinterpret_cast<void*>(function);
  });
}

// The entries of m whose stack passes through the function.
std::vector<observe::WaitEntry> at(Body function, const void* m, observe::Part part = observe::Part::Waiting) {
  std::vector<observe::WaitEntry> found;
  for (auto& e : observe::contention_snapshot()) {
    if (e.key.object == m && e.key.part == part && passes_through(e, function)) found.push_back(e);
  }
  return found;
}

[[gnu::noinline]] void lock_one(Mutex& m) {
  m.lock();
  asm volatile("" ::: "memory");   // a call, not a jump
}
[[gnu::noinline]] void lock_two(Mutex& m) {
  m.lock();
  asm volatile("nop" ::: "memory");
}
[[gnu::noinline]] void unlock_one(Mutex& m) {
  m.unlock();
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void unlock_two(Mutex& m) {
  m.unlock();
  asm volatile("nop" ::: "memory");
}

long waiters_for(WaitReason reason) {
  auto all = Runtime::get().all_goroutines();
  return std::ranges::count_if(all, [&](G* g) { return g->status.load() == Status::Waiting && g->wait_reason.load() == reason; });
}

struct Measured {
  Measured() { observe::contention_start(); }
  ~Measured() { observe::contention_stop(); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(contention)

BOOST_AUTO_TEST_CASE(waits_are_summed_per_reason_and_object) {
  int a, b;
  observe::contention_start();
  observe::record_wait({.reason = WaitReason::MutexLock, .object = &a}, 10, 1, 1);
  observe::record_wait({.reason = WaitReason::MutexLock, .object = &a}, 30, 2, 2);
  observe::record_wait({.reason = WaitReason::MutexLock, .object = &b}, 100, 3, 3);
  observe::record_wait({.reason = WaitReason::ChanSend, .object = &a}, 1, 4, 4);
  observe::contention_stop();
  auto entries = observe::contention_snapshot();
  BOOST_REQUIRE(entries.size() == 3u);
  BOOST_TEST(entries[0].key.object == &b);  // the longest total first
  const observe::WaitEntry* e = find(entries, WaitReason::MutexLock, &a);
  BOOST_REQUIRE(e);
  BOOST_TEST(e->count == 2u);
  BOOST_TEST(e->total == 40);
  BOOST_TEST(e->max == 30);
  BOOST_TEST(e->last_goroutine == 2u);
  observe::contention_start();
  BOOST_TEST(observe::contention_snapshot().empty());
  observe::contention_stop();
}

BOOST_AUTO_TEST_CASE(objects_beyond_the_table_are_summed_without_a_name) {
  std::vector<char> objects(100'000);
  observe::contention_start();
  for (auto& o : objects) observe::record_wait({.reason = WaitReason::Select, .object = &o}, 1, 1, 1);
  observe::contention_stop();
  Nanos total = 0;
  for (auto& e : observe::contention_snapshot()) total += e.total;
  BOOST_TEST(total == 100'000);
  BOOST_TEST(find(observe::contention_snapshot(), WaitReason::Select, nullptr) != nullptr);
}

BOOST_AUTO_TEST_CASE(park_records_the_waits_of_primitives_while_it_is_on) {
  run([] {
    Chan<int> ch(0);
    Mutex m;
    WaitGroup wg;
    observe::contention_start();
    m.lock();
    wg.go([&] {
      m.lock();
      m.unlock();
      ch.send(1);
    });
    until([] { return someone_waits(WaitReason::MutexLock); });
    m.unlock();
    until([] { return someone_waits(WaitReason::ChanSend); });
    ch.recv();
    wg.wait();
    observe::contention_stop();
    auto entries = observe::contention_snapshot();
    BOOST_TEST(find(entries, WaitReason::MutexLock, &m) != nullptr);
    BOOST_TEST(find(entries, WaitReason::ChanSend, ch.ref().get()) != nullptr);
  });
}

BOOST_AUTO_TEST_CASE(waits_for_one_lock_are_told_apart_by_where_they_were) {
  run([] {
    Mutex m;
    WaitGroup wg;
    Measured measured;
    m.lock();
    for (Body lock : {lock_one, lock_two, lock_two}) {
      wg.go([&m, lock] {
        lock(m);
        m.unlock();
      });
    }
    until([&] { return waiters_for(WaitReason::MutexLock) == 3; });
    m.unlock();
    wg.wait();
    // Somebody who was woken may find it locked again, and so wait once more.
    uint64_t one = 0, two = 0;
    for (auto& e : at(lock_one, &m)) one += e.count;
    for (auto& e : at(lock_two, &m)) two += e.count;
    BOOST_TEST(one >= 1u);
    BOOST_TEST(two >= 2u);
  });
}

BOOST_AUTO_TEST_CASE(the_unlock_that_ends_a_wait_is_charged_with_it_and_no_other) {
  run([] {
    Mutex m;
    WaitGroup wg;
    Measured measured;
    unlock_two((m.lock(), m));   // nobody waits
    m.lock();
    wg.go([&] {
      m.lock();
      m.unlock();
    });
    until([] { return someone_waits(WaitReason::MutexLock); });
    unlock_one(m);
    wg.wait();
    auto charged = at(unlock_one, &m, observe::Part::Releasing);
    BOOST_REQUIRE(charged.size() == 1u);
    BOOST_TEST((charged[0].key.reason == WaitReason::MutexLock));
    BOOST_TEST(charged[0].count == 1u);
    BOOST_TEST(charged[0].total > 0);
    BOOST_TEST(charged[0].last_goroutine == goroutine_id());
    BOOST_TEST(at(unlock_two, &m, observe::Part::Releasing).empty());
    BOOST_TEST(at(unlock_one, &m).empty());
  });
}

BOOST_AUTO_TEST_CASE(who_lets_readers_in_and_who_is_the_last_reader_are_charged) {
  run([] {
    RWMutex m;
    WaitGroup wg;
    Measured measured;
    m.lock();
    for (int i = 0; i < 3; i++) {
      wg.go([&] {
        m.lock_shared();
        m.unlock_shared();
      });
    }
    until([] { return waiters_for(WaitReason::RWMutexRLock) == 3; });
    m.unlock();
    wg.wait();
    m.lock_shared();
    wg.go([&] {
      m.lock();
      m.unlock();
    });
    until([] { return someone_waits(WaitReason::RWMutexLock); });
    m.unlock_shared();
    wg.wait();
    auto entries = observe::contention_snapshot();
    for (WaitReason reason : {WaitReason::RWMutexRLock, WaitReason::RWMutexLock}) {
      const observe::WaitEntry* e = find(entries, reason, &m, observe::Part::Releasing);
      BOOST_REQUIRE(e);
      BOOST_TEST(e->count == 1u);
      BOOST_TEST(e->total > 0);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_release_is_charged_for_those_who_go_on_waiting_by_the_mean_of_the_first_and_the_last) {
  G g;
  g.wait_reason = WaitReason::MutexLock;
  int object;
  g.waiting_on = &object;
  Measured measured;
  Waiter woken, first, last;
  woken.g = first.g = last.g = &g;
  Nanos now = nanotime();
  woken.since = now - 10 * kSecond;
  first.since = now - 6 * kSecond;
  last.since = now - 2 * kSecond;
  observe::Release charge;
  charge.add(&woken);
  charge.add_waiting(&first, &last, 5);
  charge.record();
  Nanos late = nanotime() - now;
  auto entries = observe::contention_snapshot();
  BOOST_REQUIRE(entries.size() == 1u);
  BOOST_TEST(entries[0].total >= (10 + 4 * 5) * kSecond);
  BOOST_TEST(entries[0].total <= (10 + 4 * 5) * kSecond + 6 * late);
  BOOST_TEST(first.since >= now);   // the next one is charged from here
  BOOST_TEST(last.since == first.since);
}

BOOST_AUTO_TEST_CASE(waits_that_began_before_the_measurement_are_charged_to_nobody) {
  run([] {
    Mutex m;
    WaitGroup wg;
    m.lock();
    wg.go([&] {
      m.lock();
      m.unlock();
    });
    until([] { return someone_waits(WaitReason::MutexLock); });
    Measured measured;
    m.unlock();
    wg.wait();
    BOOST_TEST(find(observe::contention_snapshot(), WaitReason::MutexLock, &m, observe::Part::Releasing) == nullptr);
  });
}

BOOST_AUTO_TEST_SUITE_END()
