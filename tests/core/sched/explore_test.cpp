#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "../waiting.h"
#include "gort/base/tier.h"
#include "gort/chan/select.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/choice.h"
#include "gort/sync/mutex.h"
#include "gort/sync/once.h"
#include "gort/sync/rwmutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;

namespace {

// One P, as replays need, which nobody takes away: between two explored runs slices do end.
struct OneProcessor {
  testing::EndlessSlices endless;
  int before = gomaxprocs(1);
  ~OneProcessor() { gomaxprocs(before); }
};

// Runs body in an explored schedule. REQUIRES: the caller is the only goroutine.
template <class F>
void explored(uint64_t seed, F body) {
  choice::seed(seed);
  choice::explore(true);
  body();
  choice::explore(false);
}

using Trace = std::vector<int>;

// Five goroutines with channels, select and a mutex; who did what in which order.
Trace traced() {
  Trace trace;
  Mutex mutex;
  Chan<int> first(0), second(2), done(0);
  WaitGroup wg;
  auto note = [&](int what) {
    mutex.lock();
    trace.push_back(what);
    mutex.unlock();
  };
  for (int who = 0; who < 2; who++) {
    wg.go([&, who] {
      for (int i = 0; i < 5; i++) {
        (who == 0 ? first : second).send(i);
        note(10 * who + i);
      }
    });
  }
  wg.go([&] {
    for (int i = 0; i < 10; i++) {
      int value;
      SelectCase cases[] = {{first.ref().get(), SelectCase::Recv, &value}, {second.ref().get(), SelectCase::Recv, &value}};
      Selected s = select(cases, 2, false);
      note(100 + 10 * s.index + value);
    }
    done.close();
  });
  for (int who = 0; who < 2; who++) {
    wg.go([&, who] {
      for (int i = 0; i < 4; i++) {
        note(1000 + who);
        if (who == 0) yield();
      }
      done.recv();
      note(2000 + who);
    });
  }
  wg.wait();
  return trace;
}

// A store that must hold one item. Who finds it empty fills it; the mistake is that looking and filling are two critical sections.
struct Store {
  Mutex mutex;
  int items = 1;

  void take() {
    mutex.lock();
    items = 0;
    mutex.unlock();
  }
  void refill(bool atomic) {
    mutex.lock();
    bool empty = items == 0;
    if (!atomic) {
      mutex.unlock();
      mutex.lock();
    }
    if (empty) items++;
    mutex.unlock();
  }
};

// True if the mistake showed badly: three who refill have looked before the first one filled.
bool overfull(bool atomic) {
  Store store;
  WaitGroup wg;
  for (int i = 0; i < 4; i++) wg.go([&] { store.refill(atomic); });
  wg.go([&] { store.take(); });
  wg.wait();
  return store.items > 2;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(explore)

BOOST_AUTO_TEST_CASE(one_seed_takes_the_same_way_a_hundred_times) {
  OneProcessor one;
  std::set<Trace> ways;
  run([&] {
    for (int i = 0; i < 100; i++) explored(7, [&] { ways.insert(traced()); });
  });
  BOOST_TEST(ways.size() == 1u);
  BOOST_TEST(ways.begin()->size() == 30u);
}

BOOST_AUTO_TEST_CASE(other_seeds_take_other_ways) {
  OneProcessor one;
  std::set<Trace> ways;
  run([&] {
    for (uint64_t seed = 1; seed <= 100; seed++) explored(seed, [&] { ways.insert(traced()); });
  });
  BOOST_TEST(ways.size() > 95u);
}

BOOST_AUTO_TEST_CASE(without_exploring_the_order_is_the_schedulers_own) {
  OneProcessor one;
  std::map<Trace, int> ways;
  run([&] {
    for (int i = 0; i < 100; i++) {
      choice::seed(7);
      ways[traced()]++;
    }
  });
  int usual = 0;
  for (auto& [way, times] : ways) usual = std::max(usual, times);
  BOOST_TEST(usual >= 80);   // not 100: when the machine halts for 10 ms, a time slice ends
  BOOST_TEST(!choice::exploring());
}

BOOST_AUTO_TEST_CASE(ten_thousand_seeds_find_a_planted_atomicity_bug_and_the_seed_shows_it_again) {
  OneProcessor one;
  constexpr uint64_t kSeeds = 1'000 * testing::kRounds;   // 10,000, but under TSan
  std::vector<uint64_t> found;
  int unexplored = 0, correct = 0, again = 0;
  run([&] {
    for (uint64_t seed = 1; seed <= kSeeds; seed++) {
      explored(seed, [&] { if (overfull(false)) found.push_back(seed); });
      explored(seed, [&] { correct += overfull(true); });
      unexplored += overfull(false);
    }
    if (!found.empty()) {
      for (int i = 0; i < 20; i++) explored(found.front(), [&] { again += overfull(false); });
    }
  });
  BOOST_TEST_MESSAGE(found.size() << " of " << kSeeds << " seeds find it");
  BOOST_TEST(found.size() > 0u);
  BOOST_TEST(again == 20);
  BOOST_TEST(correct == 0);
  BOOST_TEST(unexplored == 0);
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_only_tries_lets_others_run) {
  OneProcessor one;
  run([] {
    explored(3, [] {
      Chan<int> ch(0);
      go([ch] { ch.send(5); });
      std::optional<int> value;
      while (ch.try_recv(&value) == TryReceived::WouldBlock) {}
      BOOST_TEST(*value == 5);
    });
  });
}

// Each operation of a lock in a loop that only somebody else can end: without a safe point it would go on for ever.
BOOST_AUTO_TEST_CASE(every_operation_of_a_lock_lets_others_run) {
  OneProcessor one;
  Mutex mutex;
  RWMutex table;
  Once once;
  WaitGroup wg;
  once.do_([] {});
  const std::vector<std::function<void()>> operations = {
      [&] { mutex.lock(); mutex.unlock(); },
      [&] { if (mutex.try_lock()) mutex.unlock(); },
      [&] { table.lock(); table.unlock(); },
      [&] { if (table.try_lock()) table.unlock(); },
      [&] { table.lock_shared(); table.unlock_shared(); },
      [&] { if (table.try_lock_shared()) table.unlock_shared(); },
      [&] { once.do_([] {}); },
      [&] { wg.add(1); wg.done(); },
      [&] { wg.wait(); },
  };
  run([&] {
    for (auto& operation : operations) {
      explored(3, [&] {
        bool over = false;
        go([&] { over = true; });
        while (!over) operation();
      });
    }
  });
}

// The invariants that hold at every step of every schedule, and the balance at the end of each round.
BOOST_AUTO_TEST_CASE(a_million_random_steps_keep_all_invariants) {
  OneProcessor one;
  // A million where the invariants are asserted; a tenth of that under TSan.
  const uint64_t steps = (kDebugTier ? 100'000 : 20'000) * testing::kRounds;
  const uint64_t begin = choice::steps();
  current();   // this thread is one of them
  const int64_t goroutines = num_goroutine();
  int64_t sent = 0, received = 0, rounds = 0, broken = 0;
  run([&] {
    for (uint64_t seed = 1; choice::steps() - begin < steps; seed++, rounds++) {
      explored(seed, [&] {
        Chan<int64_t> channels[] = {Chan<int64_t>(0), Chan<int64_t>(1), Chan<int64_t>(5)};
        Mutex mutex;
        RWMutex table;
        int holders = 0, writers = 0, readers = 0;
        WaitGroup producers, consumers;
        auto check = [&] {
          for (auto& ch : channels) ch.ref()->verify();
          int running = 0;
          for (G* g : Runtime::get().all_goroutines()) {
            running += !g->own_machine && g->lane.load() == &Runtime::get().native() && g->status.load() == Status::Running;
          }
          broken += running != 1;   // one P
          broken += holders > 1 || writers > 1 || (writers && readers);
        };
        for (int who = 0; who < 6; who++) {
          producers.go([&] {
            for (int i = 0; i < 40; i++) {
              int64_t value = 1 + choice::below(1000);
              switch (choice::below(5)) {
                case 0: mutex.lock(); broken += ++holders != 1; yield(); sent += value; holders--; mutex.unlock(); break;
                case 1: table.lock_shared(); readers++; broken += writers; yield(); readers--; table.unlock_shared();
                        mutex.lock(); sent += value; mutex.unlock(); break;
                case 2: table.lock(); broken += ++writers != 1 || readers; yield(); writers--; table.unlock();
                        mutex.lock(); sent += value; mutex.unlock(); break;
                case 3: producers.go([&] { check(); }); mutex.lock(); sent += value; mutex.unlock(); break;
                default: sent += value;   // nobody else runs between here and the next call
              }
              channels[choice::below(3)].send(value);
            }
          });
        }
        for (int who = 0; who < 3; who++) {
          consumers.go([&] {
            Channel* open[] = {channels[0].ref().get(), channels[1].ref().get(), channels[2].ref().get()};
            for (int left = 3; left > 0;) {
              int64_t value = 0;
              SelectCase cases[3];
              for (int i = 0; i < 3; i++) cases[i] = {open[i], SelectCase::Recv, &value};
              Selected s = select(cases, 3, false);
              if (s.ok) received += value;
              else open[s.index] = nullptr, left--;
            }
          });
        }
        producers.wait();
        for (auto& ch : channels) ch.close();
        consumers.wait();
        check();
      });
    }
  });
  BOOST_TEST_MESSAGE(rounds << " rounds, " << choice::steps() - begin << " steps");
  BOOST_TEST(choice::steps() - begin >= steps);
  BOOST_TEST(broken == 0);
  BOOST_TEST(sent == received);
  testing::until([&] { return num_goroutine() <= goroutines; });   // the last of another case may have ended
}

BOOST_AUTO_TEST_SUITE_END()
