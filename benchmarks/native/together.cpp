#include "together.h"

#include "gort/sched/go.h"
#include "gort/sync/wait_group.h"

namespace bench {

gort::Nanos together(const std::vector<Body>& bodies) {
  gort::WaitGroup done;
  gort::Nanos start = gort::nanotime();
  done.add(int32_t(bodies.size()));
  for (const Body& body : bodies) {
    gort::go([&] {
      body();
      done.done();
    });
  }
  done.wait();
  return gort::nanotime() - start;
}

}  // namespace bench
