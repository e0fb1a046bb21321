// How long the woken wait until they run.
#include <boost/test/unit_test.hpp>

#include "../waiting.h"
#include "gort/chan/typed_channel.h"
#include "gort/observe/latency.h"

using namespace gort;
using namespace gort::testing;
using observe::LatencyHistogram;

namespace {

uint64_t recorded() {
  uint64_t n = 0;
  for (size_t i = 0; i < LatencyHistogram::kBuckets; i++) {
    n += observe::loose_latencies()[i];
    Runtime::get().native().for_each_processor([&](P& p) { n += p.latencies[i]; });
  }
  return n;
}

void exchange(int rounds) {
  run([=] {
    Chan<int> ch(0);
    go([=]() mutable {
      for (int i = 0; i < rounds; i++) ch.send(i);
    });
    for (int i = 0; i < rounds; i++) ch.recv();
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(latency)

BOOST_AUTO_TEST_CASE(a_bucket_holds_the_durations_from_its_power_of_two_to_the_next) {
  BOOST_TEST(LatencyHistogram::bucket_of(0) == 0u);
  BOOST_TEST(LatencyHistogram::bucket_of(1) == 0u);
  BOOST_TEST(LatencyHistogram::bucket_of(2) == 1u);
  BOOST_TEST(LatencyHistogram::bucket_of(1023) == 9u);
  BOOST_TEST(LatencyHistogram::bucket_of(1024) == 10u);
  BOOST_TEST(LatencyHistogram::bucket_of(kForever) == LatencyHistogram::kBuckets - 1);
  BOOST_TEST(LatencyHistogram::bucket_of(-5) == 0u);   // clocks of two CPUs
}

BOOST_AUTO_TEST_CASE(nothing_is_recorded_unless_it_is_wanted) {
  uint64_t before = recorded();
  exchange(100);
  BOOST_TEST(recorded() == before);
}

BOOST_AUTO_TEST_CASE(every_start_and_every_wake_is_recorded_once) {
  observe::latency_start();
  uint64_t before = recorded();
  exchange(100);
  uint64_t n = recorded() - before;
  observe::latency_stop();
  BOOST_TEST(n >= 2u + 99u);    // two starts; of each exchange one party was woken, and the last one may not have run yet
  BOOST_TEST(n <= 2u + 200u);
}

BOOST_AUTO_TEST_CASE(sessions_nest) {
  observe::latency_start();
  observe::latency_start();
  observe::latency_stop();
  BOOST_TEST(observe::latency_measured());
  observe::latency_stop();
  BOOST_TEST(!observe::latency_measured());
}

BOOST_AUTO_TEST_SUITE_END()
