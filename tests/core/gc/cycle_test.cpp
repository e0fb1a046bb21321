#include <boost/test/unit_test.hpp>

#include <regex>
#include <string>

#include "gort/gc/collector.h"
#include "gort/heap/handle.h"
#include "gort/heap/object.h"
#include "gort/sched/go.h"

using namespace gort;
using namespace gort::heap;

BOOST_AUTO_TEST_SUITE(cycle)

BOOST_AUTO_TEST_CASE(phases_are_recorded_in_order_with_their_pauses) {
  gort::run([] {
    for (int i = 0; i < 3000; i++) make_array<Pointer<int>>(1000);
  });
  gc::collect();
  auto cycles = gc::cycles();
  BOOST_REQUIRE(cycles.size() >= 2u);
  for (const gc::Cycle& c : cycles) {
    BOOST_TEST(c.start > 0);
    BOOST_TEST(c.start <= c.stop1_begin);
    BOOST_TEST(c.stop1_begin <= c.mark_begin);
    BOOST_TEST(c.mark_begin <= c.stop2_begin);
    BOOST_TEST(c.stop2_begin <= c.sweep_begin);
    BOOST_TEST(c.sweep_begin <= c.end);
    BOOST_TEST(c.stop1_wait <= c.stop1_pause);
    BOOST_TEST(c.stop2_wait <= c.stop2_pause);
    BOOST_TEST(c.stop1_pause > 0);
    BOOST_TEST(c.stop2_pause > 0);
    BOOST_TEST(c.stop2_attempts >= 1u);
    BOOST_TEST(c.heap_after <= c.heap_peak + (1u << 20));
    BOOST_TEST(c.procs >= 1);
  }
  for (size_t i = 1; i < cycles.size(); i++) {
    BOOST_TEST(cycles[i].number == cycles[i - 1].number + 1);
    BOOST_TEST(cycles[i].start >= cycles[i - 1].end);
  }
}

BOOST_AUTO_TEST_CASE(a_cycle_counts_what_it_marked_and_freed) {
  gc::collect();
  gort::run([] {
    Ref<Pointer<int64_t>> kept(make_array<Pointer<int64_t>>(1000));
    for (int i = 0; i < 1000; i++) kept.get()[i] = make_array<int64_t>(4);
    for (int i = 0; i < 2000; i++) make_array<int64_t>(4);
    gc::collect();
    gc::Cycle c = gc::cycles().back();
    BOOST_TEST(c.objects_marked >= 1001u);
    BOOST_TEST(c.objects_freed >= 1900u);
    BOOST_TEST(c.bytes_freed >= 1900u * 48);
    BOOST_TEST(c.handles >= 1u);
    BOOST_TEST(c.stacks >= 1u);
    BOOST_TEST(c.stack_bytes > 0u);
    BOOST_TEST(c.bytes_scanned >= 8000u);
    BOOST_CHECK(c.reason == gc::Reason::Forced);
  });
}

BOOST_AUTO_TEST_CASE(at_most_256_cycles_are_kept) {
  while (gc::stats().num_gc < 260) gc::collect();
  auto cycles = gc::cycles();
  BOOST_TEST(cycles.size() == 256u);
  BOOST_TEST(cycles.back().number == gc::stats().num_gc);
}

BOOST_AUTO_TEST_CASE(the_sums_are_those_of_the_records) {
  gc::collect();
  gc::Stats s = gc::stats();
  BOOST_TEST(s.pause_total > 0);
  BOOST_TEST(s.pause_max <= s.pause_total);
  BOOST_TEST(s.num_forced <= s.num_gc);
  BOOST_TEST(s.cpu_fraction >= 0);
  BOOST_TEST(s.cpu_fraction <= 1);
}

BOOST_AUTO_TEST_CASE(the_trace_line_is_gos) {
  gc::Cycle c;
  c.number = 3;
  c.reason = gc::Reason::Heap;
  c.procs = 2;
  c.since_process_start = 51 * kMillisecond;
  c.cpu_fraction = 0.029;
  c.stop1_pause = 18 * kMicrosecond + 999;
  c.mark_begin = 1;
  c.stop2_begin = 1 + 1234 * kMicrosecond;
  c.stop2_pause = 500;
  c.assist_time = 150 * kMicrosecond;
  c.worker_time = 12345 * kMicrosecond;
  c.heap_before = 4 << 20;
  c.heap_peak = (6 << 20) - 1;
  c.heap_after = 2 << 20;
  c.goal = 5 << 20;
  BOOST_TEST(gc::trace_line(c) ==
             "gc 3 @0.051s 2%: 0.018+1.2+0 ms clock, 0.037+0.15/12/0+0.001 ms cpu, 4->5->2 MB, 5 MB goal, 0 MB stacks, "
             "0 MB globals, 2 P");
  c.reason = gc::Reason::Forced;
  c.stop1_pause = 9999 * kMicrosecond;
  c.since_process_start = 12 * kSecond + 7 * kMillisecond;
  BOOST_TEST(gc::trace_line(c).substr(0, 26) == "gc 3 @12.007s 2%: 9.9+1.2+");
  BOOST_TEST(gc::trace_line(c).ends_with(" 2 P (forced)"));
}

BOOST_AUTO_TEST_CASE(every_recorded_cycle_prints_as_a_trace_line) {
  std::regex line(R"(gc \d+ @\d+\.\d{3}s \d+%: [\d.]+\+[\d.]+\+[\d.]+ ms clock, [\d.]+\+[\d.]+/[\d.]+/[\d.]+\+[\d.]+ ms cpu, )"
                  R"(\d+->\d+->\d+ MB, \d+ MB goal, \d+ MB stacks, \d+ MB globals, \d+ P( \(forced\))?)");
  gc::collect();
  for (const gc::Cycle& c : gc::cycles()) BOOST_TEST(std::regex_match(gc::trace_line(c), line), gc::trace_line(c));
}

BOOST_AUTO_TEST_SUITE_END()
