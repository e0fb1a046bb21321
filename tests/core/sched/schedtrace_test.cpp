// Go's lines about the scheduler.
#include <boost/test/unit_test.hpp>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "../waiting.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/schedtrace.h"

using namespace gort;
using namespace gort::testing;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!lines.empty() && line.starts_with("SCHED ")) break;   // of another lane, which other cases in this process may have made
    lines.push_back(line);
  }
  return lines;
}

bool matches(const std::string& line, const std::string& pattern) { return std::regex_match(line, std::regex(pattern)); }

const std::string kSummary =
    "SCHED \\d+ms: gomaxprocs=\\d+ idleprocs=\\d+ threads=\\d+ spinningthreads=\\d+ needspinning=[01] idlethreads=\\d+ runqueue=\\d+";

}  // namespace

BOOST_AUTO_TEST_SUITE(schedtrace_)

BOOST_AUTO_TEST_CASE(the_short_form_is_gos_line) {
  auto lines = lines_of(schedtrace(false));
  BOOST_REQUIRE(lines.size() == 1u);
  BOOST_TEST(matches(lines[0], kSummary + " \\[ (\\d+ )+\\] schedticks=\\[ (\\d+ )+\\]"), lines[0]);
}

BOOST_AUTO_TEST_CASE(the_detailed_form_has_a_line_for_each_p_m_and_g) {
  std::string text;
  run([&] {
    Chan<int> ch(0);
    go([=]() mutable { ch.recv(); });
    // Waiting it may still be on its machine, for as long as that does not run.
    until([&] {
      text = schedtrace(true);
      return text.find("status=4(chan receive) m=nil") != std::string::npos;
    });
    ch.send(1);
  });
  auto lines = lines_of(text);
  BOOST_REQUIRE(!lines.empty());
  BOOST_TEST(matches(lines[0], kSummary + " gcwaiting=(true|false) nmidlelocked=\\d+ stopwait=\\d+ sysmonwait=(true|false)"),
             lines[0]);
  int ps = 0, ms = 0, running = 0, receiving = 0, others = 0;
  for (size_t i = 1; i < lines.size(); i++) {
    if (matches(lines[i], "  P\\d+: status=\\d schedtick=\\d+ syscalltick=\\d+ m=(\\d+|nil) runqsize=\\d+ gfreecnt=\\d+ timerslen=\\d+")) ps++;
    else if (matches(lines[i], "  M\\d+: p=(\\d+|nil) curg=(\\d+|nil) mallocing=\\d+ throwing=\\d+ preemptoff=\\S* locks=\\d+ dying=\\d+ "
                               "spinning=(true|false) blocked=(true|false) lockedg=(\\d+|nil)")) ms++;
    else if (matches(lines[i], "  G\\d+: status=2\\(.*\\) m=\\d+ lockedm=(\\d+|nil)")) running++;
    else if (matches(lines[i], "  G\\d+: status=4\\(chan receive\\) m=nil lockedm=nil")) receiving++;
    else if (!matches(lines[i], "  G\\d+: status=\\d+\\(.*\\) m=(\\d+|nil) lockedm=(\\d+|nil)")) others++;
  }
  BOOST_TEST(ps == gomaxprocs());
  BOOST_TEST(ms >= 1);
  BOOST_TEST(running >= 1);
  BOOST_TEST(receiving == 1);
  BOOST_TEST(others == 0);
}

BOOST_AUTO_TEST_SUITE_END()
