#include "goroutine_object.h"

#include <cxxabi.h>
#include <structmember.h>
#include <unistd.h>

#include <exception>
#include <new>
#include <utility>

#include "arguments.h"
#include "awaitables.h"
#include "coroutines.h"
#include "dump.h"
#include "errors.h"
#include "gort/base/errors.h"
#include "gort/sched/hop.h"
#include "gort/sched/run_group.h"
#include "references.h"
#include "run.h"
#include "tracers.h"
#include "waits.h"
#include "without_gil.h"

namespace gort::python {

PyTypeObject* goroutine_type = nullptr;

namespace {

GoroutineObject* as_goroutine(PyObject* object) { return reinterpret_cast<GoroutineObject*>(object); }

// Memory of objects that are gone, guarded by the GIL: an object from CPython's allocator costs four look-ups of thread-local
// memory and a fifth of a short goroutine's life. Not on free-threaded builds, with the GIL or without: there an allocator's memory belongs to a thread, and
// counts that others may still be looking at must be CPython's own.
#ifndef Py_GIL_DISABLED
constexpr int kKeptObjects = 256;
PyObject* kept_objects[kKeptObjects];
int kept_count = 0;
#endif

PyObject* new_memory() {
#ifndef Py_GIL_DISABLED
  if (kept_count > 0) return PyObject_Init(kept_objects[--kept_count], goroutine_type);
#endif
  return reinterpret_cast<PyObject*>(PyObject_GC_New(GoroutineObject, goroutine_type));
}

void free_memory(PyObject* self) {
#ifndef Py_GIL_DISABLED
  if (kept_count < kKeptObjects) {
    kept_objects[kept_count++] = self;
    return;
  }
#endif
  PyObject_GC_Del(self);
}

GoroutineObject* new_object() {
  PyObject* memory = new_memory();
  if (!memory) return nullptr;
  PyObject head = *memory;
  auto* object = new (memory) GoroutineObject{};
  object->ob_base = head;
  return object;
}

// Lets everybody know that the goroutine has ended.
void mark_ended(GoroutineObject* object) {
  object->g.store(nullptr, std::memory_order_release);
  for (;;) {
    object->joiners_lock.lock();
    Waiter* waiter = object->joiners.pop_claimed();
    G* joiner = waiter ? waiter->g : nullptr;
    object->joiners_lock.unlock();
    if (!joiner) break;
    ready(joiner);
  }
}

// The goroutine forked, and this is the child, where its end is that of the process (gort._fork). Steals result, null with an
// exception set.
[[noreturn]] void end_child(PyObject* result) {
  PyObject* error = result ? Py_NewRef(Py_None) : errors::take();
  PyObject* module = PyImport_ImportModule("gort._fork");
  PyObject* status = module ? PyObject_CallMethod(module, "end_child", "O", error) : nullptr;
  if (!status) PyErr_Print();
  _exit(status ? int(PyLong_AsLong(status)) : 1);
}

// The end of every goroutine with a frame, in the Python lane.
void end(G* g, Frame* frame, GoroutineObject* object) {
  // The record goes with the code object; the last slice is counted while it is there.
  lane().hooks()->slice_ended(this_machine(), g);
  if (object->ended) object->ended(object->whom);
  Py_CLEAR(object->whom);
  frame->record = nullptr;
  object->call.clear(reinterpret_cast<PyObject*>(object));
  Py_CLEAR(object->context);
  if (!clean_state(frame->state)) {
    frame->spoiled = true;
    g->borrows_stack = false;   // nobody else may have the state
  }
  {
    ObjectLock hold(reinterpret_cast<PyObject*>(object));
    object->over = true;
  }
  swallow_injected(frame->state);   // what came after clean_state
  frame->object = nullptr;
  mark_ended(object);
  Py_DECREF(object);
}

// The body of every Python goroutine, on its own fiber and thread state.
void goroutine_main(G* g) {
  Frame* frame = frame_of(g);
  GoroutineObject* object = frame->object;
  if (object->coroutine || !(g->requests.load(std::memory_order_acquire) & G::kExit)) {
    PyObject* result = nullptr;
    if (!object->context || PyContext_Enter(object->context) == 0) {
      if (object->coroutine) result = go_on_coroutine(object);
      else if (install_tracers()) result = finish_coroutine(object->call.make(), object);
      if (g->is_plain_thread()) end_child(result);
      if (!result) report_uncaught(g, object);
      Py_XDECREF(result);
      if (object->context && PyContext_Exit(object->context) < 0) PyErr_Clear();
    } else {
      report_uncaught(g, object);
    }
  }
  end(g, frame, object);
}

// The body of go_native and python::go: the function runs in the native lane, where the goroutine begins; it ends here at home.
void native_main(G* g) {
  Frame* frame = frame_of(g);
  GoroutineObject* object = frame->object;
  std::exception_ptr error;
  if (!(g->requests.load(std::memory_order_acquire) & G::kExit)) {
    try {
      object->native.invoke(object->native.argument);
    } catch (const gort::GoExit&) {
    } catch (abi::__forced_unwind&) {
      stay_for_ever();
    } catch (...) {
      error = std::current_exception();
    }
  }
  object->native.drop();
  hop(lane(), kNoFrames);
  if (g->own_machine) end_child(Py_NewRef(Py_None));
  if (error) {
    try {
      std::rethrow_exception(std::exchange(error, nullptr));
    } catch (...) {
      errors::translate();
    }
    report_uncaught(g, object);
  }
  end(g, frame, object);
}

int created_line(GoroutineObject* object) {
  return PyCode_Addr2Line(reinterpret_cast<PyCodeObject*>(object->created_code), object->created_offset);
}

}  // namespace

bool Call::set(PyObject* const* items, Py_ssize_t positional, PyObject* keyword_names) {
  Py_ssize_t names = keyword_names ? PyTuple_GET_SIZE(keyword_names) : 0;
  Py_ssize_t count = 1 + positional + names;
  items_ = count <= kInline ? inline_ : PyMem_New(PyObject*, count);
  if (!items_) {
    PyErr_NoMemory();
    return false;
  }
  for (; count_ < count; count_++) items_[count_] = Py_NewRef(items[count_]);
  positional_ = positional;
  keyword_names_ = Py_XNewRef(names ? keyword_names : nullptr);
  return true;
}

// The object is empty before anything is destroyed: a destructor may look at it.
void Call::clear([[maybe_unused]] PyObject* owner) {
  Call old;
  {
    ObjectLock hold(owner);
    old = *this;
    if (items_ == inline_) old.items_ = old.inline_;
    items_ = nullptr;
    count_ = 0;
    keyword_names_ = nullptr;
  }
  Py_XDECREF(old.keyword_names_);
  for (Py_ssize_t i = 0; i < old.count_; i++) Py_DECREF(old.items_[i]);
  if (old.items_ != old.inline_) PyMem_Free(old.items_);
}

int Call::traverse(visitproc visit, void* arg) const {
  for (Py_ssize_t i = 0; i < count_; i++) Py_VISIT(items_[i]);
  Py_VISIT(keyword_names_);
  return 0;
}

namespace {

bool may_start(const char* caller) {
  if (!machine()) return false;
  if (!is_closed()) return true;
  PyErr_Format(PyExc_RuntimeError, "%s: the interpreter is shutting down", caller);
  return false;
}

}  // namespace

GoroutineObject* start_native(const char* caller, NativeBody body, PyObject* const* kept, Py_ssize_t count) {
  GoroutineObject* object = may_start(caller) ? new_object() : nullptr;
  if (!object) return nullptr;
  object->created_code = caller_site(PyThreadState_Get(), &object->created_offset);
  object->native = body;
  if ((count == 0 || object->call.set(kept, count - 1, nullptr)) && start_call(object)) return object;
  object->native.destroy = nullptr;
  Py_DECREF(object);
  return nullptr;
}

GoroutineObject* new_call(const char* caller, PyObject* const* args, Py_ssize_t nargs, PyObject* keyword_names) {
  if (nargs < 1) {
    PyErr_Format(PyExc_TypeError, "%s: a function is needed: %s(fn, *args, **kwargs)", caller, caller);
    return nullptr;
  }
  PyObject* function = args[0];
  if (function == Py_None) {
    PyErr_SetString(errors::FatalError, "go of nil func value");
    return nullptr;
  }
  if (!PyCallable_Check(function)) {
    errors::bad_type(caller, "fn", "callable", function);
    return nullptr;
  }
  if (!may_start(caller)) return nullptr;
  GoroutineObject* object = new_object();
  if (!object) return nullptr;
  if (!object->call.set(args, nargs - 1, keyword_names)) {
    Py_DECREF(object);
    return nullptr;
  }
  PyThreadState* state = PyThreadState_Get();
  object->context = copy_context(state);
  if (!object->context && has_exception(state)) {
    Py_DECREF(object);
    return nullptr;
  }
  object->created_code = caller_site(state, &object->created_offset);
  return object;
}

// It is likely to wait without a stack, so it can do without until it runs.
static bool runs_coroutine_only(GoroutineObject* object) {
  PyObject* function = object->call.function();
  if (kWithoutGil || object->native.invoke) return false;
  if (PyMethod_Check(function)) function = PyMethod_GET_FUNCTION(function);
  return PyFunction_Check(function) && (reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function))->co_flags & CO_COROUTINE);
}

bool start_call(GoroutineObject* object, const Origin* origin) {
  G* g;
  try {
    g = lane().new_goroutine(runs_coroutine_only(object) ? Lane::kNoStack : 0);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return false;
  }
  if (!prepare_frame(g)) {
    lane().discard(g);
    return false;
  }
  if (origin) {
    if (g->group) g->group->remove();
    g->group = origin->group;
    if (g->group) g->group->add();
    g->parent_id = origin->parent_id;
  }
  Frame* frame = frame_of(g);
  object->g.store(g, std::memory_order_relaxed);
  object->id = g->id.load(std::memory_order_relaxed);
  object->parent_id = g->parent_id;
  frame->object = reinterpret_cast<GoroutineObject*>(Py_NewRef(object));
  // The record is about lending, which there is none of without the GIL.
  frame->record = kWithoutGil || object->native.invoke ? nullptr : code_record(object->call.function());
  if (!object->native.invoke) {
    g->entry = goroutine_main;
    lane().start(g);
    return true;
  }
  g->entry = native_main;
  g->lane.store(&Runtime::get().native(), std::memory_order_relaxed);
  g->outside_from.store(nullptr, std::memory_order_relaxed);
  Runtime::get().native().start(g);
  return true;
}

PyObject* go(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keyword_names) {
  GoroutineObject* object = new_call("go", args, nargs, keyword_names);
  if (object && !start_call(object)) Py_CLEAR(object);
  return reinterpret_cast<PyObject*>(object);
}

PyObject* known_object(G* g) {
  Frame* frame = g->home == &lane() ? frame_of(g) : nullptr;
  if (!frame) return nullptr;
  return Py_XNewRef(reinterpret_cast<PyObject*>(std::atomic_ref(frame->object).load(std::memory_order_acquire)));
}

PyObject* object_of(G* g) {
  M* m = this_machine();
  bool mine = m && (m->current == g || m->own == g);
  PyObject* known = mine || !kWithoutGil ? known_object(g) : nullptr;
  if (known || g->home != &lane() || !frame_of(g) || !g->is_plain_thread()) return known;
  GoroutineObject* object = new_object();
  if (!object) return nullptr;
  object->g = g;
  object->id.store(g->id.load(std::memory_order_relaxed), std::memory_order_relaxed);
  GoroutineObject* others = nullptr;   // somebody else's thread may ask for it too
  auto settle = [&] {
    // The first one is kept for the life of the thread; without the GIL somebody else's could be gone before we have a reference.
    bool first = std::atomic_ref(frame_of(g)->object).compare_exchange_strong(others, object);
    Py_INCREF(first ? object : others);
  };
  if (mine) settle();
  else while_all_stand(settle);
  if (others) {
    Py_DECREF(object);
    object = others;
  }
  if (g->status.load(std::memory_order_seq_cst) == Status::Dead) end_thread_object(g);   // the thread may have looked before the object was there
  return reinterpret_cast<PyObject*>(object);
}

// The thread itself and object_of may both come; who takes the object out ends it.
void end_thread_object(G* g) {
  GoroutineObject* object = std::atomic_ref(frame_of(g)->object).exchange(nullptr);
  if (!object) return;
  object->id.store(g->id.load(std::memory_order_relaxed), std::memory_order_relaxed);
  mark_ended(object);
  drop_later(reinterpret_cast<PyObject*>(object));
}

PyObject* current_object() {
  collect_dropped();   // where threads come and go and ask for this, each leaves one
  M* m = machine();
  if (!m) return nullptr;
  if (G* g = m->current ? m->current : m->own) return object_of(g);   // a signal handler while goroutine 1 waits is its
  PyErr_SetString(PyExc_RuntimeError, "current: no goroutine runs here");
  return nullptr;
}

std::string creation_text(GoroutineObject* object) {
  if (!object->created_code) return "";
  auto* code = reinterpret_cast<PyCodeObject*>(object->created_code);
  const char* name = PyUnicode_AsUTF8(code->co_qualname);
  const char* file = PyUnicode_AsUTF8(code->co_filename);
  if (!name || !file) PyErr_Clear();
  return std::string("created by ") + (name ? name : "?") + " in goroutine " + std::to_string(object->parent_id) + "\n\t" +
         (file ? file : "?") + ":" + std::to_string(created_line(object)) + "\n";
}

// ---------------------------------------------------------------- the type

namespace {

int goroutine_traverse(PyObject* self, visitproc visit, void* arg) {
  GoroutineObject* object = as_goroutine(self);
  Py_VISIT(Py_TYPE(self));
  if (int stop = object->call.traverse(visit, arg)) return stop;
  Py_VISIT(object->context);
  Py_VISIT(object->coroutine);
  Py_VISIT(object->awaits);
  Py_VISIT(object->name);
  Py_VISIT(object->labels);
  Py_VISIT(object->whom);
  return 0;
}

int goroutine_clear(PyObject* self) {
  GoroutineObject* object = as_goroutine(self);
  if (object->g) return 0;   // its function is running
  object->call.clear(self);
  Py_CLEAR(object->context);
  Py_CLEAR(object->name);
  Py_CLEAR(object->labels);
  Py_CLEAR(object->created_code);
  Py_CLEAR(object->whom);
  return 0;
}

void goroutine_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  GoroutineObject* object = as_goroutine(self);
  if (object->weak_references) PyObject_ClearWeakRefs(self);
  object->g = nullptr;
  goroutine_clear(self);
  PyTypeObject* type = Py_TYPE(self);
  free_memory(self);
  Py_DECREF(type);
}

// What can be read from its G without stopping anybody.
struct Seen {
  G* g;                 // null: it has ended
  Status status;
  WaitReason reason;    // None unless it waits
  uint64_t id;          // a plain thread's changes: it is 1 during a run
};
Seen look_at(GoroutineObject* object) {
  if (G* g = object->g.load(std::memory_order_acquire)) {
    Status status = g->status.load(std::memory_order_acquire);
    Seen seen{g, status, status == Status::Waiting ? g->wait_reason.load(std::memory_order_acquire) : WaitReason::None,
              g->id.load(std::memory_order_acquire)};
    if (object->g.load(std::memory_order_acquire)) return seen;   // else it may have been another goroutine's
  }
  return {nullptr, Status::Dead, WaitReason::None, object->id.load(std::memory_order_relaxed)};
}

// look(g) with nobody getting out of its wait or call meanwhile, unless the goroutine has ended.
template <class F>
void look_into(GoroutineObject* object, F look) {
  M* m = this_machine();
  G* g = object->g.load(std::memory_order_acquire);
  if (!g) return;
  if (m && m->current == g) return look(g);
  while_all_stand([&] {
    if (object->g.load(std::memory_order_acquire) == g) look(g);
  });
}

PyObject* given_name(PyObject* self) {
  ObjectLock hold(self);
  return Py_XNewRef(as_goroutine(self)->name);
}

PyObject* goroutine_repr(PyObject* self) {
  Seen seen = look_at(as_goroutine(self));
  const char* state = seen.reason != WaitReason::None ? wait_reason_text(seen.reason) : status_text(seen.status);
  unsigned long long id = seen.id;
  PyObject* name = given_name(self);
  if (!name) return PyUnicode_FromFormat("<Goroutine %llu [%s]>", id, state);
  PyObject* text = PyUnicode_FromFormat("<Goroutine %llu %R [%s]>", id, name, state);
  Py_DECREF(name);
  return text;
}

PyObject* get_id(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(look_at(as_goroutine(self)).id); }

PyObject* get_parent_id(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(as_goroutine(self)->parent_id); }

PyObject* get_name(PyObject* self, void*) {
  if (PyObject* name = given_name(self)) return name;
  PyObject* function;
  {
    ObjectLock hold(self);
    function = Py_XNewRef(as_goroutine(self)->call.function());
  }
  if (function) {
    PyObject* name = PyObject_GetAttrString(function, "__qualname__");
    Py_DECREF(function);
    if (name) return name;
    PyErr_Clear();
  }
  return PyUnicode_FromFormat("goroutine %llu", static_cast<unsigned long long>(look_at(as_goroutine(self)).id));
}

int set_name(PyObject* self, PyObject* value, void*) {
  if (value && !PyUnicode_Check(value)) {
    errors::bad_type("Goroutine", "name", "str", value);
    return -1;
  }
  PyObject* old;
  {
    ObjectLock hold(self);
    old = std::exchange(as_goroutine(self)->name, Py_XNewRef(value));
  }
  Py_XDECREF(old);
  return 0;
}

PyObject* get_status(PyObject* self, void*) { return PyUnicode_FromString(status_text(look_at(as_goroutine(self)).status)); }

PyObject* get_wait_reason(PyObject* self, void*) {
  Seen seen = look_at(as_goroutine(self));
  return PyUnicode_FromString(seen.status == Status::Waiting ? wait_reason_text(seen.reason) : "");
}

PyObject* get_waiting_on(PyObject* self, void*) {
  std::string text;
  if (look_at(as_goroutine(self)).status == Status::Waiting) {
    look_into(as_goroutine(self), [&](G* g) {
      for (const std::string& on : wait_of(g).on) text += (text.empty() ? "" : ", ") + on;
    });
  }
  return PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace");
}

PyObject* get_wait_since(PyObject* self, void*) {
  Seen seen = look_at(as_goroutine(self));
  if (seen.status != Status::Waiting) Py_RETURN_NONE;
  Runtime::get().note_wait(seen.g, nanotime());
  return PyFloat_FromDouble(double(seen.g->wait_since.load(std::memory_order_relaxed)) / 1e9);
}

PyObject* get_labels(PyObject* self, void*) {
  GoroutineObject* object = as_goroutine(self);
  PyObject* fresh = nullptr;
  for (;;) {
    {
      ObjectLock hold(self);
      if (!object->labels && fresh) {
        object->labels = std::exchange(fresh, nullptr);
        PyObject_GC_Track(self);
      }
      if (object->labels) {
        PyObject* labels = Py_NewRef(object->labels);
        Py_XDECREF(fresh);   // empty: somebody else's was first
        return labels;
      }
    }
    if (!(fresh = PyDict_New())) return nullptr;
  }
}

PyObject* get_created_at(PyObject* self, void*) {
  GoroutineObject* object = as_goroutine(self);
  if (!object->created_code) Py_RETURN_NONE;
  auto* code = reinterpret_cast<PyCodeObject*>(object->created_code);
  return PyUnicode_FromFormat("%U:%d", code->co_filename, created_line(object));
}

PyObject* goroutine_stack(PyObject* self, PyObject*) {
  GoroutineObject* object = as_goroutine(self);
  std::string text;
  Stack stack;
  look_into(object, [&](G* g) {
    std::string wait = wait_text(g);
    text = header_line(*g, nanotime()) + "\n" + wait + (wait.empty() ? "" : "\n");
    stack.take(g);
  });
  if (!text.empty()) text += stack.text() + creation_text(object);
  return PyUnicode_DecodeUTF8(text.data(), Py_ssize_t(text.size()), "replace");
}

// Parks. Raw slot: never through pybind11.
PyObject* goroutine_join(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  GoroutineObject* object = as_goroutine(self);
  Nanos deadline;
  if (!parse_timeout("join", args, nargs, names, &deadline)) return nullptr;
  if (!operation()) return nullptr;
  M* m = machine_to_wait();
  if (!m) return nullptr;
  object->joiners_lock.lock();
  if (!object->g) {
    object->joiners_lock.unlock();
    Py_RETURN_NONE;
  }
  Waiter waiter(m->current);
  object->joiners.push(&waiter);
  Outcome outcome = park(&object->joiners_lock, {.reason = WaitReason::Join, .on = object, .deadline = deadline});
  if (outcome == Outcome::Fired) {
    after_wait();
    Py_RETURN_NONE;
  }
  object->joiners_lock.lock();
  object->joiners.remove(&waiter);
  object->joiners_lock.unlock();
  return raise_outcome(outcome);
}

PyMethodDef methods[] = {
    {"join", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(goroutine_join)), METH_FASTCALL | METH_KEYWORDS,
     "join(timeout=None)\n--\n\nPark until the goroutine has ended. TimeoutError when timeout (seconds) passes first."},
    {"stack", goroutine_stack, METH_NOARGS,
     "stack()\n--\n\nThe goroutine's state and Python stack in Go's traceback format; '' when it has ended."},
    {"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"id", get_id, nullptr, "The goroutine's number; never reused.", nullptr},
    {"parent_id", get_parent_id, nullptr, "The number of the goroutine that started it.", nullptr},
    {"name", get_name, set_name, "A name for humans; the function's unless set.", nullptr},
    {"status", get_status, nullptr, "One of Go's words: idle, runnable, running, syscall, waiting, dead.", nullptr},
    {"wait_reason", get_wait_reason, nullptr, "Why it waits, in Go's words; '' unless status is 'waiting'.", nullptr},
    {"waiting_on", get_waiting_on, nullptr,
     "What it waits for, as 'chan 0x7f12 \"results\" (len 0, cap 3)'; of a select one for each arm; '' if nothing.", nullptr},
    {"wait_since", get_wait_since, nullptr,
     "When its wait began, on time.monotonic()'s clock, to 10 ms; None unless status is 'waiting'.", nullptr},
    {"labels", get_labels, nullptr, "A dict for the program's own labels.", nullptr},
    {"created_at", get_created_at, nullptr, "'file:line' of the call of go(); None for plain threads.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(GoroutineObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("A goroutine, as returned by go() and current().")},
                       {Py_tp_traverse, reinterpret_cast<void*>(goroutine_traverse)},
                       {Py_tp_clear, reinterpret_cast<void*>(goroutine_clear)},
                       {Py_tp_dealloc, reinterpret_cast<void*>(goroutine_dealloc)},
                       {Py_tp_repr, reinterpret_cast<void*>(goroutine_repr)},
                       {Py_am_await, reinterpret_cast<void*>(await_finish)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {Py_tp_members, members},
                       {0, nullptr}};

PyType_Spec spec = {"gort.Goroutine", sizeof(GoroutineObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                    slots};

}  // namespace

bool add_goroutine_type(PyObject* module) {
  goroutine_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return goroutine_type && load_tracers() && PyModule_AddType(module, goroutine_type) == 0;
}

}  // namespace gort::python
