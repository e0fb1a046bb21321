#include "order.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string_view>

namespace bench {
namespace {

// parse_number throws unless the whole text is a number greater than zero.
template <class T>
T parse_number(std::string_view option, std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !(value > 0))
    throw std::invalid_argument(std::string(option) + " takes a number above zero, not \"" + std::string(text) + "\"");
  return value;
}

}  // namespace

int64_t Order::operations() const { return std::max<int64_t>(1, std::llround(double(repetitions) * scale)); }

Order parse_order(int count, char** arguments) {
  Order order;
  for (int i = 1; i < count; i += 2) {
    std::string_view option = arguments[i];
    if (i + 1 == count) throw std::invalid_argument(std::string(option) + " needs a value");
    std::string_view text = arguments[i + 1];
    if (option == "--case") order.name = text;
    else if (option == "--procs") order.procs = parse_number<int>(option, text);
    else if (option == "--repetitions") order.repetitions = parse_number<int64_t>(option, text);
    else if (option == "--scale") order.scale = parse_number<double>(option, text);
    else throw std::invalid_argument("no option " + std::string(option));
  }
  if (order.name.empty() || order.repetitions == 0) throw std::invalid_argument("give --case and --repetitions");
  return order;
}

}  // namespace bench
