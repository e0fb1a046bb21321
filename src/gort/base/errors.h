// The errors of the core. Texts are Go's, without Go's "panic: " or "fatal error: " prefix.
#pragma once

#include <stdexcept>
#include <string>

namespace gort {

// Panic: a recoverable run-time panic of Go (send on closed channel, negative counter, ...).
class Panic : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Fatal: what ends a Go program (unlock of unlocked mutex, ...). Nothing was changed when it is thrown.
class Fatal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Deadlock: nobody is left who could wake anybody.
class Deadlock : public Fatal {
 public:
  Deadlock() : Fatal("all goroutines are asleep - deadlock!") {}
};

// GoExit unwinds a goroutine that is told to end (goexit, the end of a run). Not an error; do not catch it for good.
struct GoExit {};

// Interrupted: Ctrl-C ended a wait of goroutine 1.
struct Interrupted {};

}  // namespace gort
