// The C++ half of the example extension; see CMakeLists.txt and test_extension.py.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>

#include "gort/chan/typed_channel.h"
#include "gort/python/channel.h"
#include "gort/python/extension.h"
#include "gort/python/scope.h"
#include "gort/sched/go.h"

namespace py = pybind11;
namespace gp = gort::python;

namespace {

using Clock = std::chrono::steady_clock;

int64_t count_primes(int64_t from, int64_t to) {
  int64_t found = 0;
  for (int64_t n = from; n < to; n++) {
    bool prime = n > 1;
    for (int64_t d = 2; prime && d * d <= n; d++) prime = n % d != 0;
    found += prime;
  }
  return found;
}

// Two native goroutines that compute, and make no call of gort before both have seen the other one and Python moving.
class Meeting {
 public:
  static constexpr int kParties = 2, kTicks = 1000;

  void start(gort::Chan<int64_t> out, int64_t limit, const std::shared_ptr<Meeting>& self) {
    for (int i = 0; i < kParties; i++) {
      gort::go([self, out, limit, i] {
        self->meet();
        out.send(count_primes(limit / kParties * i, limit / kParties * (i + 1)));
        if (self->done_.fetch_add(1) + 1 == kParties) out.close();
      });
    }
  }
  void tick() { ticks_.fetch_add(1); }
  bool met() const { return met_.load() == kParties; }

 private:
  // Run one after the other, the first would spin here until it gives up.
  void meet() {
    arrived_.fetch_add(1);
    auto end = Clock::now() + std::chrono::seconds(60);
    while (arrived_.load() < kParties || ticks_.load() < kTicks) {
      if (Clock::now() > end) return;
    }
    met_.fetch_add(1);
  }

  std::atomic<int> arrived_{0}, met_{0}, done_{0};
  std::atomic<int64_t> ticks_{0};
};

// relay(numbers, results, callback): receives in the native lane until numbers is closed, calls callback in Python for each number,
// sends what it returns from the native lane. Returns how many there were.
PyObject* relay(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 3) return PyErr_Format(PyExc_TypeError, "relay: takes 3 arguments, got %zd", nargs);
  gort::Chan<int64_t> numbers, results;
  if (!gp::channel("relay", "numbers", args[0], gp::Directions::Receive, &numbers)) return nullptr;
  if (!gp::channel("relay", "results", args[1], gp::Directions::Send, &results)) return nullptr;
  PyObject* callback = args[2];
  int64_t count = 0;
  bool done = gp::enter([&] {
    gp::NativeScope native;
    for (int64_t number : numbers) {
      int64_t answer;
      {
        gp::PythonScope python;
        gp::NativeScope nested;   // back to where it came from, and again: scopes nest
        gp::PythonScope again;
        PyObject* value = PyObject_CallFunction(callback, "L", static_cast<long long>(number));
        answer = value ? PyLong_AsLongLong(value) : -1;
        Py_XDECREF(value);
        if (answer == -1 && PyErr_Occurred()) throw gp::PythonError();
      }
      {
        gort::BlockingScope blocking;
        std::atomic_thread_fence(std::memory_order_seq_cst);
      }
      results.send(answer);
      count++;
    }
  });
  return done ? PyLong_FromLongLong(count) : nullptr;
}

// reverse(blocks, results): a native goroutine that sends each block with its bytes in reverse, until blocks is closed.
PyObject* reverse(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) return PyErr_Format(PyExc_TypeError, "reverse: takes 2 arguments, got %zd", nargs);
  using Block = std::array<std::byte, 24>;
  gort::Chan<Block> blocks, results;
  if (!gp::channel("reverse", "blocks", args[0], gp::Directions::Receive, &blocks)) return nullptr;
  if (!gp::channel("reverse", "results", args[1], gp::Directions::Send, &results)) return nullptr;
  gort::go([blocks, results] {
    for (Block block : blocks) {
      std::reverse(block.begin(), block.end());
      results.send(block);
    }
    results.close();
  });
  return gp::chan_object(blocks);
}

// hop_time(n): n times to the native lane and back; the nanoseconds that took.
PyObject* hop_time(PyObject*, PyObject* argument) {
  long n = PyLong_AsLong(argument);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  Clock::time_point begin, end;
  bool done = gp::enter([&] {
    begin = Clock::now();
    for (long i = 0; i < n; i++) gp::NativeScope native;
    end = Clock::now();
  });
  return done ? PyLong_FromLongLong(std::chrono::nanoseconds(end - begin).count()) : nullptr;
}

// batch(limit): the primes below limit, counted in the native lane.
PyObject* batch(PyObject*, PyObject* argument) {
  int64_t limit = PyLong_AsLongLong(argument), found = 0;
  if (limit == -1 && PyErr_Occurred()) return nullptr;
  bool done = gp::enter([&] {
    gp::NativeScope native;
    found = count_primes(0, limit);
  });
  return done ? PyLong_FromLongLong(found) : nullptr;
}

// start_batch(limit, callback): a native goroutine that counts primes and then calls callback(count) in Python. limit < 0: throws.
PyObject* start_batch(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) return PyErr_Format(PyExc_TypeError, "start_batch: takes 2 arguments, got %zd", nargs);
  int64_t limit = PyLong_AsLongLong(args[0]);
  if (limit == -1 && PyErr_Occurred()) return nullptr;
  PyObject* callback = Py_NewRef(args[1]);
  return gp::go([limit, callback] {
    int64_t found = limit < 0 ? 0 : count_primes(0, limit);
    gp::PythonScope python;
    PyObject* result = PyObject_CallFunction(callback, "L", static_cast<long long>(found));
    Py_DECREF(callback);
    bool failed = !result;
    Py_XDECREF(result);
    if (failed) throw gp::PythonError();
    if (limit < 0) throw std::runtime_error("start_batch: a negative limit");
  });
}

PyMethodDef functions[] = {
    {"relay", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(relay)), METH_FASTCALL, nullptr},
    {"reverse", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(reverse)), METH_FASTCALL, nullptr},
    {"start_batch", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(start_batch)), METH_FASTCALL, nullptr},
    {"hop_time", hop_time, METH_O, nullptr},
    {"batch", batch, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PYBIND11_MODULE(_meeting, m, pybind11::mod_gil_not_used()) {
  py::module_::import("gort");
  if (PyModule_AddFunctions(m.ptr(), functions) < 0) throw py::error_already_set();
  py::class_<Meeting, std::shared_ptr<Meeting>>(m, "Meeting")
      .def(py::init([](py::object out, int64_t limit) {
             gort::Chan<int64_t> channel;
             if (!gp::channel("Meeting", "out", out.ptr(), gp::Directions::Send, &channel)) throw py::error_already_set();
             auto meeting = std::make_shared<Meeting>();
             meeting->start(channel, limit, meeting);
             return meeting;
           }),
           py::arg("out"), py::arg("limit"))
      .def("tick", &Meeting::tick)
      .def_property_readonly("met", &Meeting::met);
}
