// The table of waits.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <vector>

#include "../waiting.h"
#include "gort/chan/typed_channel.h"
#include "gort/observe/contention.h"
#include "gort/sched/go.h"
#include "gort/sync/mutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

const observe::WaitEntry* find(const std::vector<observe::WaitEntry>& entries, WaitReason reason, const void* object) {
  for (auto& e : entries) {
    if (e.reason == reason && e.object == object) return &e;
  }
  return nullptr;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(contention)

BOOST_AUTO_TEST_CASE(waits_are_summed_per_reason_and_object) {
  int a, b;
  observe::contention_start();
  observe::record_wait(WaitReason::MutexLock, &a, 10, 1);
  observe::record_wait(WaitReason::MutexLock, &a, 30, 2);
  observe::record_wait(WaitReason::MutexLock, &b, 100, 3);
  observe::record_wait(WaitReason::ChanSend, &a, 1, 4);
  observe::contention_stop();
  auto entries = observe::contention_snapshot();
  BOOST_REQUIRE(entries.size() == 3u);
  BOOST_TEST(entries[0].object == &b);  // the longest total first
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
  for (auto& o : objects) observe::record_wait(WaitReason::Select, &o, 1, 1);
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

BOOST_AUTO_TEST_SUITE_END()
