#include "parked_frames.h"

#if defined(GORT_WITHOUT_GIL) && PY_VERSION_HEX >= 0x030e0000

#include <dlfcn.h>

#include <cstring>

namespace gort::python::parked_frames {

std::atomic<PyObject*> keeper{nullptr};
uint8_t keeper_bits = 0;

namespace {

// --- what a frame is made of

// The beginning of CPython's table; only what is named is used.
struct DebugOffsets {
  char cookie[8];
  uint64_t version, free_threaded;
  uint64_t of_runtime[3], of_interpreter[16], of_thread[9];
  struct {
    uint64_t size, previous, executable, instruction, locals, owner, top, bytecode;
  } frame;
};

struct Layout {
  size_t previous, executable, locals, owner, top;
} layout;

// CPython's _PyStackRef: the lowest bit alone says deferred (the two lowest: a number), and with no address there is nothing.
constexpr uintptr_t kTags = 3, kDeferred = 1;
// CPython's _frameowner: from here on a frame is the evaluator's own and has no values.
constexpr int kOwnedByInterpreter = 3;

using FramePointer = const char*;

template <class T>
T field(FramePointer frame, size_t offset) {
  T value;
  std::memcpy(&value, frame + offset, sizeof(value));
  return value;
}
PyObject* object_in(uintptr_t word) { return reinterpret_cast<PyObject*>(word & ~kTags); }
FramePointer innermost(const PyThreadState& state) { return reinterpret_cast<FramePointer>(state.current_frame); }
const uintptr_t* locals_of(FramePointer frame) { return reinterpret_cast<const uintptr_t*>(frame + layout.locals); }
const uintptr_t* top_of(FramePointer frame) { return field<const uintptr_t*>(frame, layout.top); }

// --- the Keeper

struct Keeper {   // none is ever destroyed
  PyObject_HEAD
  PyObject* itself;
  // For learn: how often it was asked.
  int counted, followed;
};

std::atomic<Frame*> frames{nullptr};
PyTypeObject* keeper_type;

int show_word(uintptr_t word, visitproc visit, void* arg) {
  if ((word & kTags) != kDeferred) return 0;
  PyObject* object = object_in(word);
  return object ? visit(object, arg) : 0;
}

int show_frames(FramePointer frame, visitproc visit, void* arg) {
  for (; frame; frame = field<FramePointer>(frame, layout.previous)) {
    if (field<char>(frame, layout.owner) >= kOwnedByInterpreter) continue;
    if (int error = show_word(field<uintptr_t>(frame, layout.executable), visit, arg)) return error;
    for (const uintptr_t *word = locals_of(frame), *top = top_of(frame); word < top; word++) {
      if (int error = show_word(*word, visit, arg)) return error;
    }
  }
  return 0;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  auto* me = reinterpret_cast<Keeper*>(self);
  Py_VISIT(Py_TYPE(self));
  uintptr_t before = self->ob_tid;
  Py_VISIT(me->itself);
  if (self->ob_tid != before) {
    me->counted++;
    return 0;
  }
  me->followed++;
  if (is_ending()) return 0;
  for (Frame* frame = frames.load(std::memory_order_acquire); frame; frame = frame->shown_before) {
    if (frame->state.load(std::memory_order_relaxed) != &frame->parked) continue;   // running: the interpreter sees to it
    if (int error = show_frames(innermost(frame->parked), visit, arg)) return error;
    for (StackReference* reference = frame->hidden.references; reference; reference = reference->next) {
      if (int error = show_word(reference->bits, visit, arg)) return error;
    }
  }
  return 0;
}

// Null with an exception set: no memory.
PyObject* make_keeper() {
  auto* made = PyObject_GC_New(Keeper, keeper_type);
  if (!made) return nullptr;
  made->counted = made->followed = 0;
  made->itself = Py_NewRef(reinterpret_cast<PyObject*>(made));
  PyObject_GC_Track(made->itself);
  return made->itself;
}

// --- is it as the table says?

bool read_table() {
  auto* table = static_cast<const DebugOffsets*>(dlsym(RTLD_DEFAULT, "_PyRuntime"));
  if (!table || std::memcmp(table->cookie, "xdebugpy", sizeof(table->cookie)) != 0 || table->version != Py_Version ||
      table->free_threaded != 1) {
    return false;
  }
  const auto& frame = table->frame;
  constexpr uint64_t kMost = 256;
  if (frame.size > kMost) return false;
  for (uint64_t offset : {frame.previous, frame.executable, frame.locals, frame.owner, frame.top}) {
    if (offset >= kMost) return false;
  }
  layout = {size_t(frame.previous), size_t(frame.executable), size_t(frame.locals), size_t(frame.owner), size_t(frame.top)};
  return true;
}

struct Sight {
  PyObject *function, *list, *look;
  FramePointer outside;   // the caller's frame, below
  bool right = false;
};

// Called by a function of two variables, which C has called.
PyObject* look(PyObject* capsule, PyObject*) {
  auto* sight = static_cast<Sight*>(PyCapsule_GetPointer(capsule, nullptr));
  FramePointer frame = innermost(*PyThreadState_Get());
  auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(sight->function));
  const uintptr_t *locals = locals_of(frame), *top = top_of(frame);
  bool right = object_in(field<uintptr_t>(frame, layout.executable)) == reinterpret_cast<PyObject*>(code) && field<char>(frame, layout.owner) == 0;
  right = right && locals[0] == (reinterpret_cast<uintptr_t>(sight->function) | kDeferred) && locals[1] == reinterpret_cast<uintptr_t>(sight->list);
  right = right && top > locals + 2 && top <= locals + 2 + code->co_stacksize;
  bool called = false;
  for (const uintptr_t* word = locals + 2; right && word < top; word++) called = called || object_in(*word) == sight->look;
  FramePointer entry = field<FramePointer>(frame, layout.previous);
  right = right && called && entry && field<char>(entry, layout.owner) == kOwnedByInterpreter;
  sight->right = right && field<FramePointer>(entry, layout.previous) == sight->outside;
  Py_RETURN_NONE;
}

bool frames_are_as_read() {
  static PyMethodDef definition = {"look", look, METH_NOARGS, nullptr};
  Sight sight{};
  PyObject* capsule = PyCapsule_New(&sight, nullptr, nullptr);
  sight.look = capsule ? PyCFunction_New(&definition, capsule) : nullptr;
  sight.list = PyList_New(0);
  PyObject* names = sight.look ? Py_BuildValue("{s:O,s:O}", "look", sight.look, "__builtins__", PyEval_GetBuiltins()) : nullptr;
  PyObject* done = names ? PyRun_String("def f(a, b): look()\n", Py_file_input, names, names) : nullptr;
  sight.function = done ? PyDict_GetItemString(names, "f") : nullptr;
  sight.outside = innermost(*PyThreadState_Get());
  PyObject* result = sight.function && sight.list ? PyObject_CallFunctionObjArgs(sight.function, sight.function, sight.list, nullptr) : nullptr;
  PyErr_Clear();
  Py_XDECREF(result);
  if (names) PyDict_Clear(names);   // a cycle
  Py_XDECREF(done);
  Py_XDECREF(names);
  Py_XDECREF(sight.list);
  Py_XDECREF(sight.look);
  Py_XDECREF(capsule);
  return sight.right;
}

bool collector_asks_as_it_should() {
  PyObject* gc = PyImport_ImportModule("gc");   // PyGC_Collect does nothing where it is disabled
  auto* asked = reinterpret_cast<Keeper*>(keeper.load());
  for (int tries = 0; gc && tries < 1000 && asked->counted == 0; tries++) {   // it does nothing either while another thread collects
    Py_XDECREF(PyObject_CallMethod(gc, "collect", nullptr));
    PyErr_Clear();
    if (asked->counted == 0) Py_BEGIN_ALLOW_THREADS usleep(1000); Py_END_ALLOW_THREADS
  }
  PyErr_Clear();
  Py_XDECREF(gc);
  return asked->counted > 0 && asked->followed == asked->counted && asked->ob_base.ob_gc_bits == keeper_bits;
}

}  // namespace

const char* learn() {
  static PyType_Slot slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse)}, {0, nullptr}};
  static PyType_Spec spec = {"gort._gort.Keeper", sizeof(Keeper), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  if (!read_table() || !frames_are_as_read()) return "the frames of its functions";
  keeper_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  PyObject* first = keeper_type ? make_keeper() : nullptr;
  if (!first) {
    PyErr_Clear();
    return "no memory";
  }
  keeper_bits = first->ob_gc_bits;
  keeper.store(first);
  return collector_asks_as_it_should() ? nullptr : "its collector";
}

void show(Frame* frame) {
  frame->shown_before = frames.load(std::memory_order_relaxed);
  while (!frames.compare_exchange_weak(frame->shown_before, frame, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void renew() {
  PyObject* old = keeper.load();
  PyObject* raised = PyErr_GetRaisedException();
  PyObject* made = make_keeper();
  PyErr_Clear();   // no memory: at the next switch
  PyErr_SetRaisedException(raised);
  if (made) keeper.compare_exchange_strong(old, made);   // two are as good as one
}

}  // namespace gort::python::parked_frames

#endif
