#include "gort/python/scope.h"

#include "gort/base/errors.h"
#include "gort/python/extension.h"
#include "gort/sched/hop.h"
#include "gort/sched/runtime.h"

namespace gort::python {

NativeScope::NativeScope() {
  M* m = this_machine();
  if (m && !m->lane->hooks()) return;
  if (!extension_hooks().attach()) throw Fatal("gort::python::NativeScope: this thread cannot use gort");
  outside_from_ = hop(Runtime::get().native(), nullptr);
  hopped_ = true;
}

NativeScope::~NativeScope() noexcept(false) {
  if (hopped_) hop(*Runtime::get().python(), outside_from_);
}

[[gnu::noinline]] void PythonScope::enter() {
  M* m = this_machine();
  if (!m || !m->current || !m->current->home->hooks()) {
    throw Fatal("gort::python::PythonScope: this goroutine has no stack for Python; start it with gort::python::go");
  }
  if (m->lane->hooks()) return;
  hopped_ = true;
  hop(*m->current->home, __builtin_frame_address(0));
}

PythonScope::~PythonScope() {
  if (hopped_) hop(Runtime::get().native(), nullptr);
}

_object* detail::start(void (*invoke)(void*), void (*destroy)(void*), void* body) {
  try {
    return extension_hooks().start(invoke, destroy, body);
  } catch (...) {
    destroy(body);
    throw;
  }
}

}  // namespace gort::python
