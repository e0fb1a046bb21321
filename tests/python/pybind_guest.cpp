// Somebody's extension module, for test_pybind_modules.py: what people do with the GIL and with callbacks in pybind11.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <functional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace py = pybind11;

struct Shape {
  virtual ~Shape() = default;
  virtual int area(int x) { return x; }
};
struct PyShape : Shape {
  int area(int x) override { PYBIND11_OVERRIDE(int, Shape, area, x); }
};

PYBIND11_MODULE(MODULE_NAME, m) {
  m.def("acquires", [] {
    py::gil_scoped_acquire held;
    return true;
  });
  m.def("calls", [](const std::function<int(int)>& f, int x) { return f(x); });
  m.def("calls_function", [](py::function f, int x) { return f(x); });
  m.def("invokes", [](py::function f, py::args a) { return f(*a); });
  m.def("calls_released", [](const std::function<int(int)>& f, int x) {
    py::gil_scoped_release released;
    return f(x);   // acquires
  });
  m.def("sum_of_calls", [](const std::function<int(int)>& f, const std::vector<int>& values, const std::string& text) {
    int sum = int(text.size());
    for (int value : values) sum += f(value);
    return sum;
  });
  m.def("releases_and_acquires", [](py::function f) {
    py::gil_scoped_release released;
    usleep(100);
    py::gil_scoped_acquire held;
    f();
  });
  m.def("disassociates", [] { py::gil_scoped_release released(true); });
  m.def("blocks", [](double seconds) { usleep(useconds_t(seconds * 1e6)); }, py::call_guard<py::gil_scoped_release>());
  m.def("calls_from_a_thread", [](py::function f) {
    py::gil_scoped_release released;
    std::thread([&] {
      py::gil_scoped_acquire held;
      for (int i = 0; i < 5; i++) f(i);
    }).join();
  });
  m.def("rethrows", [](py::function f) {
    try {
      f();
    } catch (py::error_already_set& error) {
      return std::string("caught ") + py::str(error.value()).cast<std::string>();
    }
    return std::string("nothing");
  });
  py::class_<Shape, PyShape>(m, "Shape").def(py::init<>()).def("area", &Shape::area);
  m.def("area_of", [](Shape& shape, int x) { return shape.area(x); });
  m.def("area_of_released", [](Shape& shape, int x) { return shape.area(x); }, py::call_guard<py::gil_scoped_release>());
}
