// The semaphore table.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <memory>
#include <vector>

#include "../waiting.h"
#include "gort/base/random.h"
#include "gort/sched/go.h"
#include "gort/sync/semaphore.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

using Semaphore = std::atomic<uint32_t>;

// A goroutine that acquires; waiting() turns true once it is in the queue (seen through its wait reason).
struct Acquirer {
  std::atomic<G*> g{nullptr};
  std::atomic<int> outcome{0};
  std::atomic<int> place{-1};  // the how-manieth it was to get its permit
  void go(WaitGroup& wg, Semaphore& s, std::atomic<int>& order, bool lifo = false, Nanos deadline = kForever) {
    wg.go([&, lifo, deadline] {
      g = current();
      outcome = int(semacquire(s, lifo, WaitReason::Semacquire, deadline));
      if (outcome == int(Outcome::Fired)) place = order++;
    });
  }
  bool waiting() const {
    G* who = g.load();
    return who && who->wait_reason.load() == WaitReason::Semacquire;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(semaphore)

BOOST_AUTO_TEST_CASE(permits_are_taken_without_waiting_while_there_are_some) {
  run([] {
    Semaphore s{2};
    BOOST_TEST((semacquire(s) == Outcome::Fired));
    BOOST_TEST(try_semacquire(s));
    BOOST_TEST(!try_semacquire(s));
    BOOST_TEST((semacquire(s, false, WaitReason::Semacquire, kPast) == Outcome::TimedOut));
    BOOST_TEST((semacquire(s, false, WaitReason::Semacquire, soon()) == Outcome::TimedOut));
    semrelease(s);
    BOOST_TEST(s == 1u);
    BOOST_TEST(try_semacquire(s));
  });
}

BOOST_AUTO_TEST_CASE(sleepers_are_woken_in_order_and_lifo_ones_first) {
  run([] {
    Semaphore s{0};
    std::atomic<int> order{0};
    WaitGroup wg;
    Acquirer a[6];
    for (int i = 0; i < 6; i++) {
      a[i].go(wg, s, order, i >= 4);
      until([&] { return a[i].waiting(); });
    }
    for (int i = 0; i < 6; i++) {
      semrelease(s, true);
      until([&] { return order == i + 1; });
    }
    wg.wait();
    const int places[] = {2, 3, 4, 5, 1, 0};
    for (int i = 0; i < 6; i++) BOOST_TEST(a[i].place == places[i]);
    BOOST_TEST(s == 0u);
  });
}

BOOST_AUTO_TEST_CASE(many_addresses_of_one_bucket_do_not_mix) {
  run([] {
    constexpr size_t kSame = 251 * 8 / sizeof(Semaphore);  // so far apart, two semaphores fall into one bucket
    auto memory = std::make_unique<Semaphore[]>(10 * kSame);
    std::atomic<int> order{0};
    WaitGroup wg;
    Acquirer a[10][3];
    for (size_t i = 0; i < 10; i++) {
      for (auto& one : a[i]) {
        one.go(wg, memory[i * kSame], order);
        until([&] { return one.waiting(); });
      }
    }
    int expected[10][3];
    for (int round = 0, place = 0; round < 3; round++) {
      for (size_t i : {3, 0, 9, 5, 1, 2, 8, 4, 7, 6}) {
        semrelease(memory[i * kSame]);
        expected[i][round] = place++;
        until([&] { return order == place; });
      }
    }
    wg.wait();
    for (size_t i = 0; i < 10; i++) {
      for (int round = 0; round < 3; round++) BOOST_TEST(a[i][round].place == expected[i][round]);
    }
  });
}

// Go: sync/mutex_test.go TestSemaphore
BOOST_AUTO_TEST_CASE(one_permit_goes_round_among_many) {
  run([] {
    Semaphore s{1};
    std::atomic<int> inside{0}, wrong{0};
    WaitGroup wg;
    for (int k = 0; k < 10; k++) {
      wg.go([&] {
        for (int i = 0; i < 100 * kRounds; i++) {
          if (semacquire(s) != Outcome::Fired || inside.fetch_add(1) != 0) wrong++;
          if (i % 16 == 0) yield();
          inside--;
          semrelease(s);
        }
      });
    }
    wg.wait();
    BOOST_TEST(wrong == 0);
    BOOST_TEST(s == 1u);
  });
}

BOOST_AUTO_TEST_CASE(a_sleeper_in_the_middle_that_gives_up_leaves_the_others_in_order) {
  run([] {
    for (int out = 0; out < 4; out++) {
      Semaphore s{0};
      std::atomic<int> order{0};
      WaitGroup wg;
      Acquirer a[4];
      for (auto& one : a) {
        one.go(wg, s, order);
        until([&] { return one.waiting(); });
      }
      interrupt(a[out].g);
      until([&] { return a[out].outcome == int(Outcome::Interrupted); });
      for (int i = 0; i < 3; i++) {
        semrelease(s);
        until([&] { return order == i + 1; });
      }
      wg.wait();
      for (int i = 0, place = 0; i < 4; i++) {
        if (i != out) BOOST_TEST(a[i].place == place++);
      }
      BOOST_TEST(s == 0u);
    }
  });
}

BOOST_AUTO_TEST_CASE(no_permit_is_lost_when_sleepers_give_up_at_random) {
  run([] {
    for (uint64_t seed = 1; seed <= 5; seed++) {
      Semaphore s{2};
      std::atomic<int> inside{0}, too_many{0}, acquired{0};
      WaitGroup wg;
      for (uint64_t k = 0; k < 8; k++) {
        wg.go([&, k] {
          Xorshift random(seed * 100 + k);
          for (int i = 0; i < 300 * kRounds; i++) {
            Nanos deadline = random.below(3) ? deadline_after(random.below(20'000)) : kForever;
            if (semacquire(s, random.below(2), WaitReason::Semacquire, deadline) != Outcome::Fired) continue;
            acquired++;
            if (++inside > 2) too_many++;
            if (random.below(3) == 0) yield();
            --inside;
            semrelease(s, random.below(2));
          }
        });
      }
      wg.wait();
      BOOST_TEST(too_many == 0);
      BOOST_TEST(acquired > 0);
      BOOST_TEST(s == 2u);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
