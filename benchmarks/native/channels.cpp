#include <algorithm>

#include "cases.h"
#include "gort/chan/select.h"
#include "gort/chan/typed_channel.h"
#include "together.h"

namespace bench {

using Integers = gort::Chan<int64_t>;

double round_trip(int64_t n) {
  Integers there(0), back(0);
  Body ping = [=] {
    for (int64_t i = 0; i < n; i++) {
      there.send(i);
      back.recv();
    }
  };
  Body pong = [=] {
    for (int64_t i = 0; i < n; i++) back.send(there.recv());
  };
  return per_operation(together({ping, pong}), n);
}

double buffered(int64_t n) {
  Integers channel(128);
  Body produce = [=] {
    for (int64_t i = 0; i < n; i++) channel.send(i);
  };
  Body consume = [=] {
    for (int64_t i = 0; i < n; i++) channel.recv();
  };
  return per_operation(together({produce, consume}), n);
}

double select2(int64_t n) {
  int64_t each = std::max<int64_t>(1, n / 2);
  Integers left(0), right(0);
  auto produce = [=](Integers channel) {
    return [=] {
      for (int64_t i = 0; i < each; i++) channel.send(i);
    };
  };
  Body consume = [=] {
    using gort::SelectCase;
    for (int64_t i = 0; i < 2 * each; i++) {
      SelectCase cases[] = {{left.ref().get(), SelectCase::Recv, nullptr}, {right.ref().get(), SelectCase::Recv, nullptr}};
      gort::Selected selected = gort::select(cases, 2, /*has_default=*/false);
      if (selected.outcome != gort::Outcome::Fired) gort::throw_outcome(selected.outcome);
    }
  };
  return per_operation(together({produce(left), produce(right), consume}), 2 * each);
}

}  // namespace bench
