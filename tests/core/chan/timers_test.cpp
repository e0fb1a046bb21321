#include <boost/test/unit_test.hpp>

#include <atomic>
#include <climits>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/chan/timers.h"
#include "gort/chan/typed_channel.h"
#include "gort/chan/typed_select.h"
#include "gort/sched/go.h"
#include "gort/sched/procs.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

namespace {

constexpr Nanos kHour = 3600 * kSecond;

double seconds(Nanos when) { return double(when) / double(kSecond); }

// Gives up the CPU until the clock shows that time; the timer that is tested has no part in it.
void until_time(Nanos when) {
  until([=] { return nanotime() >= when; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(timers)

// Go: time/sleep_test.go TestAfter
BOOST_AUTO_TEST_CASE(a_time_is_not_received_before_it_has_come) {
  run([] {
    for (Nanos d : {Nanos(0), Nanos(1), kMillisecond, 3 * kMillisecond}) {
      Nanos before = nanotime();
      double when = after(d).recv();
      BOOST_TEST(nanotime() >= before + d);
      BOOST_TEST(when >= seconds(before + d));
      BOOST_TEST(when <= seconds(nanotime()));
    }
  });
}

// Go: time/tick_test.go TestAfterTimes
BOOST_AUTO_TEST_CASE(what_is_received_is_the_time_that_was_set_however_late) {
  run([] {
    Nanos before = nanotime();
    TimerChan ch = after(kMillisecond);
    Nanos made = nanotime();
    until_time(made + 20 * kMillisecond);
    double when = ch.recv();
    BOOST_TEST(when >= seconds(before + kMillisecond));
    BOOST_TEST(when <= seconds(made + kMillisecond));
  });
}

// Go: time/tick_test.go TestTickTimes
BOOST_AUTO_TEST_CASE(of_the_ticks_that_nobody_took_the_first_is_received) {
  run([] {
    Nanos before = nanotime();
    TimerChan ch = tick(kMillisecond);
    Nanos made = nanotime();
    until_time(made + 20 * kMillisecond);
    double first = ch.recv();
    BOOST_TEST(first >= seconds(before + kMillisecond));
    BOOST_TEST(first <= seconds(made + kMillisecond));
    // The next one is a whole number of periods after it, and not one of those that are lost.
    double second = ch.recv();
    double periods = (second - first) / seconds(kMillisecond);
    BOOST_TEST(periods > 18);
    BOOST_TEST(std::abs(periods - std::round(periods)) < 0.01);
  });
}

// Go: time/tick_test.go TestTick
BOOST_AUTO_TEST_CASE(a_tick_that_is_not_positive_is_nil) {
  run([] {
    double when;
    BOOST_TEST(!tick(-1));
    BOOST_TEST(!tick(0));
    BOOST_TEST(!tick(0).try_recv(&when));
    BOOST_TEST(!tick(0).recv_until(&when, soon()));
    SelectCase arm = tick(0).receive();
    BOOST_TEST(select(&arm, 1, true).index == -1);
  });
}

// Go: time/tick_test.go TestNewTickerLtZeroDuration
BOOST_AUTO_TEST_CASE(a_ticker_that_is_not_positive_panics) {
  run([] {
    for (Nanos d : {Nanos(0), Nanos(-1), Nanos(INT64_MIN)}) {
      BOOST_TEST(text_of<Panic>([=] { Ticker ticker(d); }) == "non-positive interval for NewTicker");
    }
  });
}

// Go: time/tick_test.go TestTickerResetLtZeroDuration
BOOST_AUTO_TEST_CASE(a_tickers_reset_that_is_not_positive_panics_and_leaves_it_running) {
  run([] {
    Ticker ticker(kMillisecond);
    BOOST_TEST(text_of<Panic>([&] { (void)ticker.reset(0); }) == "non-positive interval for Ticker.Reset");
    BOOST_TEST(ticker.c().recv() > 0);
    BOOST_TEST(ticker.stop());
  });
}

// Go: time/tick_test.go TestTeardown
BOOST_AUTO_TEST_CASE(a_ticker_that_has_ticked_can_be_stopped) {
  run([] {
    for (int i = 0; i < 3; i++) {
      Ticker ticker(kMillisecond);
      ticker.c().recv();
      BOOST_TEST(ticker.stop());
      BOOST_TEST(!ticker.stop());
      until_time(nanotime() + 3 * kMillisecond);
      double when;
      BOOST_TEST(!ticker.c().try_recv(&when));
    }
  });
}

// Go: time/tick_test.go TestTicker
BOOST_AUTO_TEST_CASE(a_ticker_keeps_its_phase_and_takes_a_new_one_by_reset) {
  run([] {
    Ticker ticker(kMillisecond);
    double last = 0;
    for (int i = 0; i < 5; i++) {
      double when = ticker.c().recv();
      if (last != 0) {
        double periods = (when - last) / seconds(kMillisecond);
        BOOST_TEST(std::abs(periods - std::round(periods)) < 0.01);
        BOOST_TEST(periods > 0.5);
      }
      last = when;
    }
    Nanos before = nanotime();
    BOOST_TEST(ticker.reset(2 * kMillisecond));
    double first = ticker.c().recv();
    BOOST_TEST(first >= seconds(before + 2 * kMillisecond));
    double periods = (ticker.c().recv() - first) / seconds(2 * kMillisecond);
    BOOST_TEST(std::abs(periods - std::round(periods)) < 0.01);
    BOOST_TEST(ticker.stop());
  });
}

// Go: time/sleep_test.go TestOverflowSleep
BOOST_AUTO_TEST_CASE(a_duration_beyond_the_clocks_end_never_comes_and_one_below_zero_is_now) {
  run([] {
    TimerChan never = after(INT64_MAX), near = after(kMillisecond), past = after(INT64_MIN);
    SelectCase arms[] = {never.receive(), near.receive()};
    BOOST_TEST(select(arms, 2, false).index == 1);
    double when;
    BOOST_TEST(past.try_recv(&when));
    BOOST_TEST(!never.try_recv(&when));
    ChanTimer timer(INT64_MAX);
    BOOST_TEST(timer.stop());
  });
}

// Go: time/sleep_test.go TestAfterStop
BOOST_AUTO_TEST_CASE(a_stopped_timer_gives_nothing_though_a_later_one_has_gone_off) {
  run([] {
    ChanTimer stopped(kMillisecond), other(kHour);
    BOOST_TEST(stopped.stop());
    BOOST_TEST(other.stop());
    after(3 * kMillisecond).recv();
    double when;
    BOOST_TEST(!stopped.c().try_recv(&when));
    BOOST_TEST(!other.c().try_recv(&when));
    BOOST_TEST(!stopped.stop());
  });
}

// Go: time/sleep_test.go TestReset
BOOST_AUTO_TEST_CASE(reset_moves_the_time_and_says_whether_the_timer_was_active) {
  run([] {
    ChanTimer timer(kMillisecond);
    BOOST_TEST(timer.reset(kHour));
    until_time(nanotime() + 3 * kMillisecond);
    double when;
    BOOST_TEST(!timer.c().try_recv(&when));
    BOOST_TEST(timer.reset(kMillisecond));
    BOOST_TEST(timer.c().recv() > 0);
    BOOST_TEST(!timer.reset(kHour));
    BOOST_TEST(timer.stop());
  });
}

// Go: time/sleep_test.go TestStopResult
BOOST_AUTO_TEST_CASE(who_is_told_that_a_timer_was_not_active_has_received_its_value) {
  for (bool stop : {true, false}) {
    run([=] {
      std::atomic<int> lost{0};
      WaitGroup all;
      for (int i = 0; i < kManyGoroutines / 20; i++) {
        all.go([&, stop] {
          for (int j = 0; j < 5 * kRounds; j++) {
            ChanTimer first(100 * kMicrosecond), second(100 * kMicrosecond);
            SelectCase arms[] = {first.c().receive(), second.c().receive()};
            Selected s = select(arms, 2, false);
            const ChanTimer& other = s.index == 0 ? second : first;
            // Nobody has received the other one's: it is active whatever the clock says, and gives nothing afterwards.
            double when;
            if (!(stop ? other.stop() : other.reset(kHour)) || other.c().try_recv(&when)) lost++;
          }
        });
      }
      all.wait();
      BOOST_TEST(lost.load() == 0);
    });
  }
}

// Go: time/sleep_test.go TestZeroTimer
BOOST_AUTO_TEST_CASE(timers_of_no_duration_are_not_missed) {
  run([] {
    ChanTimer again(kHour);
    for (int i = 0; i < 10'000 * kRounds; i++) {
      ChanTimer timer(0);
      timer.c().recv();
      again.reset(0);
      again.c().recv();
    }
  });
}

// Go: time/sleep_test.go TestAfterQueuing
BOOST_AUTO_TEST_CASE(waiting_timers_fire_in_the_order_of_their_times) {
  run([] {
    const int slots[] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
    constexpr int n = sizeof slots / sizeof slots[0];
    // The times that are received are exact; the order of two that are both over when the machine looks is not theirs.
    bool in_order = false;
    for (int attempt = 0; attempt < 10 && !in_order; attempt++) {
      Chan<int> out(n);
      Nanos delta = (20 + 20 * attempt) * kMillisecond;
      for (int slot : slots) {
        go([=, ch = after(slot * delta)] {
          ch.recv();
          out.send(slot);
        });
      }
      in_order = true;
      for (int i = 0, last = 0; i < n; i++) {
        int slot = out.recv();
        in_order = in_order && slot >= last;
        last = slot;
      }
    }
    BOOST_TEST(in_order);
  });
}

// Go: time/sleep_test.go TestTickerStress
BOOST_AUTO_TEST_CASE(a_ticker_of_a_nanosecond_ticks_on) {
  run([] {
    Ticker ticker(1);
    double last = 0;
    for (int i = 0; i < 1000; i++) {
      double when = ticker.c().recv();
      BOOST_TEST(when > last);
      last = when;
    }
    BOOST_TEST(ticker.stop());
  });
}

// Go: time/sleep_test.go TestTickerConcurrentStress
BOOST_AUTO_TEST_CASE(a_tick_is_received_once_by_one_of_many) {
  run([] {
    constexpr int receivers = 10, each = 100;
    Ticker ticker(1);
    std::vector<double> seen(receivers * each);
    WaitGroup all;
    for (int r = 0; r < receivers; r++) {
      all.go([&, r] {
        for (int i = 0; i < each; i++) seen[size_t(r * each + i)] = ticker.c().recv();
      });
    }
    all.wait();
    ticker.stop();
    BOOST_TEST(std::set<double>(seen.begin(), seen.end()).size() == seen.size());
  });
}

// Go: time/sleep_test.go TestMultiWakeupTicker
BOOST_AUTO_TEST_CASE(many_selects_wait_for_one_ticker_and_timers_of_their_own) {
  gomaxprocs(4);
  run([] {
    Ticker ticker(kMicrosecond);
    WaitGroup all;
    for (int i = 0; i < 4; i++) {
      all.go([&] {
        for (int j = 0; j < 1000 * kRounds; j++) {
          TimerChan other = after(kMillisecond);
          SelectCase arms[] = {ticker.c().receive(), other.receive()};
          (void)select(arms, 2, false);
        }
      });
    }
    all.wait();
    BOOST_TEST(ticker.stop());
  });
  set_default_gomaxprocs();
}

// Go: time/sleep_test.go TestMultiWakeupTimer
BOOST_AUTO_TEST_CASE(many_look_at_one_timer_and_reset_it) {
  gomaxprocs(4);
  run([] {
    ChanTimer timer(1);
    WaitGroup all;
    for (int i = 0; i < 4; i++) {
      all.go([&] {
        for (int j = 0; j < 1000 * kRounds; j++) {
          SelectCase arm = timer.c().receive();
          (void)select(&arm, 1, true);
          timer.reset(1);
        }
      });
    }
    all.wait();
    BOOST_TEST(timer.c().recv() > 0);
  });
  set_default_gomaxprocs();
}

// Go: time/tick_test.go TestLongAdjustTimers
BOOST_AUTO_TEST_CASE(a_timeout_a_select_holds_nobody_up_beside_thousands_of_sleepers) {
  run([] {
    WaitGroup sleepers;
    for (int i = 0; i < kManyGoroutines / 2; i++) {
      sleepers.go([] { sleep_until(deadline_after(10 * kMicrosecond)); });
    }
    Chan<int> work(0);
    constexpr int n = 2000 * kRounds;
    go([=] {
      for (int i = 0; i < n; i++) work.send(i);
    });
    int got = 0, late = 0;
    while (got < n) {
      TimerChan timeout = after(kHour);
      int v;
      if (select(recv(work, &v), recv(timeout)) == 0) got++; else late++;
    }
    sleepers.wait();
    BOOST_TEST(late == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_timer_and_its_copies_are_one) {
  run([] {
    ChanTimer timer(kHour), same = timer;
    BOOST_TEST(same.stop());
    BOOST_TEST(!timer.stop());
    BOOST_TEST(!timer.reset(0));
    BOOST_TEST(same.c().recv() > 0);
  });
}

BOOST_AUTO_TEST_CASE(a_timer_with_two_arms_of_one_select_is_received_once) {
  run([] {
    for (int i = 0; i < 100; i++) {
      TimerChan timer = after(i % 2 == 0 ? 0 : 10 * kMicrosecond);
      double a = 0, b = 0;
      SelectCase arms[] = {timer.receive(&a), timer.receive(&b)};
      Selected s = select(arms, 2, false);
      BOOST_TEST((a != 0) != (b != 0));
      BOOST_TEST((s.index == 0) == (a != 0));
      BOOST_TEST(!timer.try_recv(&a));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_due_timer_is_as_good_an_arm_as_a_ready_channel) {
  run([] {
    int chosen[2] = {0, 0};
    Chan<int> ready(1);
    ready.send(0);
    for (int i = 0; i < 1000; i++) {
      TimerChan timer = after(0);
      int v;
      SelectCase arms[] = {timer.receive(), {ready.ref().get(), SelectCase::Recv, &v}};
      int index = select(arms, 2, false).index;
      if (index == 1) ready.send(0);
      chosen[index]++;
    }
    // 500 with a standard deviation of 16.
    BOOST_TEST(chosen[0] > 350);
    BOOST_TEST(chosen[1] > 350);
  });
}

BOOST_AUTO_TEST_CASE(a_select_that_times_out_leaves_the_timer_alone) {
  run([] {
    ChanTimer timer(kHour);
    Chan<int> other(0);
    int v;
    SelectCase arms[] = {timer.c().receive(), {other.ref().get(), SelectCase::Recv, &v}};
    BOOST_TEST((select(arms, 2, false, soon()).outcome == Outcome::TimedOut));
    double when;
    BOOST_TEST(!timer.c().recv_until(&when, soon()));
    BOOST_TEST(timer.stop());
  });
}

BOOST_AUTO_TEST_SUITE_END()
