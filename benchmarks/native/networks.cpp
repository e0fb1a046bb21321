#include <algorithm>
#include <stdexcept>
#include <vector>

#include "cases.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/go.h"
#include "together.h"

namespace bench {
namespace {

using Integers = gort::Chan<int64_t>;

void grow(Integers parent, int64_t number, int64_t size) {
  if (size == 1) {
    parent.send(number);
    return;
  }
  Integers children(0);
  for (int64_t i = 0; i < 10; i++) {
    gort::go([=] { grow(children, number + i * (size / 10), size / 10); });
  }
  int64_t sum = 0;
  for (int i = 0; i < 10; i++) sum += children.recv();
  parent.send(sum);
}

}  // namespace

double skynet(int64_t n) {
  int64_t leaves = 1;
  while (leaves * 10 <= n) leaves *= 10;
  Integers root(0);
  int64_t sum = 0;
  gort::Nanos elapsed = together({[=] { grow(root, 0, leaves); }, [=, &sum] { sum = root.recv(); }});
  if (sum != leaves * (leaves - 1) / 2) throw std::logic_error("skynet: wrong sum of leaves");
  return per_operation(elapsed, leaves);
}

double ring(int64_t n) {
  constexpr int kSize = 1000;
  int64_t laps = std::max<int64_t>(1, n / kSize);
  std::vector<Integers> channels;
  for (int i = 0; i < kSize; i++) channels.emplace_back(0);
  for (int i = 1; i < kSize; i++) {
    gort::go([in = channels[i - 1], out = channels[i]] {
      for (int64_t token : in) out.send(token + 1);
      out.close();
    });
  }
  Integers first = channels[0], last = channels[kSize - 1];
  gort::Nanos elapsed = together({[=] {
    for (int64_t i = 0; i < laps; i++) {
      first.send(0);
      last.recv();
    }
  }});
  first.close();
  last.recv();
  return per_operation(elapsed, kSize * laps);
}

}  // namespace bench
