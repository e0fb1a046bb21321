// The order on the command line of a subject (benchmarks/protocol.py).
#pragma once

#include <cstdint>
#include <string>

namespace bench {

struct Order {
  std::string name;         // --case
  int procs = 1;            // --procs
  int64_t repetitions = 0;  // --repetitions; always given
  double scale = 1.0;       // --scale

  int64_t operations() const;  // repetitions * scale, at least one
};

// parse_order throws std::invalid_argument, with a text that says what to do.
Order parse_order(int count, char** arguments);

}  // namespace bench
