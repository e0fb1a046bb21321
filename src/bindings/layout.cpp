// gort_python_layout: the second record of gort/sched/layout.h, with what is behind a Python goroutine: its function, where go() was called, and
// its Python frames. Numbers come from CPython's public headers, compiled for each minor version, and from frame_layout.h.
//
// A reader checks the type of every object that it comes to (type.*, addresses of type objects), as it may be gone by then.
#include <cstring>
#include <utility>

#include "frame_layout.h"
#include "goroutine_object.h"
#include "gort/sched/layout.h"
#include "gort/sync/mutex.h"
#include "gort/sync/rwmutex.h"
#include "register.h"

extern "C" {
[[gnu::visibility("default")]] constinit gort::LayoutRecord gort_python_layout;
}

namespace gort::python {

// A friend of Call.
struct LayoutAccess {
  static constexpr size_t items() { return offsetof(GoroutineObject, call) + offsetof(Call, items_); }
};

namespace {

bool registered = false;

uint64_t address(const void* object) { return reinterpret_cast<uint64_t>(object); }

// Bit fields have no address: the word in which only one is set shows where it lies.
template <class Set>
uint64_t mask_of(Set set) {
  PyASCIIObject text;
  std::memset(&text, 0, sizeof(text));
  set(text);
  uint32_t word;
  std::memcpy(&word, &text.state, sizeof(word));
  return word;
}

}  // namespace

bool register_layout(PyObject*) {
  LayoutRecord& record = gort_python_layout;
  if (std::exchange(registered, true)) return true;   // the module was imported anew
  record.add("python.version", Py_Version);

  record.add("frame.state", offsetof(Frame, state));
  record.add("frame.object", offsetof(Frame, object));
  record.add("goroutine.id", offsetof(GoroutineObject, id));
  record.add("goroutine.name", offsetof(GoroutineObject, name));
  record.add("goroutine.native", offsetof(GoroutineObject, native) + offsetof(NativeBody, invoke));
  record.add("goroutine.call", LayoutAccess::items());
  record.add("goroutine.created_code", offsetof(GoroutineObject, created_code));
  record.add("goroutine.created_at", offsetof(GoroutineObject, created_offset));
  record.add("goroutine.size", sizeof(GoroutineObject));
  record.add("mutex.holder", Mutex::holder_offset());
  record.add("rwmutex.holder", RWMutex::holder_offset());

  record.add("object.type", offsetof(PyObject, ob_type));
  record.add("type.name", offsetof(PyTypeObject, tp_name));
  record.add("type.code", address(&PyCode_Type));
  record.add("type.str", address(&PyUnicode_Type));
  record.add("type.bytes", address(&PyBytes_Type));
  record.add("type.function", address(&PyFunction_Type));
  record.add("type.method", address(&PyMethod_Type));
  record.add("type.builtin", address(&PyCFunction_Type));
  record.add("type.module", address(&PyModule_Type));
  record.add("function.qualname", offsetof(PyFunctionObject, func_qualname));
  record.add("method.function", offsetof(PyMethodObject, im_func));
  record.add("builtin.definition", offsetof(PyCFunctionObject, m_ml));
  record.add("builtin.self", offsetof(PyCFunctionObject, m_self));
  record.add("definition.name", offsetof(PyMethodDef, ml_name));
  record.add("code.qualname", offsetof(PyCodeObject, co_qualname));
  record.add("code.filename", offsetof(PyCodeObject, co_filename));
  record.add("code.first_line", offsetof(PyCodeObject, co_firstlineno));
  record.add("code.lines", offsetof(PyCodeObject, co_linetable));
  record.add("code.instructions", offsetof(PyCodeObject, co_code_adaptive));
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030e0000
  record.add("code.copies", offsetof(PyCodeObject, co_tlbc));   // of its instructions, one for each thread that runs it
  record.add("code.length", offsetof(PyVarObject, ob_size));    // in instructions of two bytes
  record.add("copies.count", offsetof(_PyCodeArray, size));
  record.add("copies.first", offsetof(_PyCodeArray, entries));
#endif
  record.add("bytes.length", offsetof(PyVarObject, ob_size));
  record.add("bytes.data", offsetof(PyBytesObject, ob_sval));
  record.add("str.length", offsetof(PyASCIIObject, length));
  record.add("str.state", offsetof(PyASCIIObject, state));
  record.add("str.compact", mask_of([](PyASCIIObject& text) { text.state.compact = 1; }));
  record.add("str.ascii", mask_of([](PyASCIIObject& text) { text.state.ascii = 1; }));
  record.add("str.kind", mask_of([](PyASCIIObject& text) { text.state.kind = 7; }));
  record.add("str.kind.one", mask_of([](PyASCIIObject& text) { text.state.kind = 1; }));
  record.add("str.ascii.data", sizeof(PyASCIIObject));
  record.add("str.data", sizeof(PyCompactUnicodeObject));

  FrameLayout frames = learn_frame_layout();
  if (frames.known()) {
    if (frames.by_way_of != FrameLayout::kUnknown) record.add("state.frame_holder", frames.by_way_of);
    record.add("state.frame", frames.innermost);
    record.add("pyframe.code", frames.code);
    record.add("pyframe.caller", frames.caller);
    record.add("pyframe.instruction", frames.instruction);
  }
  record.publish();
  return true;
}

}  // namespace gort::python
