#include "gort/context/time_text.h"

#include <time.h>

#include <cinttypes>
#include <cstdio>

namespace gort::context {
namespace {

const Nanos process_start = nanotime();

// ".5" for half of unit; nothing for zero.
std::string fraction(uint64_t part, uint64_t unit) {
  if (part == 0) return "";
  std::string digits;
  for (uint64_t place = unit / 10; place > 0 && part > 0; place /= 10) {
    digits += char('0' + part / place);
    part %= place;
  }
  return "." + digits;
}

}  // namespace

std::string duration_text(Nanos duration) {
  if (duration == 0) return "0s";
  uint64_t d = duration < 0 ? -uint64_t(duration) : uint64_t(duration);
  std::string sign = duration < 0 ? "-" : "";
  auto in_units = [&](uint64_t unit, const char* name) { return sign + std::to_string(d / unit) + fraction(d % unit, unit) + name; };
  if (d < 1'000) return in_units(1, "ns");
  if (d < 1'000'000) return in_units(1'000, "\u00b5s");
  if (d < 1'000'000'000) return in_units(1'000'000, "ms");
  uint64_t seconds = d / 1'000'000'000, hours = seconds / 3600, minutes = seconds / 60 % 60;
  std::string text = sign;
  if (hours > 0) text += std::to_string(hours) + "h";
  if (hours > 0 || minutes > 0) text += std::to_string(minutes) + "m";
  return text + std::to_string(seconds % 60) + fraction(d % 1'000'000'000, 1'000'000'000) + "s";
}

std::string time_text(Nanos t) {
  timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  int64_t ns = 0;
  if (__builtin_add_overflow(int64_t(wall.tv_sec) * kSecond + wall.tv_nsec, t - nanotime(), &ns)) ns = INT64_MAX;
  int64_t seconds = ns / kSecond, part = ns % kSecond;
  if (part < 0) {
    seconds--;
    part += kSecond;
  }
  time_t when = time_t(seconds);
  tm fields;
  localtime_r(&when, &fields);
  char date[32], zone[48], monotonic[40];
  strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &fields);
  strftime(zone, sizeof(zone), " %z %Z", &fields);
  Nanos m = t - process_start;
  uint64_t absolute = m < 0 ? -uint64_t(m) : uint64_t(m);
  snprintf(monotonic, sizeof(monotonic), " m=%c%" PRIu64 ".%09" PRIu64, m < 0 ? '-' : '+', absolute / 1'000'000'000,
           absolute % 1'000'000'000);
  return date + fraction(uint64_t(part), 1'000'000'000) + zone + monotonic;
}

}  // namespace gort::context
