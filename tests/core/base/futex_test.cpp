#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>

#include "gort/base/cpu.h"
#include "gort/base/futex.h"

using namespace gort;

BOOST_AUTO_TEST_SUITE(futex_)

// A stale set wakes the owner, whose reset was still in its store buffer when it looked for what it waited for: the real set in between found the
// flag up, woke nobody, and was wiped out. 5 of 15,800 rounds.
BOOST_AUTO_TEST_CASE(a_reset_is_seen_before_what_its_owner_looks_at_next) {
  constexpr int kRounds = 50'000;
  const Nanos end = nanotime() + 5 * kSecond;   // on one CPU each round takes slices
  Event wake;
  alignas(128) std::atomic<bool> ready{false};
  alignas(128) std::atomic<int> round{0};
  alignas(128) std::atomic<int> done{0};
  std::thread setter([&] {
    for (int i = 1; i <= kRounds; i++) {
      int next;
      while ((next = round.load(std::memory_order_acquire)) != i && next >= 0) cpu_relax();
      if (next < 0) return;
      for (int k = 0; k < i % 8; k++) cpu_relax();
      ready.store(true, std::memory_order_release);
      wake.set();
      done.store(i);
    }
  });
  int lost = 0;
  for (int i = 1; i <= kRounds && nanotime() < end; i++) {
    ready.store(false);
    wake.reset();
    wake.set();   // left over from an earlier wait
    round.store(i, std::memory_order_release);
    for (int k = 0; k < i * 7 % 8; k++) cpu_relax();
    do {
      FutexResult result = wake.wait(nanotime() + 5 * kSecond);
      lost += result == FutexResult::TimedOut && ready.load();
      wake.reset();
    } while (!ready.load(std::memory_order_acquire));
    while (done.load() != i) cpu_relax();
  }
  round.store(-1);
  setter.join();
  BOOST_TEST(lost == 0);
}

BOOST_AUTO_TEST_SUITE_END()
