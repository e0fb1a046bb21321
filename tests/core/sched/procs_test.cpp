#include <boost/test/unit_test.hpp>

#include <sched.h>
#include <unistd.h>

#include "gort/sched/go.h"
#include "gort/sched/procs.h"
#include "gort/sched/runtime.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

namespace {

// The machines of the native lane, for a failure that is seldom.
std::string who_is_there() {
  std::string text;
  Runtime::get().native().for_each_machine([&](M& m) {
    text += "M" + std::to_string(m.id) + (m.own ? " plain" : "") + (m.spinning ? " spinning" : "") + (m.p ? " P" : "") +
            (m.idle ? " idle" : "") + (m.ending ? " ending" : "") + (m.mutator ? " mutator" : "") + "; ";
  });
  return text + std::to_string(Runtime::get().native().idle_processors()) + " Ps idle";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(procs_)

BOOST_AUTO_TEST_CASE(the_number_follows_the_affinity_mask_until_it_is_set) {
  cpu_set_t all, one;
  BOOST_REQUIRE(sched_getaffinity(0, sizeof(all), &all) == 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &all)) {
      CPU_SET(cpu, &one);
      break;
    }
  }
  set_default_gomaxprocs();
  int usual = gomaxprocs();
  BOOST_TEST(usual == procs::wanted());
  BOOST_REQUIRE(sched_setaffinity(0, sizeof(one), &one) == 0);
  run([] { until([] { return gomaxprocs() == 1; }); });   // sysmon looks once a second while goroutines run
  BOOST_REQUIRE(sched_setaffinity(0, sizeof(all), &all) == 0);
  run([&] { until([&] { return gomaxprocs() == usual; }); });

  BOOST_TEST(gomaxprocs_follows());
  gomaxprocs(3);
  BOOST_TEST(!gomaxprocs_follows());
  procs::look(nanotime() + 2 * kSecond);
  BOOST_TEST(gomaxprocs() == 3);
  set_default_gomaxprocs();
  BOOST_TEST(gomaxprocs() == usual);
}

// Timers of Ps that went were nobody's: of 64 sleepers 17 woke, and a machine looked for what was due without end.
BOOST_AUTO_TEST_CASE(those_that_sleep_on_a_p_that_goes_wake) {
  auto timers = [] {
    size_t n = 0;
    Runtime::get().native().for_each_processor([&](P& p) { n += p.timers.size(); });
    return n;
  };
  size_t others = timers();   // other cases' in this process, which may be due meanwhile
  gomaxprocs(4);
  run([] {
    WaitGroup all;
    std::atomic<int> asleep{0};
    for (int i = 0; i < 64; i++) {
      all.go([&] {
        for (Nanos end = nanotime() + 200 * kMicrosecond; nanotime() < end;) {}   // so that others steal
        asleep++;
        sleep_until(nanotime() + 20 * kMillisecond);
      });
    }
    while (asleep != 64) yield();
    gomaxprocs(1);
    all.wait();
  });
  BOOST_TEST(timers() <= others);
  set_default_gomaxprocs();
}

// sysmon took a P from a goroutine in a BlockingScope while gomaxprocs removed that P: it came back into the idle list, in time twice.
BOOST_AUTO_TEST_CASE(ps_that_go_while_sysmon_takes_them_do_not_come_back) {
  Lane& lane = Runtime::get().native();
  Nanos before = Runtime::get().options.sysmon_max;
  Runtime::get().options.sysmon_max = 50 * kMicrosecond;
  std::atomic<bool> over{false};
  std::atomic<int> left{6};
  gomaxprocs(4);
  for (int i = 0; i < 6; i++) {
    go([&] {
      while (!over) {
        BlockingScope blocking;
        usleep(60);
      }
      left--;
    });
  }
  for (int i = 0; i < 500 * kRounds; i++) {
    gomaxprocs(1);
    usleep(50 + useconds_t(i) % 60);
    gomaxprocs(4);
    usleep(150 + 3 * (useconds_t(i) % 60));
  }
  gomaxprocs(1);
  over = true;
  until([&] { return left == 0 && lane.idle_processors() == 1; });
  Runtime::get().options.sysmon_max = before;
  set_default_gomaxprocs();
}

// A machine that was looking for work when its P was taken, and was then ended, counted as looking for ever: nobody was woken for work any more.
BOOST_AUTO_TEST_CASE(machines_that_end_while_they_look_for_work_leave_nobody_asleep) {
  for (int round = 0; round < 100 * kRounds; round++) {
    gomaxprocs(4);
    run([&] {
      WaitGroup group;
      for (int i = 0; i < 4; i++) group.go([] { yield(); });
      group.wait();
    });
    gomaxprocs(2);
    Runtime::get().stop_idle_threads();
    // Another machine may look once more, for work that was left to it.
    int looking;
    for (Nanos end = nanotime() + 10 * kSecond; (looking = Runtime::get().native().spinning()) != 0 && nanotime() < end;) usleep(10);
    if (looking != 0) BOOST_FAIL(who_is_there());
  }
  set_default_gomaxprocs();
}

BOOST_AUTO_TEST_SUITE_END()
