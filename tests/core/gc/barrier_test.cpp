#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "gort/base/random.h"
#include "gort/gc/collector.h"
#include "gort/heap/handle.h"
#include "gort/heap/object.h"
#include "gort/heap/stats.h"
#include "gort/sched/go.h"
#include "gort/sched/park.h"
#include "gort/sched/world.h"
#include "gort/sync/mutex.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::heap;

namespace {

struct Cell {
  Pointer<Cell> to;
  int64_t value = 0;
  int64_t check = ~int64_t(0);
  Cell() = default;
  explicit Cell(int64_t v) : value(v), check(~v) {}
  bool intact() const { return check == ~value; }
  static auto heap_pointers() { return pointers(&Cell::to); }
};

struct Graph {
  static constexpr int kEdges = 4;
  Pointer<Graph> edges[kEdges];
  uint64_t id;
  uint64_t check;
  static auto heap_pointers() { return pointers(&Graph::edges); }
};

Graph* make_graph_node(uint64_t id) {
  Graph* g = make<Graph>();
  g->id = id;
  g->check = id * 0x9E3779B97F4A7C15u;
  return g;
}

// Runs collections one after the other on a thread of its own until told to stop.
class Collecting {
 public:
  Collecting() : thread_([this] {
    while (!stop_) gc::collect();
  }) {}
  ~Collecting() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(write_barrier)

BOOST_AUTO_TEST_CASE(the_last_pointer_may_hide_on_a_scanned_stack) {
  // The classic: take the only pointer out of the heap onto a stack that was scanned already, put it back later.
  Collecting collecting;
  gort::run([] {
    constexpr int kCells = 2000;
    Pointer<Cell>* table = make_array<Pointer<Cell>>(kCells);
    for (int i = 0; i < kCells; i++) table[i] = make<Cell>(i);
    uint64_t until = gc::stats().num_gc + 15;
    int64_t wrong = 0;
    for (int i = 0; gc::stats().num_gc < until; i = (i + 1) % kCells) {
      Cell* hidden = table[i];
      table[i] = nullptr;
      for (int j = 0; j < 20; j++) make<Cell>(-1);  // room for the collector, and for reuse of what it frees
      if (!hidden->intact() || hidden->value != i) wrong++;
      table[i] = hidden;
    }
    for (int i = 0; i < kCells; i++) wrong += !table[i]->intact() || table[i]->value != i;
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_CASE(pointers_may_move_between_objects_while_marking) {
  // The last pointer to each cell keeps moving from objects not yet scanned to objects scanned already, and back.
  Collecting collecting;
  gort::run([] {
    constexpr int kCells = 4000;
    Pointer<Cell>* table = make_array<Pointer<Cell>>(kCells);
    for (int i = 0; i < kCells / 2; i++) table[i] = make<Cell>(i);
    uint64_t until = gc::stats().num_gc + 15;
    Xorshift random(3);
    while (gc::stats().num_gc < until) {
      for (int step = 0; step < 1000; step++) {
        uint32_t a = random.below(kCells), b = random.below(kCells);
        Cell* moved = table[a];
        table[a] = table[b].get();
        table[b] = moved;
      }
      make<Cell>(-1);
      world::safe_point();
    }
    std::vector<bool> seen(kCells / 2);
    int found = 0, wrong = 0;
    for (int i = 0; i < kCells; i++) {
      Cell* c = table[i];
      if (c == nullptr) continue;
      found++;
      if (!c->intact() || c->value < 0 || c->value >= kCells / 2 || seen[size_t(c->value)]) wrong++;
      else seen[size_t(c->value)] = true;
    }
    BOOST_TEST(found == kCells / 2);
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_CASE(a_pointer_handed_through_a_handle_is_not_lost) {
  Collecting collecting;
  std::atomic<int> wrong{0};
  std::atomic<bool> stop{false};
  // A plain thread, which is no mutator but for the moments inside its calls, passes objects to and fro.
  std::thread passer([&] {
    std::vector<Handle> ring(64);
    for (int64_t i = 0; !stop; i++) {
      world::MutatorScope scope;
      ring[size_t(i) % 64] = Handle(make<Cell>(i), type_of<Cell>());
      Handle& old = ring[size_t(i + 1) % 64];
      if (old && !static_cast<Cell*>(old.get())->intact()) wrong++;
      Handle& target = ring[size_t(i * 7) % 64];
      if (!target || !old) continue;
      static_cast<Cell*>(old.get())->to = nullptr;  // else all there ever was hangs on one chain
      static_cast<Cell*>(target.get())->to = static_cast<Cell*>(old.get());
    }
    for (Handle& h : ring) {
      world::MutatorScope scope;
      auto* c = static_cast<Cell*>(h.get());
      if (c != nullptr && c->to != nullptr && !c->to->intact()) wrong++;
    }
  });
  uint64_t until = gc::stats().num_gc + 30;
  while (gc::stats().num_gc < until) gc::collect();
  stop = true;
  passer.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(random_graphs_mutated_by_several_goroutines_stay_whole) {
  Collecting collecting;
  gort::run([] {
    constexpr int kGoroutines = 4, kRoots = 16;
    Ref<Pointer<Graph>> roots(make_array<Pointer<Graph>>(kRoots));
    for (uint64_t i = 0; i < kRoots; i++) roots.get()[i] = make_graph_node(i);
    std::atomic<int> wrong{0};
    uint64_t until = gc::stats().num_gc + 15;
    WaitGroup done;
    for (int g = 0; g < kGoroutines; g++) {
      done.add(1);
      gort::go([&, g] {
        Xorshift random(uint64_t(g) + 11);
        Pointer<Graph>* table = roots.get();
        uint64_t id = uint64_t(g) << 32;
        for (uint64_t step = 0; gc::stats().num_gc < until; step++) {
          // Walk somewhere, checking what is met.
          Graph* at = table[random.below(kRoots)];
          for (int hop = 0; hop < 8; hop++) {
            if (at->check != at->id * 0x9E3779B97F4A7C15u) {
              wrong++;
              break;
            }
            Graph* next = at->edges[random.below(Graph::kEdges)];
            if (next == nullptr) break;
            at = next;
          }
          // Then change something: grow, cut, cross-link, or start a root anew.
          Graph* other = table[random.below(kRoots)];
          uint32_t edge = random.below(Graph::kEdges);
          switch (random.below(8)) {
            case 0: case 1: case 2: at->edges[edge] = make_graph_node(id++); break;
            case 3: at->edges[edge] = nullptr; break;
            case 4: case 5: at->edges[edge] = other; break;
            case 6: other->edges[edge] = at->edges[random.below(Graph::kEdges)].get(); break;
            case 7: if (step % 64 == 0) table[random.below(kRoots)] = make_graph_node(id++); break;
          }
          if (step % 200 == 0) yield();
        }
        done.done();
      });
    }
    done.wait();
    BOOST_TEST(wrong == 0);
  });
  BOOST_TEST(verify() == "");
}

BOOST_AUTO_TEST_CASE(lists_built_and_torn_down_by_several_goroutines_stay_whole) {
  gort::run([] {
    Mutex lock;
    Ref<Cell> head(make<Cell>(0));  // guarded by lock
    int64_t pushed = 0, popped = 0, wrong = 0;
    uint64_t until = gc::stats().num_gc + 10;
    WaitGroup done;
    for (int g = 0; g < 4; g++) {
      done.add(1);
      gort::go([&, g] {
        Xorshift random(uint64_t(g) + 1);
        while (gc::stats().num_gc < until) {
          for (int i = 0; i < 50; i++) make_array<int64_t>(random.below(60) + 1)[0] = -1;
          lock.lock();
          if (random.below(5) < 3) {
            Cell* c = make<Cell>(++pushed);
            c->to = head->to.get();
            head->to = c;
          } else if (Cell* c = head->to) {
            head->to = c->to.get();
            wrong += !c->intact();
            popped++;
          }
          lock.unlock();
        }
        done.done();
      });
    }
    done.wait();
    int64_t left = 0;
    for (Cell* c = head->to; c != nullptr; c = c->to) left++, wrong += !c->intact();
    BOOST_TEST(left == pushed - popped);
    BOOST_TEST(wrong == 0);
  });
}

BOOST_AUTO_TEST_SUITE_END()
