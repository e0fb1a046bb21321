#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/base/futex.h"
#include "gort/gc/collector.h"
#include "gort/heap/handle.h"
#include "gort/heap/object.h"
#include "gort/heap/stats.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::heap;

namespace {

// A size class that nothing else uses, so that counts are exact: 1280 bytes.
struct Link {
  Pointer<Link> next;
  int64_t value;
  char rest[1200];
  static auto heap_pointers() { return pointers(&Link::next); }
};

int64_t links() {
  auto c = read_stats().by_size[size_class(sizeof(Link) + kHeaderSize)];
  return int64_t(c.mallocs - c.frees);
}

[[gnu::noinline]] Link* make_list(int n) {
  Link* head = nullptr;
  for (int i = 0; i < n; i++) {
    Link* l = make<Link>();
    l->value = i;
    l->next = head;
    head = l;
  }
  return head;
}

[[gnu::noinline]] int64_t sum(const Link* head) {
  int64_t s = 0;
  for (; head != nullptr; head = head->next) s += head->value;
  return s;
}

struct Node {
  Pointer<Node> left, right;
  static auto heap_pointers() { return pointers(&Node::left, &Node::right); }
};

Node* bottom_up(int depth) {
  Node* n = make<Node>();
  if (depth > 0) {
    n->left = bottom_up(depth - 1);
    n->right = bottom_up(depth - 1);
  }
  return n;
}

int count_nodes(const Node* n) { return n->left == nullptr ? 1 : 1 + count_nodes(n->left) + count_nodes(n->right); }

// run returns when its function does; this waits for the goroutine too, whose stack may hold what the function left there.
template <class F>
void run_to_its_end(F fn) {
  int64_t before = (current(), num_goroutine());
  gort::run(fn);
  testing::until([&] { return num_goroutine() <= before; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(collect)

BOOST_AUTO_TEST_CASE(what_no_root_reaches_is_freed) {
  gc::collect();
  int64_t before = links();
  run_to_its_end([] { make_list(500); });
  gc::collect();
  gc::collect();
  BOOST_TEST(links() == before);
}

BOOST_AUTO_TEST_CASE(the_stack_keeps_what_it_points_to_and_all_behind_it) {
  gort::run([] {
    Link* head = make_list(300);
    for (int i = 0; i < 3; i++) {
      gc::collect();
      make_list(300);
      BOOST_REQUIRE(sum(head) == 299 * 300 / 2);
    }
  });
}

BOOST_AUTO_TEST_CASE(an_interior_pointer_on_the_stack_keeps_the_object) {
  gort::run([] {
    int64_t* inside = &make_list(1)->value;
    auto* array = make_array<int64_t>(100);
    for (int i = 0; i < 100; i++) array[i] = i;
    int64_t* end = array + 100;
    array = nullptr;
    asm volatile("" : "+r"(inside), "+r"(end), "+r"(array));
    *inside = 17;
    gc::collect();
    for (int i = 0; i < 200; i++) {
      make_list(1)->value = -1;
      make_array<int64_t>(100)[99] = -1;
    }
    BOOST_TEST(*inside == 17);
    BOOST_TEST(end[-1] == 99);
  });
}

BOOST_AUTO_TEST_CASE(parked_goroutines_keep_what_their_stacks_hold) {
  gort::run([] {
    WaitGroup gate, done;
    gate.add(1);
    std::atomic<int> wrong{0};
    for (int g = 0; g < 50; g++) {
      done.add(1);
      gort::go([&, g] {
        Link* mine = make_list(g + 1);
        gate.wait();
        if (sum(mine) != int64_t(g) * (g + 1) / 2) wrong++;
        done.done();
      });
    }
    yield();
    gc::collect();
    make_list(2000);
    gc::collect();
    gate.done();
    done.wait();
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_goroutine_in_a_blocking_call_keeps_what_its_stack_holds_and_holds_up_nobody) {
  gort::run([] {
    Event blocked, go_on;
    WaitGroup done;
    done.add(1);
    std::atomic<bool> intact{false};
    gort::go([&] {
      Link* mine = make_list(20);
      {
        BlockingScope scope;
        blocked.set();
        go_on.wait();
      }
      intact = sum(mine) == 190;
      done.done();
    });
    {
      BlockingScope scope;
      blocked.wait();
    }
    gc::collect();
    make_list(200);
    gc::collect();
    go_on.set();
    done.wait();
    BOOST_TEST(intact);
  });
}

BOOST_AUTO_TEST_CASE(a_cycle_of_dead_objects_is_freed) {
  gc::collect();
  int64_t before = links();
  run_to_its_end([] {
    Link* a = make<Link>();
    Link* b = make<Link>();
    a->next = b;
    b->next = a;
  });
  gc::collect();
  gc::collect();
  BOOST_TEST(links() == before);
}

BOOST_AUTO_TEST_CASE(collect_works_from_plain_threads_at_once) {
  uint64_t before = gc::stats().num_gc;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) threads.emplace_back([] {
    for (int i = 0; i < 5; i++) gc::collect();
  });
  for (auto& thread : threads) thread.join();
  BOOST_TEST(gc::stats().num_gc >= before + 5);
  BOOST_CHECK(gc::phase() == gc::Phase::Off);
  BOOST_TEST(verify() == "");
}

BOOST_AUTO_TEST_CASE(collect_works_from_goroutines_at_once) {
  gort::run([] {
    WaitGroup done;
    std::atomic<int> wrong{0};
    for (int g = 0; g < 8; g++) {
      done.add(1);
      gort::go([&] {
        Link* mine = make_list(10);
        gc::collect();
        wrong += sum(mine) != 45;
        done.done();
      });
    }
    done.wait();
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_forced_cycle_starts_after_the_call_and_ends_before_it_returns) {
  Nanos called = nanotime();
  gc::collect();
  Nanos returned = nanotime();
  gc::Cycle last = gc::cycles().back();
  BOOST_TEST(last.start >= called);
  BOOST_TEST(last.end <= returned);
  BOOST_TEST(last.end > 0);
}

BOOST_AUTO_TEST_CASE(collections_start_by_themselves_and_keep_the_heap_small) {
  // GOGC=100 and a live heap of about nothing: the goal stays near 4 MiB, whatever is allocated.
  int collected = 0, small = 0;
  for (int round = 0; round < 10; round++) {
    gc::collect();   // the worker goes on: one halt of its thread is one round's
    gort::run([&] {
      uint64_t before = gc::stats().num_gc;
      uint64_t peak = 0;
      for (int i = 0; i < 400; i++) {
        make_list(100);  // 128 KB
        peak = std::max(peak, gc::stats().heap_live);
      }
      collected += gc::stats().num_gc > before + 2;
      small += peak < 24u << 20;
    });
  }
  BOOST_TEST(collected >= 5);   // not 10: while the system does not run the worker's thread, all 50 MB may be allocated
  BOOST_TEST(small >= 5);
}

BOOST_AUTO_TEST_CASE(a_goroutine_that_never_yields_cannot_outrun_the_collector_on_one_p) {
  int procs = gomaxprocs(1);
  gort::run([] {
    Node* kept = bottom_up(14);
    uint64_t peak = 0;
    for (int i = 0; i < 200; i++) {
      bottom_up(10);
      peak = std::max(peak, gc::stats().heap_live);
    }
    BOOST_TEST(count_nodes(kept) == (1 << 15) - 1);
    BOOST_TEST(peak < 16u << 20);
  });
  gomaxprocs(procs);
}

BOOST_AUTO_TEST_CASE(binary_trees_come_out_right) {
  gort::run([] {
    constexpr int kDepth = 14;
    BOOST_TEST(count_nodes(bottom_up(kDepth + 1)) == (1 << (kDepth + 2)) - 1);
    Node* long_lived = bottom_up(kDepth);
    for (int depth = 4; depth <= kDepth; depth += 4) {
      int iterations = 1 << (kDepth - depth + 4);
      int64_t check = 0;
      for (int i = 0; i < iterations; i++) check += count_nodes(bottom_up(depth));
      BOOST_TEST(check == int64_t(iterations) * ((1 << (depth + 1)) - 1));
    }
    BOOST_TEST(count_nodes(long_lived) == (1 << (kDepth + 1)) - 1);
  });
  BOOST_TEST(verify() == "");
}

BOOST_AUTO_TEST_CASE(a_negative_percentage_stops_automatic_cycles) {
  int before = gc::set_percent(-5);
  BOOST_TEST(before == 100);
  BOOST_TEST(gc::percent() == -1);
  gc::collect();
  uint64_t cycles = gc::stats().num_gc;
  gort::run([] {
    for (int i = 0; i < 20; i++) make_array<char>(1 << 20);
  });
  BOOST_TEST(gc::stats().num_gc == cycles);
  gc::collect();
  BOOST_TEST(gc::stats().num_gc == cycles + 1);
  BOOST_TEST(gc::set_percent(100) == -1);
}

BOOST_AUTO_TEST_CASE(the_goal_is_twice_the_live_heap_but_at_least_4_mib) {
  gc::collect();
  BOOST_TEST(gc::stats().goal >= 4u << 20);
  Ref<char> big;
  gort::run([&] { big = Ref<char>(make_array<char>(20 << 20)); });
  gc::collect();
  gc::Stats s = gc::stats();
  BOOST_TEST(s.heap_marked >= 20u << 20);
  BOOST_TEST(s.goal >= 2 * s.heap_marked);
  BOOST_TEST(s.goal <= 2 * s.heap_marked + (1u << 20));
  BOOST_TEST(s.trigger <= s.goal);
  BOOST_TEST(s.trigger >= s.heap_marked + uint64_t(double(s.goal - s.heap_marked) * 0.69));
  big.reset();
  gc::collect();
}

BOOST_AUTO_TEST_CASE(hooks_for_pools_run_once_a_cycle_while_the_world_runs) {
  static std::atomic<int> calls{0}, stopped{0};
  gc::on_clear_pools([] {
    calls++;
    if (world::stop_flag != 0) stopped++;
  });
  int before = calls;
  uint64_t cycles = gc::stats().num_gc;
  gc::collect();
  gc::collect();
  BOOST_TEST(calls - before == int(gc::stats().num_gc - cycles));
  BOOST_TEST(stopped == 0);
}

BOOST_AUTO_TEST_CASE(an_idle_process_collects_every_two_minutes) {
  gc::collect();
  uint64_t cycles = gc::stats().num_gc;
  gc::poll_periodic(nanotime() + 119 * kSecond);
  gort::run([] {
    for (int i = 0; i < 100; i++) yield();
  });
  BOOST_TEST(gc::stats().num_gc == cycles);
  gc::poll_periodic(nanotime() + 121 * kSecond);
  gc::collect();  // the periodic one runs first
  BOOST_TEST(gc::stats().num_gc >= cycles + 1);
}

BOOST_AUTO_TEST_SUITE_END()
