#include "dump.h"

#include <algorithm>

#include "frame_layout.h"
#include "goroutine_object.h"
#include "python_lane.h"
#include "waits.h"
#include "without_gil.h"

namespace gort::python {
namespace {

constexpr size_t kMostFrames = 100;

std::string text_of(PyObject* object) {
  const char* text = object ? PyUnicode_AsUTF8(object) : nullptr;
  if (!text) PyErr_Clear();
  return text ? text : "?";
}

bool is_own(G* g) {
  M* m = this_machine();
  return m && m->current == g;
}

// What is taken of one goroutine.
struct Sight {
  std::string head;
  Stack stack;
  PyObject* object = nullptr;   // owned; null: none, or a native goroutine's
};

}  // namespace

Stack::~Stack() {
  for (const Place& place : places_) Py_DECREF(place.code);
}

void Stack::take(G* g) {
  if (!kWithoutGil || is_own(g)) take_frames(g);
  else take_raw(g);
}

void Stack::take_frames(G* g) {
  PyFrameObject* frame = innermost_frame(g);
  while (frame && places_.size() < kMostFrames) {
    places_.push_back({reinterpret_cast<PyObject*>(PyFrame_GetCode(frame)), PyFrame_GetLasti(frame)});
    PyFrameObject* back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  cut_ = frame != nullptr;
  Py_XDECREF(frame);
  GoroutineObject* object = frame_of(g) ? frame_of(g)->object : nullptr;
  if (object && object->coroutine) take_coroutines(object->coroutine);
}

namespace {
// What coroutines, generators and asynchronous generators call their frame and what they wait for; null: the object is none, and has neither.
struct Names {
  const char* frame;
  const char* awaits;
};
Names names_of(PyObject* object) {
  if (PyCoro_CheckExact(object)) return {"cr_frame", "cr_await"};
  if (PyGen_CheckExact(object)) return {"gi_frame", "gi_yieldfrom"};
  if (PyAsyncGen_CheckExact(object)) return {"ag_frame", "ag_await"};
  return {nullptr, nullptr};
}
}  // namespace

// Of a goroutine that waits without a stack: each waits for the next one, the last for its Await.
void Stack::take_coroutines(PyObject* outermost) {
  PyObject* object = Py_NewRef(outermost);
  for (Names names = names_of(object); names.frame && places_.size() < kMostFrames; names = names_of(object)) {
    PyObject* frame = PyObject_GetAttrString(object, names.frame);
    if (frame && PyFrame_Check(frame)) {
      auto* at = reinterpret_cast<PyFrameObject*>(frame);
      places_.push_back({reinterpret_cast<PyObject*>(PyFrame_GetCode(at)), PyFrame_GetLasti(at)});
    }
    Py_XDECREF(frame);
    PyObject* next = PyObject_GetAttrString(object, names.awaits);
    if (!next) {
      PyErr_Clear();
      break;
    }
    Py_DECREF(object);
    object = next;
  }
  Py_DECREF(object);
  std::reverse(places_.begin(), places_.end());
}

// While all stand nobody may make an object, and PyThreadState_GetFrame makes one for each frame.
void Stack::take_raw(G* g) {
  Frame* frame = frame_of(g);
  PyThreadState* state = frame ? frame->state.load(std::memory_order_relaxed) : nullptr;
  if (!state || (g->is_plain_thread() && !is_alive(state))) return;
  for_each_frame(state, [&](PyCodeObject* code, int offset, const char*) {
    cut_ = places_.size() == kMostFrames;
    if (!cut_) places_.push_back({Py_NewRef(reinterpret_cast<PyObject*>(code)), offset});
    return !cut_;
  });
}

std::string Stack::text() const {
  std::string text;
  for (const Place& place : places_) {
    auto* code = reinterpret_cast<PyCodeObject*>(place.code);
    text += text_of(code->co_qualname) + "(...)\n\t" + text_of(code->co_filename) + ":" +
            std::to_string(PyCode_Addr2Line(code, place.offset)) + "\n";
  }
  if (cut_) text += "...additional frames elided...\n";
  return text;
}

PyObject* dump_goroutines(bool asleep) {
  std::vector<Sight> sights;
  while_all_stand([&] {
    Runtime& runtime = Runtime::get();
    Nanos now = nanotime();
    runtime.note_waits(now);
    for (G* g : runtime.all_goroutines()) {
      Status status = g->status.load(std::memory_order_relaxed);
      if (status == Status::Dead || status == Status::Idle || g->system) continue;
      Sight sight;
      sight.head = header_line(*g, now) + "\n";
      std::string wait = wait_text(g, asleep);
      if (!wait.empty()) sight.head += wait + "\n";
      if (g->home == &lane()) sight.stack.take(g);
      sight.object = known_object(g);
      sights.push_back(std::move(sight));
    }
  });
  std::string text;
  for (Sight& sight : sights) {
    text += (text.empty() ? "" : "\n") + sight.head + sight.stack.text();
    if (!sight.object) continue;
    text += creation_text(reinterpret_cast<GoroutineObject*>(sight.object));
    Py_CLEAR(sight.object);
  }
  return PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace");
}

}  // namespace gort::python
