// Channel: the type-erased channel. Behaviours are those of Go's test/chan and runtime/chan_test.go where a name is given.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "gort/base/errors.h"
#include "gort/base/random.h"
#include "gort/chan/channel.h"
#include "gort/chan/select.h"
#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"
#include "../waiting.h"

using namespace gort;
using namespace gort::testing;

namespace {

ChannelRef make_ints(int64_t capacity) { return Channel::make(element_type<int64_t>(), capacity); }

bool put(const ChannelRef& ch, int64_t v, Nanos deadline = kForever) { return ch->send(&v, deadline) == Outcome::Fired; }

int64_t take(const ChannelRef& ch) {
  int64_t v = -1;
  Received r = ch->recv(&v);
  return r.outcome == Outcome::Fired && r.ok ? v : -1;
}

// Counts how often it is destroyed.
struct Counted {
  std::atomic<int>* destroyed;
};
const ElementType& counted_type() {
  static const ElementType type{"Counted", sizeof(Counted), alignof(Counted), true,
                                [](void* e) { static_cast<Counted*>(e)->destroyed->fetch_add(1); }};
  return type;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(channel)

BOOST_AUTO_TEST_CASE(make_refuses_sizes_that_cannot_be) {
  for (int64_t capacity : {int64_t(-1), INT64_MIN, INT64_MAX, int64_t(1) << 60}) {
    BOOST_TEST(text_of<Panic>([&] { make_ints(capacity); }) == "makechan: size out of range");
  }
}

BOOST_AUTO_TEST_CASE(a_plain_thread_may_use_a_channel) {
  ChannelRef ch = make_ints(2);
  BOOST_TEST(put(ch, 1));
  BOOST_TEST(put(ch, 2));
  BOOST_TEST(!put(ch, 3, kPast));
  BOOST_TEST(take(ch) == 1);
  go([ch] { put(ch, 3), put(ch, 4); });
  BOOST_TEST(take(ch) == 2);
  BOOST_TEST(take(ch) == 3);
  BOOST_TEST(take(ch) == 4);
}

// runtime/chan_test.go TestChan
BOOST_AUTO_TEST_CASE(every_capacity_blocks_when_empty_or_full_and_drains_after_close) {
  run([] {
    for (int64_t capacity = 0; capacity < 100; capacity++) {
      ChannelRef ch = make_ints(capacity);
      int64_t v = 7;
      BOOST_REQUIRE(ch->try_recv(&v) == TryReceived::WouldBlock);
      BOOST_REQUIRE(v == 7);
      for (int64_t i = 0; i < capacity; i++) BOOST_REQUIRE(ch->try_send(&i));
      BOOST_REQUIRE(!ch->try_send(&v));
      BOOST_REQUIRE(ch->length() == capacity);
      BOOST_REQUIRE(ch->capacity() == capacity);
      ch->close();
      for (int64_t i = 0; i < capacity; i++) {
        Received r = ch->recv(&v);
        BOOST_REQUIRE((r.outcome == Outcome::Fired && r.ok && v == i));
      }
      v = 7;
      Received r = ch->recv(&v);
      BOOST_REQUIRE((r.outcome == Outcome::Fired && !r.ok && v == 0));
      v = 7;
      BOOST_REQUIRE(ch->try_recv(&v) == TryReceived::Closed);
      BOOST_REQUIRE(v == 0);
      ch->verify();
    }
  });
}

BOOST_AUTO_TEST_CASE(a_blocked_receiver_gets_the_value_of_the_next_send) {
  run([] {
    for (int64_t capacity : {0, 1, 10}) {
      ChannelRef ch = make_ints(capacity);
      std::atomic<int64_t> got{-1};
      WaitGroup wg;
      wg.go([&] { got = take(ch); });
      until([&] { return ch->waiting_receivers() == 1; });
      put(ch, 42);
      BOOST_TEST(ch->length() == 0);  // straight to the receiver, also with a buffer
      wg.wait();
      BOOST_TEST(got == 42);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_blocked_sender_puts_its_value_behind_those_in_the_buffer) {
  run([] {
    ChannelRef ch = make_ints(2);
    put(ch, 0), put(ch, 1);
    WaitGroup wg;
    wg.go([&] { put(ch, 2); });
    until([&] { return ch->waiting_senders() == 1; });
    std::vector<int64_t> offered;
    ch->for_each_waiting_sender([&](void* e) { offered.push_back(*static_cast<int64_t*>(e)); });
    BOOST_TEST(offered == std::vector<int64_t>{2});
    BOOST_TEST(take(ch) == 0);
    BOOST_TEST(ch->length() == 2);
    BOOST_TEST(take(ch) == 1);
    BOOST_TEST(take(ch) == 2);
    wg.wait();
    ch->verify();
  });
}

// test/chan/fifo.go
BOOST_AUTO_TEST_CASE(waiting_receivers_and_senders_are_served_first_come_first_served) {
  run([] {
    constexpr int kWaiters = 20;
    ChannelRef ch = make_ints(0);
    std::atomic<int64_t> got[kWaiters] = {};
    WaitGroup wg;
    for (int i = 0; i < kWaiters; i++) {
      wg.go([&, i] { got[i] = take(ch); });
      until([&] { return ch->waiting_receivers() == size_t(i + 1); });
    }
    for (int i = 0; i < kWaiters; i++) put(ch, 100 + i);
    wg.wait();
    for (int i = 0; i < kWaiters; i++) BOOST_TEST(got[i] == 100 + i);

    for (int i = 0; i < kWaiters; i++) {
      wg.go([&, i] { put(ch, 200 + i); });
      until([&] { return ch->waiting_senders() == size_t(i + 1); });
    }
    for (int i = 0; i < kWaiters; i++) BOOST_TEST(take(ch) == 200 + i);
    wg.wait();
  });
}

BOOST_AUTO_TEST_CASE(misuse_has_the_texts_of_go) {
  run([] {
    ChannelRef ch = make_ints(1);
    ch->close();
    int64_t v = 5;
    BOOST_TEST(text_of<Panic>([&] { (void)ch->send(&v); }) == "send on closed channel");
    BOOST_TEST(text_of<Panic>([&] { (void)ch->send(&v, kPast); }) == "send on closed channel");
    BOOST_TEST(text_of<Panic>([&] { (void)ch->try_send(&v); }) == "send on closed channel");
    BOOST_TEST(text_of<Panic>([&] { ch->close(); }) == "close of closed channel");
    BOOST_TEST(text_of<Panic>([&] { close_nil(); }) == "close of nil channel");
    BOOST_TEST(ch->closed());
  });
}

// test/chan/select3.go, the blocking half of the table of nil channels
BOOST_AUTO_TEST_CASE(a_nil_channel_blocks_both_ways_until_the_deadline) {
  run([] {
    BOOST_TEST((nil_send(kPast) == Outcome::TimedOut));
    BOOST_TEST((nil_recv(kPast) == Outcome::TimedOut));
    BOOST_TEST((nil_send(soon()) == Outcome::TimedOut));
    BOOST_TEST((nil_recv(soon()) == Outcome::TimedOut));
  });
}

BOOST_AUTO_TEST_CASE(closing_wakes_ten_thousand_receivers) {
  run([] {
    for (int64_t capacity : {0, 3}) {
      ChannelRef ch = make_ints(capacity);
      std::atomic<int> closed{0};
      WaitGroup wg;
      for (int i = 0; i < kManyGoroutines; i++) {
        wg.go([&] {
          int64_t v = 7;
          Received r = ch->recv(&v);
          if (r.outcome == Outcome::Fired && !r.ok && v == 0) closed++;
        });
      }
      until([&] { return ch->waiting_receivers() == size_t(kManyGoroutines); });
      ch->close();
      wg.wait();
      BOOST_TEST(closed == kManyGoroutines);
      BOOST_TEST(ch->waiting_receivers() == 0u);
    }
  });
}

BOOST_AUTO_TEST_CASE(closing_makes_waiting_senders_panic_and_they_keep_their_values) {
  run([] {
    for (int64_t capacity : {0, 1}) {
      std::atomic<int> destroyed{0}, panics{0};
      {
        ChannelRef ch = Channel::make(counted_type(), capacity);
        Counted buffered{&destroyed};
        if (capacity) (void)ch->send(&buffered);
        WaitGroup wg;
        for (int i = 0; i < 50; i++) {
          wg.go([&] {
            Counted c{&destroyed};
            if (text_of<Panic>([&] { (void)ch->send(&c); }) == "send on closed channel") panics++;
          });
        }
        until([&] { return ch->waiting_senders() == 50; });
        ch->close();
        wg.wait();
        BOOST_TEST(panics == 50);
        BOOST_TEST(ch->length() == capacity);
        BOOST_TEST(destroyed == 0);
      }
      BOOST_TEST(destroyed == capacity);
    }
  });
}

BOOST_AUTO_TEST_CASE(the_last_reference_destroys_what_is_left_in_the_buffer) {
  std::atomic<int> destroyed{0};
  ChannelRef ch = Channel::make(counted_type(), 5);
  Counted c{&destroyed};
  for (int i = 0; i < 4; i++) BOOST_TEST(ch->try_send(&c));
  BOOST_TEST((ch->try_recv(&c) == TryReceived::Value));
  BOOST_TEST(ch->try_send(&c));
  BOOST_TEST(ch->try_send(&c));  // the ring has wrapped
  int seen = 0;
  ch->for_each_buffered([&](void* e) { seen += static_cast<Counted*>(e)->destroyed == &destroyed; });
  BOOST_TEST(seen == 5);
  ChannelRef other = ch;
  ch = nullptr;
  BOOST_TEST(destroyed == 0);
  other = nullptr;
  BOOST_TEST(destroyed == 5);
}

// test/chan/zerosize.go
BOOST_AUTO_TEST_CASE(elements_of_size_zero_are_counted) {
  run([] {
    ChannelRef ch = Channel::make(element_type<Empty>(), 4);
    BOOST_TEST(ch->type().size == 0u);
    for (int i = 0; i < 4; i++) BOOST_TEST(ch->try_send(nullptr));
    BOOST_TEST(!ch->try_send(nullptr));
    BOOST_TEST(ch->length() == 4);
    ch->close();
    for (int i = 0; i < 4; i++) BOOST_TEST(ch->recv(nullptr).ok);
    BOOST_TEST(!ch->recv(nullptr).ok);

    ChannelRef unbuffered = Channel::make(element_type<Empty>(), 0);
    go([=] { (void)unbuffered->send(nullptr); });
    BOOST_TEST(unbuffered->recv(nullptr).ok);
    BOOST_REQUIRE_NO_THROW(Channel::make(element_type<Empty>(), INT64_MAX));
  });
}

BOOST_AUTO_TEST_CASE(elements_of_any_size_and_alignment_arrive_whole) {
  struct alignas(64) Big {
    unsigned char bytes[320];
  };
  struct Odd {
    char bytes[13];
  };
  run([] {
    ChannelRef big = Channel::make(element_type<Big>(), 3), odd = Channel::make(element_type<Odd>(), 3);
    bool aligned = true;
    for (int round = 0; round < 10; round++) {
      Big b;
      Odd o;
      for (size_t i = 0; i < sizeof(b); i++) b.bytes[i] = static_cast<unsigned char>(i + size_t(round));
      for (size_t i = 0; i < sizeof(o); i++) o.bytes[i] = char(int(i) * round);
      BOOST_REQUIRE(big->try_send(&b));
      BOOST_REQUIRE(odd->try_send(&o));
      big->for_each_buffered([&](void* e) { aligned = aligned && reinterpret_cast<uintptr_t>(e) % 64 == 0; });
      Big b2{};
      Odd o2{};
      BOOST_REQUIRE((big->try_recv(&b2) == TryReceived::Value));
      BOOST_REQUIRE((odd->try_recv(&o2) == TryReceived::Value));
      BOOST_REQUIRE(memcmp(&b, &b2, sizeof(b)) == 0);
      BOOST_REQUIRE(memcmp(&o, &o2, sizeof(o)) == 0);
    }
    BOOST_TEST(aligned);
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_that_has_passed_tries_once) {
  run([] {
    ChannelRef ch = make_ints(1);
    int64_t v = 9;
    BOOST_TEST((ch->recv(&v, kPast).outcome == Outcome::TimedOut));
    BOOST_TEST(v == 9);
    BOOST_TEST((ch->send(&v, kPast) == Outcome::Fired));
    BOOST_TEST((ch->send(&v, kPast) == Outcome::TimedOut));
    BOOST_TEST(ch->recv(&v, kPast).ok);
    ch->close();
    Received r = ch->recv(&v, kPast);
    BOOST_TEST((r.outcome == Outcome::Fired && !r.ok));
  });
}

BOOST_AUTO_TEST_CASE(a_wait_that_times_out_leaves_nothing_behind) {
  run([] {
    ChannelRef ch = make_ints(0);
    int64_t v = 3;
    BOOST_TEST((ch->recv(&v, soon()).outcome == Outcome::TimedOut));
    BOOST_TEST((ch->send(&v, soon()) == Outcome::TimedOut));
    BOOST_TEST(ch->waiting_receivers() == 0u);
    BOOST_TEST(ch->waiting_senders() == 0u);
    BOOST_TEST(!ch->try_send(&v));
    BOOST_TEST((ch->try_recv(&v) == TryReceived::WouldBlock));
    BOOST_TEST(v == 3);
  });
}

BOOST_AUTO_TEST_CASE(a_wait_that_is_interrupted_leaves_nothing_behind) {
  run([] {
    ChannelRef ch = make_ints(0);
    std::atomic<G*> waiter{nullptr};
    std::atomic<int> outcome{0};
    for (bool sends : {false, true}) {
      WaitGroup wg;
      wg.go([&] {
        waiter = current();
        int64_t v = 1;
        outcome = int(sends ? ch->send(&v) : ch->recv(&v).outcome);
      });
      until([&] { return ch->waiting_receivers() + ch->waiting_senders() == 1; });
      interrupt(waiter);
      wg.wait();
      BOOST_TEST(outcome == int(Outcome::Interrupted));
      BOOST_TEST(ch->waiting_receivers() + ch->waiting_senders() == 0u);
    }
  });
}

BOOST_AUTO_TEST_CASE(stats_count_values_that_passed) {
  run([] {
    ChannelRef ch = make_ints(2);
    put(ch, 1), put(ch, 2);
    take(ch);
    go([=] { put(ch, 3), put(ch, 4), ch->close(); });
    int64_t v;
    while (ch->recv(&v).ok) {}
    BOOST_TEST(ch->stats().sent == 4u);
    BOOST_TEST(ch->stats().received == 4u);
    BOOST_TEST(ch->stats().high_water == 2u);
    ch->verify();
  });
}

// The sender that is woken looked at the channel once more, to count its wait.
BOOST_AUTO_TEST_CASE(a_woken_sender_does_not_need_the_channel_any_more) {
  run([] {
    for (int i = 0; i < 100; i++) {
      ChannelRef ch = make_ints(0);
      go([channel = ch.get()] {
        int64_t v = 1;
        (void)channel->send(&v);
      });
      while (ch->waiting_senders() == 0) yield();
      if (i == 0) (void)sleep_until(deadline_after(30 * kMillisecond));   // the wait counts
      int64_t v;
      (void)ch->recv(&v);
    }
  });
}

BOOST_AUTO_TEST_CASE(stats_tell_how_long_sends_receives_and_selects_have_waited) {
  run([] {
    ChannelRef ch = make_ints(0), other = make_ints(0);
    // Whether ch counts most of the 50 ms that `wait` waits at least. The clock that it goes by may be late once, on a machine that stands still.
    auto counts = [&](auto wait, auto wake) {
      for (int i = 0; i < 20; i++) {
        Nanos before = ch->stats().blocked;
        WaitGroup wg;
        wg.add(1);
        go([&] { wait(), wg.done(); });
        while (ch->waiting_receivers() + ch->waiting_senders() == 0) yield();
        (void)sleep_until(deadline_after(50 * kMillisecond));
        wake();
        wg.wait();
        if (ch->stats().blocked - before >= 30 * kMillisecond) return true;
      }
      return false;
    };
    int64_t v;
    SelectCase arms[] = {{other.get(), SelectCase::Recv, &v}, {ch.get(), SelectCase::Recv, &v}};
    BOOST_TEST(counts([&] { take(ch); }, [&] { put(ch, 1); }));
    BOOST_TEST(counts([&] { put(ch, 1); }, [&] { take(ch); }));
    BOOST_TEST(counts([&] { (void)select(arms, 2, false); }, [&] { put(ch, 1); }));
    BOOST_TEST(counts([&] { (void)ch->recv(&v, deadline_after(50 * kMillisecond)); }, [] {}));
    BOOST_TEST(other->stats().blocked == 0);
  });
}

// runtime/chan_test.go TestNonblockRecvRace
BOOST_AUTO_TEST_CASE(a_non_blocking_receive_never_misses_a_value_or_the_close) {
  run([] {
    int missed = 0;
    for (int i = 0; i < 1000 * kRounds; i++) {
      ChannelRef ch = make_ints(1);
      put(ch, 1);
      std::atomic<bool> would_block{false};
      WaitGroup wg;
      wg.go([&] {
        int64_t v;
        would_block = ch->try_recv(&v) == TryReceived::WouldBlock;
      });
      ch->close();
      take(ch);
      wg.wait();
      missed += would_block;
    }
    BOOST_TEST(missed == 0);
  });
}

// runtime/chan_test.go TestMultiConsumer
BOOST_AUTO_TEST_CASE(many_consumers_handle_every_item_once) {
  run([] {
    const int64_t primes[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31};
    const int64_t items = 1000 * kRounds;
    ChannelRef work = make_ints(23 * 2), results = make_ints(23 * 3);
    WaitGroup wg;
    for (int i = 0; i < 23; i++) {
      wg.go([&] {
        int64_t v;
        while (work->recv(&v).ok) {
          if (v % 7 == 0) yield();
          put(results, v);
        }
      });
    }
    int64_t expected = 0;
    for (int64_t i = 0; i < items; i++) expected += primes[i % 11];
    go([=] {
      for (int64_t i = 0; i < items; i++) put(work, primes[i % 11]);
      work->close();
    });
    go([&] {
      wg.wait();
      results->close();
    });
    int64_t sum = 0, count = 0, v;
    while (results->recv(&v).ok) sum += v, count++;
    BOOST_TEST(count == items);
    BOOST_TEST(sum == expected);
  });
}

// test/chan/goroutines.go
BOOST_AUTO_TEST_CASE(a_value_passes_through_a_chain_of_goroutines) {
  run([] {
    ChannelRef first = make_ints(0), left = first;
    for (int i = 0; i < kManyGoroutines; i++) {
      ChannelRef right = make_ints(0);
      go([left, right] { put(left, take(right) + 1); });
      left = right;
    }
    put(left, 0);
    BOOST_TEST(take(first) == kManyGoroutines);
  });
}

// A model: one goroutine, random operations that never block, compared with a deque.
BOOST_AUTO_TEST_CASE(random_operations_agree_with_a_model) {
  run([] {
    for (uint64_t seed = 1; seed <= 200; seed++) {
      Xorshift random(seed);
      int64_t capacity = random.below(9);
      ChannelRef ch = make_ints(capacity);
      std::deque<int64_t> model;
      bool closed = false;
      for (int64_t step = 0; step < 300; step++) {
        int64_t v = step;
        switch (random.below(20)) {
          case 0:
            if (random.below(10) != 0) break;
            BOOST_REQUIRE_EQUAL(text_of<Panic>([&] { ch->close(); }), closed ? "close of closed channel" : "(nothing was thrown)");
            closed = true;
            break;
          case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 8: case 9: {
            bool sent = false;
            bool timed = random.below(2);
            std::string panic = text_of<Panic>([&] { sent = timed ? put(ch, v, kPast) : ch->try_send(&v); });
            BOOST_REQUIRE_EQUAL(panic == "send on closed channel", closed);
            BOOST_REQUIRE_EQUAL(sent, !closed && int64_t(model.size()) < capacity);
            if (sent) model.push_back(v);
            break;
          }
          default: {
            TryReceived r;
            if (random.below(2)) {
              r = ch->try_recv(&v);
            } else {
              Received w = ch->recv(&v, kPast);
              r = w.outcome == Outcome::TimedOut ? TryReceived::WouldBlock : w.ok ? TryReceived::Value : TryReceived::Closed;
            }
            auto expected = !model.empty() ? TryReceived::Value : closed ? TryReceived::Closed : TryReceived::WouldBlock;
            BOOST_REQUIRE(r == expected);
            BOOST_REQUIRE_EQUAL(v, r == TryReceived::Value ? model.front() : r == TryReceived::Closed ? 0 : step);
            if (r == TryReceived::Value) model.pop_front();
          }
        }
        BOOST_REQUIRE_EQUAL(ch->length(), int64_t(model.size()));
        ch->verify();
      }
    }
  });
}

// Every way of giving up, against every way of handing over: what was sent is received, once, and in order of its sender.
BOOST_AUTO_TEST_CASE(values_are_neither_lost_nor_doubled_when_both_sides_give_up_at_random) {
  run([] {
    constexpr int kSenders = 6, kReceivers = 6;
    const int each = 300 * kRounds;
    for (uint64_t seed = 1; seed <= 4; seed++) {
      ChannelRef ch = make_ints(int64_t(seed % 3));
      std::vector<std::vector<int64_t>> sent(kSenders), got(kReceivers);
      WaitGroup senders, receivers;
      auto some_deadline = [](Xorshift& random) {
        switch (random.below(4)) {
          case 0: return kPast;
          case 1: return kForever;
          default: return deadline_after(random.below(20'000));
        }
      };
      for (int s = 0; s < kSenders; s++) {
        senders.go([&, s] {
          Xorshift random(seed * 100 + uint64_t(s));
          for (int i = 0; i < each; i++) {
            int64_t v = int64_t(s) << 32 | i;
            if (put(ch, v, some_deadline(random))) sent[size_t(s)].push_back(v);
            if (random.below(4) == 0) yield();
          }
        });
      }
      for (int r = 0; r < kReceivers; r++) {
        receivers.go([&, r] {
          Xorshift random(seed * 1000 + uint64_t(r));
          for (;;) {
            int64_t v = -1;
            Received x = ch->recv(&v, some_deadline(random));
            if (x.outcome == Outcome::Fired && !x.ok) return;
            if (x.outcome == Outcome::Fired) got[size_t(r)].push_back(v);
            if (random.below(4) == 0) yield();
          }
        });
      }
      senders.wait();
      ch->close();
      receivers.wait();
      std::vector<std::vector<int64_t>> by_sender(kSenders);
      bool in_order = true;
      for (auto& values : got) {
        std::vector<int64_t> last(kSenders, -1);
        for (int64_t v : values) {
          size_t s = size_t(v >> 32);
          in_order = in_order && v > last[s];
          last[s] = v;
          by_sender[s].push_back(v);
        }
      }
      BOOST_TEST(in_order);
      for (size_t s = 0; s < kSenders; s++) {
        std::sort(by_sender[s].begin(), by_sender[s].end());
        BOOST_TEST((by_sender[s] == sent[s]));
      }
      ch->verify();
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
