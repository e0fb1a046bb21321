#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "../waiting.h"
#include "gort/sched/go.h"
#include "gort/sync/lock_free_queue.h"
#include "gort/sync/wait_group.h"

using namespace gort;
using namespace gort::testing;

namespace {

struct Item {
  explicit Item(int v) : value(v) { alive++; }
  ~Item() { alive--; }
  int value;
  static std::atomic<int> alive;
};
std::atomic<int> Item::alive{0};

}  // namespace

BOOST_AUTO_TEST_SUITE(lock_free_queue)

BOOST_AUTO_TEST_CASE(values_come_out_in_the_order_in_which_they_were_pushed) {
  LockFreeQueueOf<int> queue;
  BOOST_TEST(!queue.try_pop());
  for (int round = 0; round < 3; round++) {
    for (int n = 0; n < 100; n++) queue.push(n);
    BOOST_TEST(queue.size() == 100);
    for (int n = 0; n < 100; n++) BOOST_TEST(queue.try_pop().value_or(-1) == n);
    BOOST_TEST(!queue.try_pop());
    BOOST_TEST(queue.size() == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_bounded_one_takes_exactly_its_capacity) {
  LockFreeQueueOf<std::unique_ptr<Item>> queue(3);
  for (int round = 0; round < 3; round++) {
    for (int n = 0; n < 3; n++) BOOST_TEST(queue.try_push(std::make_unique<Item>(n)));
    auto more = std::make_unique<Item>(3);
    BOOST_TEST(!queue.try_push(std::move(more)));
    BOOST_TEST(more->value == 3);   // not moved from
    for (int n = 0; n < 3; n++) BOOST_TEST((*queue.try_pop())->value == n);
  }
  BOOST_TEST(Item::alive == 0);
}

BOOST_AUTO_TEST_CASE(what_is_left_is_destroyed_once) {
  {
    LockFreeQueueOf<std::unique_ptr<Item>> queue;
    for (int n = 0; n < 10; n++) queue.push(std::make_unique<Item>(n));
    BOOST_TEST((*queue.try_pop())->value == 0);
    BOOST_TEST(Item::alive == 9);
  }
  BOOST_TEST(Item::alive == 0);
}

BOOST_AUTO_TEST_CASE(push_waits_while_a_bounded_one_is_full) {
  run([] {
    LockFreeQueueOf<int> queue(1);
    queue.push(1);
    std::atomic<bool> pushed{false};
    WaitGroup wg;
    wg.go([&] {
      queue.push(2);
      pushed = true;
    });
    until([] { return someone_waits(WaitReason::Sleep); });
    BOOST_TEST(!pushed);
    BOOST_TEST(queue.try_pop().value_or(0) == 1);
    wg.wait();
    BOOST_TEST(queue.try_pop().value_or(0) == 2);
  });
}

BOOST_AUTO_TEST_CASE(a_push_whose_wait_is_ended_leaves_the_value_with_its_owner) {
  run([] {
    LockFreeQueue queue(element_type<std::unique_ptr<Item>>(), 1);
    auto first = std::make_unique<Item>(1), second = std::make_unique<Item>(2);
    BOOST_TEST(queue.try_push(&first));
    (void)first.release();   // the queue's now
    Outcome outcome = Outcome::Pending;
    std::atomic<G*> waiter{nullptr};
    WaitGroup wg;
    wg.go([&] {
      waiter = current();
      outcome = queue.push(&second);
    });
    until([&] { return waiter.load() != nullptr; });
    interrupt(waiter);
    wg.wait();
    BOOST_TEST((outcome == Outcome::Interrupted));
    BOOST_TEST(second->value == 2);
    BOOST_TEST(queue.size() == 1);
  });
  BOOST_TEST(Item::alive == 0);
}

BOOST_AUTO_TEST_CASE(for_each_shows_all_values_in_order_and_leaves_them_so) {
  for (size_t capacity : {LockFreeQueue::kUnbounded, size_t(5)}) {
    LockFreeQueue queue(element_type<int>(), capacity);
    for (int n = 0; n < 5; n++) BOOST_TEST(queue.try_push(&n));
    for (int round = 0; round < 2; round++) {
      std::vector<int> seen;
      queue.for_each([](void* context, void* element) { static_cast<std::vector<int>*>(context)->push_back(*static_cast<int*>(element)); }, &seen);
      BOOST_TEST(seen == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    }
    int value = -1;
    for (int n = 0; n < 5; n++) BOOST_TEST((queue.try_pop(&value) && value == n));
  }
}

BOOST_AUTO_TEST_CASE(every_value_arrives_once_and_each_producers_values_in_its_order) {
  constexpr int kProducers = 4, kConsumers = 4, kEach = 2000 * kRounds;
  for (size_t capacity : {LockFreeQueue::kUnbounded, size_t(16)}) {
    LockFreeQueueOf<uint64_t> queue(capacity);
    std::atomic<int> left{kProducers * kEach};
    std::vector<std::vector<uint64_t>> taken(kConsumers);
    auto produce = [&](uint64_t me) {
      for (uint64_t n = 0; n < kEach; n++) queue.push(me << 32 | n);
    };
    auto consume = [&](int me) {
      while (left.load() > 0) {
        if (std::optional<uint64_t> value = queue.try_pop()) {
          taken[me].push_back(*value);
          left--;
        } else {
          yield();
        }
      }
    };
    std::thread producer(produce, 0), consumer(consume, 0);
    run([&] {
      WaitGroup wg;
      for (int n = 1; n < kProducers; n++) wg.go([&, n] { produce(uint64_t(n)); });
      for (int n = 1; n < kConsumers; n++) wg.go([&, n] { consume(n); });
      wg.wait();
    });
    producer.join();
    consumer.join();
    std::vector<uint64_t> all;
    bool ordered = true;
    for (const std::vector<uint64_t>& mine : taken) {
      std::vector<int64_t> last(kProducers, -1);
      for (uint64_t value : mine) {
        int64_t& before = last[value >> 32];
        ordered = ordered && before < int64_t(value & UINT32_MAX);
        before = int64_t(value & UINT32_MAX);
        all.push_back(value);
      }
    }
    std::sort(all.begin(), all.end());
    bool once = all.size() == kProducers * kEach;
    for (size_t i = 0; once && i < all.size(); i++) once = all[i] == (uint64_t(i / kEach) << 32 | i % kEach);
    BOOST_TEST(ordered);
    BOOST_TEST(once);
    BOOST_TEST(queue.size() == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
