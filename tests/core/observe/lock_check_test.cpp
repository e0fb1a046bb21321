// Faults of locking: orders and waits, told to LockCheck step by step.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gort/observe/lock_check.h"

using namespace gort;
using namespace gort::observe;

namespace {

using Kind = LockFault::Kind;

// Locks are letters.
struct Program {
  LockCheck check;
  char locks[26];

  Program() { check.clear(); }
  LockName name(char lock) { return {&locks[lock - 'a'], "Mutex"}; }

  std::vector<LockFault> lock(uint64_t goroutine, char lock, Hold how = Hold::Exclusive) {
    std::vector<LockFault> faults;
    if (check.is_new(goroutine, name(lock), how)) faults = check.order(goroutine, name(lock), how, 0);
    check.taken(goroutine, name(lock), how, 0);
    return faults;
  }
  void try_lock(uint64_t goroutine, char lock, Hold how = Hold::Exclusive) { check.taken(goroutine, name(lock), how, 0); }
  void unlock(uint64_t goroutine, char lock, Hold how = Hold::Exclusive) { check.released(goroutine, name(lock).address, how); }
  void wait(uint64_t goroutine, char lock, Hold how = Hold::Exclusive, Nanos since = 1) { check.waits(goroutine, name(lock), how, 0, since); }

  // Locks them in turn, unlocks all, and gives the faults.
  std::vector<LockFault> nest(uint64_t goroutine, const std::string& letters, Hold how = Hold::Exclusive) {
    std::vector<LockFault> all;
    for (char c : letters) {
      for (LockFault& f : lock(goroutine, c, how)) all.push_back(std::move(f));
    }
    for (char c : letters) unlock(goroutine, c, how);
    return all;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(lock_check)

BOOST_AUTO_TEST_CASE(two_locks_in_both_orders_are_a_fault_when_the_second_order_is_seen) {
  Program p;
  BOOST_TEST(p.nest(1, "ab").empty());
  BOOST_TEST(p.nest(2, "ab").empty());
  std::vector<LockFault> faults = p.nest(3, "ba");
  BOOST_TEST_REQUIRE(faults.size() == 1u);
  BOOST_TEST((faults[0].kind == Kind::Order));
  BOOST_TEST_REQUIRE(faults[0].uses.size() == 2u);
  BOOST_TEST(faults[0].uses[0].goroutine == 3u);
  BOOST_TEST(faults[0].uses[0].held.number == 2u);
  BOOST_TEST(faults[0].uses[0].wanted.number == 1u);
  BOOST_TEST(faults[0].uses[1].goroutine == 1u);
}

BOOST_AUTO_TEST_CASE(a_cycle_is_reported_once) {
  Program p;
  p.nest(1, "ab");
  BOOST_TEST(p.nest(2, "ba").size() == 1u);
  BOOST_TEST(p.nest(2, "ba").empty());
  BOOST_TEST(p.nest(1, "ab").empty());
}

BOOST_AUTO_TEST_CASE(a_longer_cycle_is_found_with_its_whole_way) {
  Program p;
  p.nest(1, "ab");
  p.nest(2, "bc");
  p.nest(3, "cd");
  std::vector<LockFault> faults = p.nest(4, "da");
  BOOST_TEST_REQUIRE(faults.size() == 1u);
  BOOST_TEST(faults[0].uses.size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_gate_that_all_hold_makes_the_order_behind_it_free) {
  Program p;
  p.nest(1, "gab");
  BOOST_TEST(p.nest(2, "gba").empty());
  BOOST_TEST(p.nest(3, "ba").size() == 1u);   // without it
}

BOOST_AUTO_TEST_CASE(a_gate_held_for_reading_keeps_nobody_out) {
  Program p;
  p.lock(1, 'g', Hold::Shared);
  p.nest(1, "ab");
  p.lock(2, 'g', Hold::Shared);
  BOOST_TEST(p.nest(2, "ba").size() == 1u);
}

BOOST_AUTO_TEST_CASE(readers_in_both_orders_are_a_fault_only_once_somebody_writes) {
  Program p;
  p.nest(1, "ab", Hold::Shared);
  BOOST_TEST(p.nest(2, "ba", Hold::Shared).empty());
  BOOST_TEST(p.nest(3, "a").empty());
  BOOST_TEST(p.nest(3, "b").size() == 1u);
  Program q;
  q.nest(3, "a");
  q.nest(3, "b");
  q.nest(1, "ab", Hold::Shared);
  BOOST_TEST(q.nest(2, "ba", Hold::Shared).size() == 1u);
}

BOOST_AUTO_TEST_CASE(trying_makes_no_order_but_what_was_got_is_held) {
  Program p;
  p.nest(1, "ab");
  p.lock(2, 'b');
  p.try_lock(2, 'a');
  BOOST_TEST(p.nest(2, "c").empty());
  p.unlock(2, 'a');
  p.unlock(2, 'b');
  BOOST_TEST(p.nest(3, "ca").size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_lock_that_another_goroutine_unlocks_is_passed_around_and_held_by_nobody) {
  Program p;
  p.lock(1, 'a');
  p.unlock(2, 'a');
  p.nest(1, "ab");
  BOOST_TEST(p.nest(2, "ba").empty());
  p.lock(1, 'a');
  p.wait(1, 'a');
  BOOST_TEST(p.check.stuck(1).empty());
}

BOOST_AUTO_TEST_CASE(what_another_goroutine_unlocks_is_held_no_more) {
  Program p;
  p.nest(1, "ab");
  p.lock(1, 'b');
  p.unlock(2, 'b');
  BOOST_TEST(p.nest(1, "a").empty());
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_ends_while_holding_holds) {
  Program p;
  p.lock(1, 'a');
  p.wait(2, 'a');
  BOOST_TEST(p.check.stuck(1).empty());   // somebody may unlock it
  p.unlock(3, 'a');
  p.check.waited(2);
}

BOOST_AUTO_TEST_CASE(a_lock_that_is_gone_takes_its_orders_along_and_its_address_is_another_lock) {
  Program p;
  p.nest(1, "ab");
  p.check.gone(p.name('a').address);
  BOOST_TEST(p.nest(2, "ba").empty());
  p.lock(2, 'c');
  p.check.gone(p.name('c').address);   // held
  BOOST_TEST(p.nest(2, "b").empty());
  BOOST_TEST(p.nest(1, "bc").empty());
  BOOST_TEST(p.nest(1, "cb").size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_waits_for_itself_has_entered_twice) {
  Program p;
  p.lock(1, 'a');
  BOOST_TEST(!p.check.is_new(1, p.name('a'), Hold::Exclusive));
  p.wait(1, 'a', Hold::Exclusive, 100);
  BOOST_TEST(p.check.stuck(99).empty());
  std::vector<LockFault> faults = p.check.stuck(100);
  BOOST_TEST_REQUIRE(faults.size() == 1u);
  BOOST_TEST((faults[0].kind == Kind::Reentry));
  BOOST_TEST(p.check.stuck(100).empty());
}

BOOST_AUTO_TEST_CASE(a_reader_that_wants_to_write_waits_for_itself) {
  Program p;
  p.lock(1, 'a', Hold::Shared);
  p.lock(2, 'a', Hold::Shared);
  p.wait(1, 'a', Hold::Exclusive);
  std::vector<LockFault> faults = p.check.stuck(1);
  BOOST_TEST_REQUIRE(faults.size() == 1u);
  BOOST_TEST((faults[0].kind == Kind::Upgrade));
  BOOST_TEST(faults[0].uses.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_reader_that_reads_again_behind_a_writer_is_named_first) {
  Program p;
  p.lock(2, 'a', Hold::Shared);
  p.wait(1, 'a', Hold::Exclusive);
  BOOST_TEST(p.check.stuck(1).empty());
  p.wait(2, 'a', Hold::Shared);
  std::vector<LockFault> faults = p.check.stuck(1);
  BOOST_TEST_REQUIRE(faults.size() == 1u);
  BOOST_TEST((faults[0].kind == Kind::RecursiveRead));
  BOOST_TEST(faults[0].uses[0].goroutine == 2u);
  BOOST_TEST(faults[0].uses[1].held.address == nullptr);
}

BOOST_AUTO_TEST_CASE(goroutines_that_wait_for_each_other_are_a_deadlock_and_those_behind_them_are_not_named) {
  Program p;
  p.lock(1, 'a');
  p.lock(2, 'b');
  p.wait(1, 'b');
  p.wait(3, 'a');
  BOOST_TEST(p.check.stuck(1).empty());
  p.wait(2, 'a', Hold::Exclusive, 5);
  BOOST_TEST(p.check.stuck(4).empty());
  std::vector<LockFault> faults = p.check.stuck(5);
  BOOST_TEST_REQUIRE(faults.size() == 1u);
  BOOST_TEST((faults[0].kind == Kind::Deadlock));
  BOOST_TEST_REQUIRE(faults[0].uses.size() == 2u);
  for (const LockUse& use : faults[0].uses) {
    BOOST_TEST(use.held.address == p.name(use.goroutine == 1 ? 'a' : 'b').address);
    BOOST_TEST(use.wanted.address == p.name(use.goroutine == 1 ? 'b' : 'a').address);
  }
}

BOOST_AUTO_TEST_CASE(who_reports_is_not_checked_meanwhile) {
  Program p;
  p.nest(1, "ab");
  BOOST_TEST(p.check.begin_report(2));
  BOOST_TEST(!p.check.begin_report(2));
  BOOST_TEST(p.nest(2, "ba").empty());
  p.check.end_report(2);
  BOOST_TEST(p.nest(2, "ba").size() == 1u);
}

// Random programs of nested locks, with and without gates, against a search through all ways.
BOOST_AUTO_TEST_CASE(a_fault_is_found_exactly_when_some_cycle_of_orders_has_no_common_gate) {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; round++) {
    Program p;
    struct Seen {
      char from, to;
      std::set<char> held;
    };
    std::vector<Seen> seen;
    bool found = false, expected = false;
    auto cycle = [&](auto& self, std::vector<const Seen*>& path) -> bool {
      if (path.back()->to == path.front()->from && path.size() > 1) return true;
      for (const Seen& next : seen) {
        if (next.from != path.back()->to) continue;
        bool apart = std::ranges::all_of(path, [&](const Seen* s) {
          return std::ranges::none_of(s->held, [&](char c) { return next.held.contains(c); });
        });
        if (!apart) continue;
        path.push_back(&next);
        if (self(self, path)) return true;
        path.pop_back();
      }
      return false;
    };
    for (int step = 0; step < 6; step++) {
      std::string letters = "abcde";
      std::ranges::shuffle(letters, random);
      letters.resize(2 + random() % 2);
      uint64_t goroutine = 1 + random() % 3;
      std::set<char> held;
      for (char to : letters) {
        for (char from : held) seen.push_back({from, to, held});
        held.insert(to);
      }
      found = !p.nest(goroutine, letters).empty() || found;
    }
    for (const Seen& s : seen) {
      std::vector<const Seen*> path{&s};
      expected = expected || cycle(cycle, path);
    }
    BOOST_TEST_REQUIRE(found == expected, "round " << round);
  }
}

BOOST_AUTO_TEST_CASE(threads_may_tell_at_once) {
  Program p;
  std::vector<std::thread> threads;
  std::atomic<size_t> faults{0};
  for (uint64_t id = 1; id <= 4; id++) {
    threads.emplace_back([&, id] {
      for (int i = 0; i < 2000; i++) {
        faults += p.nest(id, "abc").size();
        p.wait(id, 'd');
        p.check.stuck(0);
        p.check.waited(id);
        if (i % 100 == 0) p.check.gone(p.name(char('e' + id)).address);
        p.nest(id, std::string(1, char('e' + id)));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  BOOST_TEST(faults == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
