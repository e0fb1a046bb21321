#include "gort/sync/backoff.h"

#include "gort/sched/choice.h"
#include "gort/sched/lane.h"
#include "gort/sched/machine.h"

namespace gort {
namespace {

constexpr int kYields = 20;
constexpr int kYieldsExplored = 10'000;
constexpr Nanos kLongest = kMillisecond;

// A plain thread serves its signals in its waits. These are short, and it is hardly ever asleep on a busy machine when one comes.
bool interrupted() {
  M* m = this_machine();
  if (!m->current || m->current != m->own) return false;
  LaneHooks* home = m->own->home->hooks();
  return home && home->interrupted(m);
}

}  // namespace

Outcome Backoff::pause() {
  // Time decides nothing in an explored run: there others get their turns by the seed, in any number of steps.
  if (yields_ < (choice::exploring() ? kYieldsExplored : kYields)) {
    yields_++;
    yield();
    return Outcome::Fired;
  }
  Outcome outcome = sleep_until(deadline_after(sleep_));
  sleep_ = sleep_ < kLongest / 2 ? sleep_ * 2 : kLongest;
  if (outcome != Outcome::TimedOut) return outcome;
  return interrupted() ? Outcome::Interrupted : Outcome::Fired;
}

}  // namespace gort
