#include "gort/sync/once.h"

namespace gort {

Once::Begun Once::begin(Nanos deadline) {
  if (is_done()) return {Outcome::Fired, false};
  Outcome outcome = mutex_.lock_until(deadline);
  if (outcome != Outcome::Fired) return {outcome, false};
  if (!is_done()) return {Outcome::Fired, true};
  mutex_.unlock();
  return {Outcome::Fired, false};
}

void Once::finish() {
  done_.store(true, std::memory_order_release);
  mutex_.unlock();
}

}  // namespace gort
