// What tests of other lanes than the native one share: hooks that do nothing, and goroutines with a body.
#pragma once

#include <sched.h>

#include <functional>
#include <utility>

#include "gort/base/errors.h"
#include "gort/sched/lane.h"

namespace gort::testing {

class PlainHooks : public LaneHooks {
 public:
  // start runs body() as a goroutine of this lane. It may end by goexit().
  void start(std::function<void()> body) {
    G* g = lane->new_goroutine();
    g->lane_data = new std::function<void()>(std::move(body));
    g->entry = [](G* self) {
      auto* function = static_cast<std::function<void()>*>(self->lane_data);
      try {
        (*function)();
      } catch (const GoExit&) {
      }
      delete function;
    };
    lane->start(g);
  }

  void machine_start(M*) override {}
  void machine_stop(M*) override {}
  void acquire(M*) override {}
  void release(M*) override {}
  void relax(M*) override { sched_yield(); }
  void give_way(M*) override {}
  void switched(M*, G*) override {}
  bool lendable(G*) override { return false; }
  bool slice_ended(M*, G*) override { return false; }
  bool in_foreign_code(G*) override { return false; }
  void while_all_stand(void (*look)(void*), void* argument) override { look(argument); }
  void seen_blocked(G*) override {}
  void end_slice(G*) override {}
  uint64_t stack_here() override { return 0; }
  void leaving(G*) override {}
  bool interrupted(M*) override { return false; }
  bool others_may_wake(M*) override { return true; }
  void deadlocked(M*) override {}
  void dead(G*) override {}
  void* take_state(G*) override { return nullptr; }
  void give_state(G*, void*) override {}
  void make_state(G*) override {}
  void drop_state(void*) override {}
  void thread_ended(G*) override {}
  void forget_thread(G*, M*) override {}

  Lane* lane = nullptr;   // made by the one that knows what kind
};

}  // namespace gort::testing
