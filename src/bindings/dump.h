// Texts about goroutines in Go's traceback format, with Python frames. Attached thread state (the GIL, where there is one).
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string>
#include <utility>
#include <vector>

namespace gort {
struct G;
}

namespace gort::python {

// dump_goroutines: a str with every goroutine: header line, what it waits for and who holds that, Python frames innermost first,
// "created by". asleep: nobody runs (a deadlock), so what native goroutines wait for can be looked into too.
// All goroutines are seen at one moment, for which other threads stand where there is no GIL, as in Go.
PyObject* dump_goroutines(bool asleep = false);

// Stack is where a goroutine is in Python, taken while the others stand and made a text of afterwards.
class Stack {
 public:
  Stack() = default;
  Stack(Stack&& other) noexcept : places_(std::exchange(other.places_, {})), cut_(other.cut_) {}
  ~Stack();
  Stack& operator=(Stack&&) = delete;

  // Once. REQUIRES: g is the caller's own, or cannot go on meanwhile (the GIL, while_all_stand).
  void take(G* g);
  std::string text() const;   // the frames, innermost first, as Go prints them

 private:
  struct Place {
    PyObject* code;   // owned
    int offset;
  };
  void take_frames(G* g);
  void take_coroutines(PyObject* outermost);
  void take_raw(G* g);

  std::vector<Place> places_;
  bool cut_ = false;   // there are more
};

}  // namespace gort::python
