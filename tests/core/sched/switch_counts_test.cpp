// Why time slices ended, per P and per goroutine; whom a P stole from; what a waiting goroutine shows.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/chan/select.h"
#include "gort/chan/typed_channel.h"
#include "gort/sync/mutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

uint64_t parks_of_ps(WaitReason reason) {
  uint64_t n = 0;
  Runtime::get().native().for_each_processor([&](P& p) { n += read_count(p.counters.parks[size_t(reason)]); });
  return n;
}

uint64_t yields_of_ps() {
  uint64_t n = 0;
  Runtime::get().native().for_each_processor([&](P& p) { n += read_count(p.counters.yields); });
  return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(switch_counts)

BOOST_AUTO_TEST_CASE(a_park_counts_under_its_reason_for_the_goroutine_and_for_a_p) {
  EndlessSlices endless;   // without a P nobody counts
  SwitchCounts<uint32_t> counts;
  uint64_t receives = parks_of_ps(WaitReason::ChanReceive), yields = yields_of_ps();
  run([&] {
    Chan<int> ch(0);
    Chan<bool> done(1);
    go([=, &counts]() mutable {
      for (int i = 0; i < 10; i++) ch.recv();
      for (int i = 0; i < 7; i++) yield();
      counts = current()->switches;
      done.send(true);
    });
    for (int i = 0; i < 10; i++) {
      until([] { return someone_waits(WaitReason::ChanReceive); });
      ch.send(i);
    }
    done.recv();
  });
  BOOST_TEST(counts.parks[size_t(WaitReason::ChanReceive)] == 10u);
  BOOST_TEST(counts.parks[size_t(WaitReason::ChanSend)] == 0u);
  BOOST_TEST(counts.yields == 7u);
  BOOST_TEST(parks_of_ps(WaitReason::ChanReceive) >= receives + 10);
  BOOST_TEST(yields_of_ps() >= yields + 7);
}

BOOST_AUTO_TEST_CASE(a_goroutine_begins_with_no_counts_also_when_its_memory_has_been_another_ones) {
  std::atomic<uint64_t> left{0};
  run([&] {
    WaitGroup wg;
    for (int i = 0; i < 200; i++) {
      wg.go([&] {
        const auto& counts = current()->switches;
        left += counts.yields + std::accumulate(std::begin(counts.parks), std::end(counts.parks), 0u);
        yield();
      });
      wg.wait();
    }
  });
  BOOST_TEST(left.load() == 0u);
}

BOOST_AUTO_TEST_CASE(a_select_that_waits_shows_its_arms) {
  std::vector<const Channel*> seen;
  bool first_sends = false;
  uint32_t left = 1;
  run([&] {
    Chan<int> a(0), b(0);
    Chan<bool> done(1);
    std::atomic<G*> waiter{nullptr};
    go([&, a, b, done]() mutable {
      waiter = current();
      int in, out = 7;
      SelectCase cases[] = {{a.ref().get(), SelectCase::Send, &out}, {b.ref().get(), SelectCase::Recv, &in}};
      (void)select(cases, 2, false);
      left = current()->arm_count;
      done.send(true);
    });
    until([&] { return a.ref()->waiting_senders() == 1; });   // under the lock that it held when it queued
    G* g = waiter;
    for (uint32_t i = 0; i < g->arm_count; i++) {
      seen.push_back(g->arms[i].channel);
      if (g->arms[i].channel == a.ref().get()) first_sends = g->arms[i].is_send;
    }
    std::vector<const Channel*> wanted{a.ref().get(), b.ref().get()};
    std::sort(seen.begin(), seen.end());
    std::sort(wanted.begin(), wanted.end());
    first_sends = first_sends && seen == wanted;
    b.send(1);
    done.recv();
  });
  BOOST_TEST(seen.size() == 2u);
  BOOST_TEST(first_sends);
  BOOST_TEST(left == 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_that_began_unseen_gets_the_time_of_the_first_look) {
  Nanos since = 0, before = nanotime();
  run([&] {
    Chan<int> ch(0);
    go([=]() mutable { ch.recv(); });
    until([] { return someone_waits(WaitReason::ChanReceive); });
    Runtime::get().note_waits(nanotime());
    for (G* g : Runtime::get().all_goroutines()) {
      if (g->status == Status::Waiting && g->wait_reason == WaitReason::ChanReceive) since = g->wait_since;
    }
    ch.send(1);
  });
  BOOST_TEST(since >= before - kSecond);   // the clock of waits is coarse
  BOOST_TEST(since <= nanotime());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(steal_log)

BOOST_AUTO_TEST_CASE(steals_are_summed_by_victim_and_the_last_are_kept_in_order) {
  auto log = std::make_unique<StealLog>();
  for (uint64_t i = 1; i <= 100; i++) log->record(uint32_t(i % 2), 3, 1000 + i, i);
  auto victims = log->victims();
  BOOST_REQUIRE(victims.size() == 2u);
  BOOST_TEST(victims[1].id == 1u);
  BOOST_TEST(victims[1].steals == 50u);
  BOOST_TEST(victims[1].goroutines == 150u);
  auto recent = log->recent();
  BOOST_REQUIRE(recent.size() == 64u);
  BOOST_TEST(recent.front().number == 37u);
  BOOST_TEST(recent.back().number == 100u);
  BOOST_TEST(recent.back().first == 1100u);
  BOOST_TEST(recent.back().victim == 0u);
}

BOOST_AUTO_TEST_CASE(a_reader_never_sees_halves_of_two_steals) {
  auto log = std::make_unique<StealLog>();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (uint64_t i = 1; !stop; i++) log->record(uint32_t(i % 512), uint32_t(i % 128), i, i);
  });
  bool whole = true;
  for (int i = 0; i < 2000 * kRounds; i++) {
    for (const StealLog::Steal& s : log->recent()) {
      whole = whole && s.first == s.number && s.slice == s.number && s.victim == s.number % 512 && s.goroutines == s.number % 128;
    }
  }
  stop = true;
  writer.join();
  BOOST_TEST(whole);
}

BOOST_AUTO_TEST_CASE(what_a_p_stole_adds_up_to_what_it_counted) {
  EndlessSlices endless;
  int before = gomaxprocs(2);
  std::atomic<int> running{0};
  run([&] {
    // One keeps its P until all have run, so the others of its queue, or itself, are stolen.
    WaitGroup wg;
    for (int i = 0; i < 100; i++) wg.go([&] { running++; });
    wg.go([&] {
      while (running < 100) {}
    });
    wg.wait();
  });
  uint64_t stolen = 0, steals = 0, by_victim = 0, robberies = 0;
  Runtime::get().native().for_each_processor([&](P& p) {
    stolen += p.counters.stolen;
    steals += p.counters.steals;
    for (const StealLog::Victim& v : p.steal_log.victims()) {
      by_victim += v.goroutines;
      robberies += v.steals;
    }
  });
  gomaxprocs(before);
#ifndef GORT_DEBUG_TIER   // which sends half of them through the global queue
  BOOST_TEST(steals > 0u);
#endif
  BOOST_TEST(steals == robberies);
  BOOST_TEST(stolen == by_victim);
}

BOOST_AUTO_TEST_SUITE_END()
