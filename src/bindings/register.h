// One function a topic; each adds its names to the module. False, or a C++ exception, with a Python exception set on failure.
#pragma once

#include <pybind11/pybind11.h>

namespace gort::python {

bool register_channels(pybind11::module_& m);
bool register_sync(pybind11::module_& m);
bool register_context(pybind11::module_& m);
bool register_heap(pybind11::module_& m);
bool register_gc(pybind11::module_& m);
bool register_sched(pybind11::module_& m);
bool register_observe(pybind11::module_& m);
bool register_extension(pybind11::module_& m);
bool register_layout(pybind11::module_& m);

bool register_all(pybind11::module_& m);

}  // namespace gort::python
