#include "dump.h"

#include "goroutine_object.h"
#include "python_lane.h"
#include "waits.h"

namespace gort::python {
namespace {

std::string text_of(PyObject* object) {
  const char* text = object ? PyUnicode_AsUTF8(object) : nullptr;
  if (!text) PyErr_Clear();
  return text ? text : "?";
}

std::string frame_text(PyFrameObject* frame) {
  PyCodeObject* code = PyFrame_GetCode(frame);
  std::string text = text_of(code->co_qualname) + "(...)\n\t" + text_of(code->co_filename) + ":" +
                     std::to_string(PyFrame_GetLineNumber(frame)) + "\n";
  Py_DECREF(code);
  return text;
}

}  // namespace

std::string frames_of(G* g) {
  constexpr int kMost = 100;
  std::string text;
  PyFrameObject* frame = innermost_frame(g);
  for (int depth = 0; frame; depth++) {
    if (depth < kMost) text += frame_text(frame);
    else if (depth == kMost) text += "...additional frames elided...\n";
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  return text;
}

std::string created_by(G* g) {
  if (g->is_plain_thread()) return "";
  Frame* frame = frame_of(g);
  if (!frame || !frame->object) return "";
  return creation_text(frame->object);
}

PyObject* dump_goroutines(bool asleep) {
  std::string text = Runtime::get().dump([asleep](G* g) -> std::string {
    std::string wait = wait_text(g, asleep);
    if (!wait.empty()) wait += "\n";
    if (g->home != &lane()) return wait;
    return wait + frames_of(g) + created_by(g);
  });
  return PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace");
}

}  // namespace gort::python
