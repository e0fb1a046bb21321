#include "python_stack.h"

#include <memory>

#include "frame_layout.h"
#include "python_lane.h"
#include "references.h"

namespace gort::python {

const observe::StackKind python_stack{[](const observe::Place& place) { drop(reinterpret_cast<PyObject*>(place.where)); }};

observe::StackId python_stack_here() {
  std::shared_ptr<observe::CallStacks> stacks = observe::call_stacks();
  return stacks ? keep_python_stack(*stacks) : 0;
}

observe::StackId keep_python_stack(observe::CallStacks& stacks, size_t most) {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  Frame* frame = g && g->home == &lane() ? frame_of(g) : nullptr;
  PyThreadState* state = frame ? frame->state.load(std::memory_order_relaxed) : nullptr;
  if (!state || !is_attached(state)) return 0;
  observe::Place places[observe::CallStacks::kMostPlaces];
  size_t count = 0;
  for_each_frame(state, [&](PyCodeObject* code, int offset, const char*) {
    places[count++] = {reinterpret_cast<uintptr_t>(code), uintptr_t(offset)};
    return count < most;
  });
  bool taken;
  observe::StackId id = stacks.keep(python_stack, {places, count}, taken);
  if (taken) {   // until now the frames had them for us
    for (size_t i = 0; i < count; i++) Py_INCREF(reinterpret_cast<PyObject*>(places[i].where));
  }
  return id;
}

PyObject* python_frame(const observe::Place& place) {
  auto* code = reinterpret_cast<PyCodeObject*>(place.where);
  return Py_BuildValue("(OOi)", code->co_qualname, code->co_filename, PyCode_Addr2Line(code, int(place.offset)));
}

}  // namespace gort::python
