#include <algorithm>
#include <stdexcept>
#include <vector>

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

namespace {

// As many goroutines as there are channels send over one each, and one receives all by select.
double select_of(size_t channels, int64_t n) {
  using gort::SelectCase;
  int64_t each = std::max<int64_t>(1, n / int64_t(channels)), all = each * int64_t(channels);
  std::vector<Integers> ways;
  std::vector<Body> bodies;
  for (size_t i = 0; i < channels; i++) {
    Integers way(0);
    ways.push_back(way);
    bodies.push_back([=] {
      for (int64_t k = 0; k < each; k++) way.send(k);
    });
  }
  bodies.push_back([=] {
    std::vector<SelectCase> cases;
    for (const Integers& way : ways) cases.push_back({way.ref().get(), SelectCase::Recv, nullptr});
    for (int64_t i = 0; i < all; i++) {
      gort::Selected selected = gort::select(cases.data(), cases.size(), /*has_default=*/false);
      if (selected.outcome != gort::Outcome::Fired) gort::throw_outcome(selected.outcome);
    }
  });
  return per_operation(together(bodies), all);
}

}  // namespace

double select2(int64_t n) { return select_of(2, n); }
double select10(int64_t n) { return select_of(10, n); }

double select_default(int64_t n) {
  using gort::SelectCase;
  Integers empty(0);
  int64_t value, found = 0;
  gort::Nanos start = gort::nanotime();
  for (int64_t i = 0; i < n; i++) {
    SelectCase looked_at{empty.ref().get(), SelectCase::Recv, &value};
    found += gort::select(&looked_at, 1, /*has_default=*/true).index == 0;
  }
  gort::Nanos elapsed = gort::nanotime() - start;
  if (found != 0) throw std::logic_error("select_default: a value came from nowhere");
  return per_operation(elapsed, n);
}

double chan_contended(int64_t n) {
  constexpr int64_t kTurn = 100;
  int64_t turns = std::max<int64_t>(1, n / 4 / kTurn);
  Integers shared(4 * kTurn);
  Body body = [=] {
    for (int64_t turn = 0; turn < turns; turn++) {
      for (int64_t i = 0; i < kTurn; i++) shared.send(i);
      for (int64_t i = 0; i < kTurn; i++) shared.recv();
    }
  };
  return per_operation(together({body, body, body, body}), 4 * turns * kTurn);
}

}  // namespace bench
