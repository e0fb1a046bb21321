#include <boost/test/unit_test.hpp>

#include <atomic>
#include <thread>
#include <utility>

#include "../waiting.h"
#include "gort/base/epochs.h"

using namespace gort;
using namespace gort::testing;

BOOST_AUTO_TEST_SUITE(epochs)

BOOST_AUTO_TEST_CASE(what_is_retired_while_nobody_else_is_inside_is_over_when_its_owner_has_left) {
  Epochs epochs;
  Epochs::Retired node;
  Epochs::Ticket me = epochs.enter();
  BOOST_TEST(epochs.retire(me, &node));
  (void)epochs.leave(me);
  BOOST_TEST(epochs.take_over(me, true) == &node);
  BOOST_TEST(!epochs.take_over(me, true));
}

BOOST_AUTO_TEST_CASE(who_was_inside_before_holds_it_and_is_told_so_on_leaving) {
  Epochs epochs;
  Epochs::Retired node;
  Epochs::Ticket reader = epochs.enter();
  Epochs::Ticket writer = epochs.enter();
  (void)epochs.retire(writer, &node);
  (void)epochs.leave(writer);
  for (int i = 0; i < 5; i++) BOOST_TEST(!epochs.take_over(writer, true));
  BOOST_TEST(epochs.leave(reader));
  BOOST_TEST(epochs.take_over(reader, false) == &node);
}

BOOST_AUTO_TEST_CASE(who_came_later_holds_nothing_that_was_stamped_two_steps_before) {
  Epochs epochs;
  Epochs::Retired first, second;
  Epochs::Ticket writer = epochs.enter();
  (void)epochs.retire(writer, &first);
  (void)epochs.leave(writer);
  BOOST_TEST(epochs.take_over(writer, true) == &first);
  Epochs::Ticket late = epochs.enter();
  BOOST_TEST(late.epoch >= first.stamp + 2);
  writer = epochs.enter();
  (void)epochs.retire(writer, &second);
  (void)epochs.leave(writer);
  BOOST_TEST(!epochs.take_over(writer, true));
  BOOST_TEST(epochs.leave(late));
  BOOST_TEST(epochs.take_over(late, false) == &second);
}

BOOST_AUTO_TEST_CASE(a_reader_that_nobody_waits_for_need_not_look_after_anything) {
  Epochs epochs;
  Epochs::Ticket reader = epochs.enter();
  BOOST_TEST(!epochs.leave(reader));
}

BOOST_AUTO_TEST_CASE(a_batch_is_looked_at_when_it_is_full_and_something_urgent_at_once) {
  Epochs epochs(4);
  Epochs::Retired nodes[7];
  // How many can be given back then; -1: nobody is to look.
  auto retire = [&](Epochs::Retired& node) {
    Epochs::Ticket me = epochs.enter();
    bool look = epochs.retire(me, &node);
    (void)epochs.leave(me);
    if (!look) return -1;
    int n = 0;
    for (Epochs::Retired* list = epochs.take_over(me, true); list; list = list->next_retired) n++;
    return n;
  };
  for (int i = 0; i < 3; i++) BOOST_TEST(retire(nodes[i]) == -1);
  BOOST_TEST(retire(nodes[3]) == 4);
  BOOST_TEST(retire(nodes[4]) == -1);
  nodes[5].urgent = true;
  BOOST_TEST(retire(nodes[5]) == 2);
  BOOST_TEST(retire(nodes[6]) == -1);
  BOOST_TEST(epochs.take_all() == &nodes[6]);
}

BOOST_AUTO_TEST_CASE(who_held_several_batches_up_learns_it_on_leaving) {
  Epochs epochs(4);
  Epochs::Retired nodes[16];
  Epochs::Ticket reader = epochs.enter();
  for (Epochs::Retired& node : nodes) {
    Epochs::Ticket writer = epochs.enter();
    bool look = epochs.retire(writer, &node);
    (void)epochs.leave(writer);
    if (look) BOOST_TEST(!epochs.take_over(writer, true));
  }
  BOOST_TEST(epochs.leave(reader));
  int n = 0;
  for (Epochs::Retired* list = epochs.take_over(reader, false); list; list = list->next_retired) n++;
  BOOST_TEST(n == 16);
}

// Threads publish objects, take them out and free them by the rules; a reader that meets a freed one sees it (and a sanitizer shouts).
BOOST_AUTO_TEST_CASE(nobody_ever_meets_what_was_given_back) {
  struct Object : Epochs::Retired {
    std::atomic<bool> alive{true};
  };
  constexpr int kEach = 2000 * kRounds;
  for (uint32_t batch : {1, 16}) {
    Epochs epochs(batch);
    std::atomic<Object*> place{new Object};
    std::atomic<int> dead_seen{0};
    std::atomic<bool> done{false};
    std::atomic<int> given_back{0};
    auto give_back = [&](Epochs::Retired* list) {
      while (list) {
        auto* object = static_cast<Object*>(std::exchange(list, list->next_retired));
        object->alive = false;
        delete object;
        given_back++;
      }
    };
    auto read = [&] {
      while (!done.load()) {
        Epochs::Ticket ticket = epochs.enter();
        if (!place.load(std::memory_order_acquire)->alive.load()) dead_seen++;
        if (epochs.leave(ticket)) give_back(epochs.take_over(ticket, false));
      }
    };
    auto write = [&] {
      for (int n = 0; n < kEach; n++) {
        Epochs::Ticket ticket = epochs.enter();
        bool look = epochs.retire(ticket, place.exchange(new Object, std::memory_order_acq_rel));
        if (epochs.leave(ticket) || look) give_back(epochs.take_over(ticket, look));
      }
    };
    std::thread readers[2] = {std::thread(read), std::thread(read)};
    std::thread writers[2] = {std::thread(write), std::thread(write)};
    for (std::thread& t : writers) t.join();
    done = true;
    for (std::thread& t : readers) t.join();
    BOOST_TEST(dead_seen == 0);
    if (batch == 1) BOOST_TEST(given_back == 2 * kEach);
    give_back(epochs.take_all());
    BOOST_TEST(given_back == 2 * kEach);
    delete place.load();
  }
}

BOOST_AUTO_TEST_SUITE_END()
