// What programs outside read our memory by.
#include <boost/test/unit_test.hpp>

#include <cstring>
#include <map>
#include <string>

#include "../waiting.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/layout.h"
#include "gort/sched/runtime.h"

using namespace gort;
using namespace gort::testing;

namespace {

template <class T>
T at(uint64_t address) {
  T value;   // atomically: the reader is a goroutine while others run
  __atomic_load(reinterpret_cast<const T*>(address), &value, __ATOMIC_ACQUIRE);
  return value;
}

// As a reader does it: by the bytes alone.
std::map<std::string, uint64_t> record() {
  auto begin = reinterpret_cast<uint64_t>(&gort_layout);
  std::map<std::string, uint64_t> fields;
  if (std::memcmp(reinterpret_cast<const char*>(begin), "gortmap\n", 8) != 0) return fields;
  BOOST_TEST(at<uint32_t>(begin + 8) == kLayoutVersion);
  for (uint32_t i = 0; i < at<uint32_t>(begin + 12); i++) {
    uint64_t field = begin + 32 + 32 * i;
    fields[reinterpret_cast<const char*>(field)] = at<uint64_t>(field + 24);
  }
  return fields;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layout)

BOOST_AUTO_TEST_CASE(a_parked_goroutine_is_found_by_the_record_alone) {
  Runtime::get();   // which publishes the record
  auto f = record();
  BOOST_REQUIRE(!f.empty());
  int found = 0;
  bool at_home = false, on_its_stack = false;
  run([&] {
    Chan<int> ch(0);
    go([=]() mutable { ch.recv(); });
    until([] { return someone_waits(WaitReason::ChanReceive); });
    uint64_t list = f["runtime"] + f["runtime.goroutines"];
    for (uint64_t slot = at<uint64_t>(list); slot < at<uint64_t>(list + 8); slot += 8) {
      uint64_t g = at<uint64_t>(slot), sp = at<uint64_t>(g + f["g.fiber.sp"]);
      std::string status = at<const char*>(f["statuses"] + 8 * at<uint8_t>(g + f["g.status"]));
      std::string reason = at<const char*>(f["wait_reasons"] + 8 * at<uint8_t>(g + f["g.wait_reason"]));
      if (status != "waiting" || reason != "chan receive") continue;
      found++;
      at_home = at<uint64_t>(g + f["g.home"]) == f["runtime"] + f["runtime.native"];
      on_its_stack = at<uint64_t>(g + f["g.stack.low"]) < sp && sp < at<uint64_t>(g + f["g.stack.high"]);
    }
    ch.send(1);
  });
  BOOST_TEST(found == 1);
  BOOST_TEST(at_home);
  BOOST_TEST(on_its_stack);
}

BOOST_AUTO_TEST_SUITE_END()
