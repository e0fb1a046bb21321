// select. Behaviours are those of Go's test/chan/select*.go and runtime/chan_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/chan/select.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

namespace {

using Ints = Chan<int64_t>;

SelectCase recv_from(const Ints& ch, int64_t* v) { return {ch.ref().get(), SelectCase::Recv, v}; }
SelectCase send_to(const Ints& ch, int64_t* v) { return {ch.ref().get(), SelectCase::Send, v}; }

size_t waiters(const Ints& ch) { return ch.ref()->waiting_receivers() + ch.ref()->waiting_senders(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(select_statement)

// test/chan/select3.go
BOOST_AUTO_TEST_CASE(the_table_of_ready_and_blocked_channels_holds) {
  run([] {
    Ints nil, open(0), full(1), ready(2), closed(0);
    full.send(1);
    ready.send(1);
    closed.close();
    int64_t v = 5;
    auto alone = [&](SelectCase c, bool has_default, Nanos deadline) { return select(&c, 1, has_default, deadline); };
    auto among_nils = [&](SelectCase c, bool has_default, Nanos deadline) {
      SelectCase cases[] = {recv_from(nil, &v), c, send_to(nil, &v)};
      Selected s = select(cases, 3, has_default, deadline);
      if (s.index == 1) s.index = 0;
      return s;
    };
    auto blocks = [&](SelectCase c) {
      bool all = true;
      for (Nanos deadline : {kPast, soon()}) {
        all = all && alone(c, false, deadline).outcome == Outcome::TimedOut;
        all = all && among_nils(c, false, deadline).outcome == Outcome::TimedOut;
      }
      all = all && alone(c, true, kForever).index == -1 && among_nils(c, true, kForever).index == -1;
      return all && v == 5;
    };
    BOOST_TEST(blocks(recv_from(nil, &v)));
    BOOST_TEST(blocks(send_to(nil, &v)));
    BOOST_TEST(blocks(recv_from(open, &v)));
    BOOST_TEST(blocks(send_to(open, &v)));
    BOOST_TEST(blocks(send_to(full, &v)));
    for (auto* with : {+[](SelectCase c) { return select(&c, 1, true); }, +[](SelectCase c) {
                         SelectCase cases[] = {{nullptr, SelectCase::Recv, nullptr}, c};
                         return select(cases, 2, false);
                       }}) {
      v = 5;
      Selected s = with(send_to(ready, &v));
      BOOST_TEST((s.outcome == Outcome::Fired && s.index >= 0 && !s.ok));
      s = with(recv_from(ready, &v));
      BOOST_TEST((s.outcome == Outcome::Fired && s.index >= 0 && s.ok));
      v = 5;
      s = with(recv_from(closed, &v));
      BOOST_TEST((s.outcome == Outcome::Fired && s.index >= 0 && !s.ok && v == 0));
      BOOST_TEST(text_of<Panic>([&] { (void)with(send_to(closed, &v)); }) == "send on closed channel");
    }
  });
}

BOOST_AUTO_TEST_CASE(no_case_at_all_blocks_or_takes_the_default) {
  run([] {
    BOOST_TEST(select(nullptr, 0, true).index == -1);
    BOOST_TEST((select(nullptr, 0, false, kPast).outcome == Outcome::TimedOut));
    BOOST_TEST((select(nullptr, 0, false, soon()).outcome == Outcome::TimedOut));
  });
}

BOOST_AUTO_TEST_CASE(there_may_be_65536_cases_and_not_one_more) {
  run([] {
    std::vector<Ints> chans;
    for (int i = 0; i < 3; i++) chans.emplace_back(1);
    std::vector<int64_t> in(65537);
    std::vector<SelectCase> cases;
    for (size_t i = 0; i < in.size(); i++) cases.push_back(recv_from(chans[i % 3], &in[i]));
    BOOST_TEST(text_of<Panic>([&] { (void)select(cases.data(), cases.size(), true); }) ==
               "reflect.Select: too many cases (max 65536)");
    BOOST_TEST(select(cases.data(), 65536, true).index == -1);
    BOOST_TEST((select(cases.data(), 65536, false, soon()).outcome == Outcome::TimedOut));
    BOOST_TEST(waiters(chans[0]) == 0u);
    chans[1].send(7);
    Selected s = select(cases.data(), 65536, false);
    BOOST_TEST(s.index % 3 == 1);
    BOOST_TEST(in[size_t(s.index)] == 7);
  });
}

// runtime/chan_test.go TestSelectFairness: of two cases that are always ready each is taken about half the time.
BOOST_AUTO_TEST_CASE(ready_cases_are_chosen_with_equal_probability) {
  run([] {
    for (int others = 0; others <= 10; others += 5) {
      constexpr int kTrials = 10'000;
      Ints a(kTrials), b(kTrials);
      for (int i = 0; i < kTrials; i++) a.send(1), b.send(2);
      std::vector<Ints> never(size_t(others), Ints(0));
      int64_t v;
      std::vector<SelectCase> cases;
      for (auto& ch : never) cases.push_back(recv_from(ch, &v));
      cases.push_back(recv_from(a, &v));
      cases.push_back(recv_from(b, &v));
      int of_a = 0;
      for (int i = 0; i < kTrials; i++) {
        BOOST_REQUIRE(select(cases.data(), cases.size(), false).ok);
        of_a += v == 1;
      }
      BOOST_TEST(std::abs(of_a - kTrials / 2) <= 10 * 50);  // ten standard deviations
    }
  });
}

// runtime/chan_test.go TestPseudoRandomSend
BOOST_AUTO_TEST_CASE(two_sends_on_one_channel_are_chosen_at_random) {
  run([] {
    for (int64_t capacity : {0, 200}) {
      Ints ch(capacity);
      int ones = 0;
      WaitGroup wg;
      wg.go([&] {
        for (int i = 0; i < 200; i++) {
          yield();
          ones += ch.recv() == 1;
        }
      });
      for (int i = 0; i < 200; i++) {
        int64_t zero = 0, one = 1;
        SelectCase cases[] = {send_to(ch, &one), send_to(ch, &zero)};
        BOOST_REQUIRE((select(cases, 2, false).outcome == Outcome::Fired));
      }
      wg.wait();
      BOOST_TEST(ones > 20);
      BOOST_TEST(ones < 180);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_parked_select_is_woken_by_either_arm) {
  run([] {
    for (int arm = 0; arm < 4; arm++) {
      Ints a(0), b(0), c(1), d(1);
      c.send(30);
      d.send(40);
      std::atomic<int> index{-2};
      std::atomic<int64_t> got{-1};
      WaitGroup wg;
      wg.go([&] {
        int64_t va = -1, vb = -1, vc = 31, vd = 41;
        SelectCase cases[] = {recv_from(a, &va), recv_from(b, &vb), send_to(c, &vc), send_to(d, &vd)};
        Selected s = select(cases, 4, false);
        got = s.index == 0 ? va : s.index == 1 ? vb : 0;
        index = s.index;
      });
      until([&] { return waiters(a) + waiters(b) + waiters(c) + waiters(d) == 4; });
      if (arm == 0) a.send(10);
      if (arm == 1) b.send(20);
      if (arm == 2) c.recv();
      if (arm == 3) d.recv();
      wg.wait();
      BOOST_TEST(index == arm);
      if (arm == 0) BOOST_TEST(got == 10);
      if (arm == 1) BOOST_TEST(got == 20);
      if (arm == 2) BOOST_TEST(c.recv() == 31);
      if (arm == 3) BOOST_TEST(d.recv() == 41);
      BOOST_TEST(waiters(a) + waiters(b) + waiters(c) + waiters(d) == 0u);
    }
  });
}

BOOST_AUTO_TEST_CASE(close_wakes_a_parked_select) {
  run([] {
    Ints a(0), b(0);
    std::atomic<int> received{-2};
    std::atomic<bool> ok{true}, panicked{false};
    WaitGroup wg;
    wg.go([&] {
      int64_t v = 9, w = 9;
      SelectCase cases[] = {recv_from(a, &v), recv_from(b, &w)};
      Selected s = select(cases, 2, false);
      ok = s.ok || w != 0;
      received = s.index;
    });
    until([&] { return waiters(a) + waiters(b) == 2; });
    b.close();
    wg.wait();
    BOOST_TEST(received == 1);
    BOOST_TEST(!ok);

    Ints c(0);
    wg.go([&] {
      int64_t v = 9;
      SelectCase cases[] = {recv_from(a, &v), send_to(c, &v)};
      panicked = text_of<Panic>([&] { (void)select(cases, 2, false); }) == "send on closed channel";
    });
    until([&] { return waiters(a) + waiters(c) == 2; });
    c.close();
    wg.wait();
    BOOST_TEST(panicked);
    BOOST_TEST(waiters(a) == 0u);
  });
}

// runtime/chan_test.go TestSelectDuplicateChannel
BOOST_AUTO_TEST_CASE(one_channel_in_several_cases_keeps_its_queue_in_order) {
  run([] {
    Ints c(0), d(0), e(0);
    WaitGroup wg;
    wg.go([&] {
      int64_t v;
      SelectCase cases[] = {recv_from(c, &v), recv_from(c, &v), recv_from(d, &v)};
      (void)select(cases, 3, false);
      e.send(9);
    });
    until([&] { return waiters(c) == 2; });
    wg.go([&] { c.recv(); });
    until([&] { return waiters(c) == 3; });
    d.send(7);
    e.recv();
    until([&] { return waiters(c) == 1; });
    c.send(8);
    wg.wait();
    BOOST_TEST(waiters(c) == 0u);
  });
}

// runtime/chan_test.go TestSelfSelect
BOOST_AUTO_TEST_CASE(a_select_never_talks_to_itself) {
  run([] {
    Ints lonely(0);
    int64_t out = 1, in = 2;
    SelectCase cases[] = {send_to(lonely, &out), recv_from(lonely, &in)};
    BOOST_TEST(select(cases, 2, true).index == -1);
    BOOST_TEST((select(cases, 2, false, soon()).outcome == Outcome::TimedOut));
    for (int64_t capacity : {0, 10}) {
      Ints ch(capacity);
      std::atomic<int> own{0};
      WaitGroup wg;
      for (int64_t p = 0; p < 2; p++) {
        wg.go([&, p] {
          for (int i = 0; i < 100 * kRounds; i++) {
            int64_t send = p, got = -1;
            SelectCase both[] = {send_to(ch, &send), recv_from(ch, &got)};
            if (p == 0 || i % 2 == 0) std::swap(both[0], both[1]);
            Selected s = select(both, 2, false);
            if (both[s.index].dir == SelectCase::Recv && capacity == 0 && got == p) own++;
          }
        });
      }
      wg.wait();
      BOOST_TEST(own == 0);
    }
  });
}

// runtime/chan_test.go TestNonblockSelectRace: a default means that at one instant nothing was ready.
BOOST_AUTO_TEST_CASE(the_default_is_not_taken_while_some_case_is_ready) {
  run([] {
    int wrong = 0;
    for (int i = 0; i < 1000 * kRounds; i++) {
      Ints a(1), b(1);
      a.send(1);
      std::atomic<int> index{-2};
      WaitGroup wg;
      wg.go([&] {
        int64_t v;
        SelectCase cases[] = {recv_from(a, &v), recv_from(b, &v)};
        index = select(cases, 2, true).index;
      });
      b.send(1);  // from here on b is ready; before, a was
      std::optional<int64_t> taken;
      (void)a.try_recv(&taken);
      wg.wait();
      wrong += index == -1;
    }
    BOOST_TEST(wrong == 0);
  });
}

// runtime/chan_test.go TestNonblockSelectRace2: the same with close.
BOOST_AUTO_TEST_CASE(the_default_is_not_taken_while_some_channel_is_closed) {
  run([] {
    int wrong = 0;
    for (int i = 0; i < 1000 * kRounds; i++) {
      Ints a(1), b(0);
      a.send(1);
      std::atomic<int> index{-2};
      WaitGroup wg;
      wg.go([&] {
        int64_t v;
        SelectCase cases[] = {recv_from(a, &v), recv_from(b, &v)};
        index = select(cases, 2, true).index;
      });
      b.close();
      std::optional<int64_t> taken;
      (void)a.try_recv(&taken);
      wg.wait();
      wrong += index == -1;
    }
    BOOST_TEST(wrong == 0);
  });
}

// test/chan/doubleselect.go
BOOST_AUTO_TEST_CASE(a_value_offered_on_several_channels_is_delivered_once) {
  run([] {
    const int64_t n = 2000 * kRounds;
    std::vector<Ints> chans;
    for (int i = 0; i < 4; i++) chans.emplace_back(0);
    Ints merged(0);
    WaitGroup wg;
    go([=] {
      for (int64_t i = 0; i < n; i++) {
        int64_t v = i;
        SelectCase cases[] = {send_to(chans[0], &v), send_to(chans[1], &v), send_to(chans[2], &v), send_to(chans[3], &v)};
        (void)select(cases, 4, false);
      }
      for (auto& ch : chans) ch.close();
    });
    for (auto& ch : chans) {
      wg.go([ch, merged] {
        for (int64_t v : ch) merged.send(v);
      });
    }
    go([&] {
      wg.wait();
      merged.close();
    });
    std::vector<int> seen(size_t(n), 0);
    for (int64_t v : merged) seen[size_t(v)]++;
    BOOST_TEST(std::count(seen.begin(), seen.end(), 1) == n);
  });
}

// test/chan/select6.go: a case that was not chosen leaves the queue.
BOOST_AUTO_TEST_CASE(cases_that_were_not_chosen_do_not_swallow_later_values) {
  run([] {
    Ints c1(0), c2(0), c3(0), c4(0);
    go([=] { c1.recv(); });
    go([=] {
      int64_t v;
      SelectCase cases[] = {recv_from(c1, &v), recv_from(c2, &v)};
      (void)select(cases, 2, false);
      c3.send(1);
    });
    until([&] { return waiters(c1) == 2; });
    go([=] { c2.send(1); });
    c3.recv();
    go([=] {
      c1.send(1);
      c4.send(1);
    });
    c4.recv();
    BOOST_TEST(waiters(c1) == 0u);
  });
}

BOOST_AUTO_TEST_CASE(an_interrupted_select_leaves_all_its_queues) {
  run([] {
    Ints a(0), b(0);
    std::atomic<G*> waiter{nullptr};
    std::atomic<int> outcome{0};
    WaitGroup wg;
    wg.go([&] {
      waiter = current();
      int64_t v = 1;
      SelectCase cases[] = {recv_from(a, &v), send_to(b, &v), send_to(a, &v)};
      outcome = int(select(cases, 3, false).outcome);
    });
    until([&] { return waiters(a) + waiters(b) == 3; });
    interrupt(waiter);
    wg.wait();
    BOOST_TEST(outcome == int(Outcome::Interrupted));
    BOOST_TEST(waiters(a) + waiters(b) == 0u);
  });
}

// runtime/chan_test.go TestSelectStress
BOOST_AUTO_TEST_CASE(plain_operations_and_selects_mix_under_stress) {
  run([] {
    const int n = 1000 * kRounds;
    std::vector<Ints> chans;
    for (int i = 0; i < 4; i++) chans.emplace_back(i < 2 ? 0 : 1 + i);
    WaitGroup wg;
    std::atomic<int64_t> sent{0}, received{0};
    for (int k = 0; k < 4; k++) {
      wg.go([&, k] {
        for (int i = 0; i < n; i++) {
          chans[size_t(k)].send(i);
          sent += i;
        }
      });
      wg.go([&, k] {
        for (int i = 0; i < n; i++) received += chans[size_t(k)].recv();
      });
    }
    wg.go([&] {
      int left[4] = {n, n, n, n};
      for (int i = 0; i < 4 * n; i++) {
        int64_t v[4] = {i, i, i, i};
        SelectCase cases[4];
        for (size_t k = 0; k < 4; k++) cases[k] = send_to(left[k] ? chans[k] : Ints(), &v[k]);
        Selected s = select(cases, 4, false);
        left[s.index]--;
        sent += i;
      }
    });
    wg.go([&] {
      int left[4] = {n, n, n, n};
      for (int i = 0; i < 4 * n; i++) {
        int64_t v[4];
        SelectCase cases[4];
        for (size_t k = 0; k < 4; k++) cases[k] = recv_from(left[k] ? chans[k] : Ints(), &v[k]);
        Selected s = select(cases, 4, false);
        left[s.index]--;
        received += v[s.index];
      }
    });
    wg.wait();
    BOOST_TEST(sent == received);
    for (auto& ch : chans) {
      BOOST_TEST(ch.len() == 0);
      ch.ref()->verify();
    }
  });
}

// Random selects with random deadlines on both sides of a few shared channels: what was sent is received exactly once.
BOOST_AUTO_TEST_CASE(random_selects_that_give_up_lose_and_double_nothing) {
  run([] {
    constexpr int kChans = 3, kParties = 6;
    const int each = 300 * kRounds;
    for (uint64_t seed = 1; seed <= 3; seed++) {
      std::vector<Ints> chans;
      for (int i = 0; i < kChans; i++) chans.emplace_back(int64_t(seed + uint64_t(i)) % 3);
      std::vector<std::vector<int64_t>> sent(kParties), got(kParties);
      std::atomic<int> senders_left{kParties};
      WaitGroup senders, receivers;
      auto party = [&](uint64_t id, bool sends) {
        Xorshift random(seed * 1000 + id * 2 + sends);
        for (int64_t i = 0; sends ? i < each : senders_left > 0; i++) {
          int64_t values[4];
          SelectCase cases[4];
          size_t n = 1 + random.below(4);
          for (size_t k = 0; k < n; k++) {
            values[k] = sends ? int64_t(id) << 40 | i << 8 | int64_t(k) : -1;
            const Ints& ch = chans[random.below(kChans)];
            cases[k] = sends ? send_to(ch, &values[k]) : recv_from(ch, &values[k]);
          }
          bool has_default = random.below(4) == 0;
          Nanos deadline = !sends || random.below(3) ? deadline_after(random.below(20'000)) : kForever;
          Selected s = select(cases, n, has_default, deadline);
          if (s.outcome == Outcome::Fired && s.index >= 0) (sends ? sent : got)[id].push_back(values[s.index]);
        }
      };
      for (uint64_t id = 0; id < kParties; id++) {
        senders.go([&, id] {
          party(id, true);
          senders_left--;
        });
        receivers.go([&, id] { party(id, false); });
      }
      senders.wait();
      receivers.wait();
      std::vector<int64_t> all_sent, all_got;
      for (auto& v : sent) all_sent.insert(all_sent.end(), v.begin(), v.end());
      for (auto& v : got) all_got.insert(all_got.end(), v.begin(), v.end());
      for (auto& ch : chans) {
        std::optional<int64_t> v;
        while (ch.try_recv(&v) == TryReceived::Value) all_got.push_back(*v);
        BOOST_TEST(waiters(ch) == 0u);
        ch.ref()->verify();
      }
      std::sort(all_sent.begin(), all_sent.end());
      std::sort(all_got.begin(), all_got.end());
      BOOST_TEST(all_sent.size() > 0u);
      BOOST_TEST((all_sent == all_got));
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
