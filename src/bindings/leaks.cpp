#include "leaks.h"

#include <opcode.h>

#include <algorithm>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chan_object.h"
#include "frame_layout.h"
#include "goroutine_object.h"
#include "python_lane.h"

namespace gort::python {
namespace {

#if PY_VERSION_HEX < 0x030e0000
constexpr bool kStacksOwn = true;   // a value on an evaluation stack is a reference, and so is a variable of any frame
#else
constexpr bool kStacksOwn = false;  // it may be lent by a variable below, and become a callee's variable: sure are those of the outermost frame
#endif

// While `with lock:` calls __enter__, the evaluator has that bound method in a variable, and __exit__ on its stack (3.11) or in a variable as well.
constexpr Py_ssize_t kMethodsOfEnter = PY_VERSION_HEX < 0x030c0000 ? 1 : 2;

// A goroutine that may be leaked, and the references that it is known to own, each as often as it owns it.
struct Candidate {
  G* g;
  std::vector<const void*> on = {};   // core addresses; empty: it waits for nothing that anybody could touch
  GoroutineObject* joins = nullptr;
  bool in_python = false;           // a Python frame made the call that parked
  const void* entered = nullptr;    // what a with statement's __enter__ is being called of; not to be followed
  std::vector<PyObject*> owned = {};
};

bool may_be_candidate(G* g) {
  if (g->lane.load(std::memory_order_relaxed) != &lane() || g->own_machine || g->system || !g->started || g->timer.armed()) return false;
  if (g->status.load(std::memory_order_acquire) != Status::Waiting) return false;
  if (Outcome(g->wait_word.load(std::memory_order_acquire) & 0xff) != Outcome::Pending) return false;
  Frame* frame = frame_of(g);
  return frame && frame->object && (frame->state || frame->object->coroutine);
}

// False: a wait for something that we know too little of.
bool read_wait(Candidate& c) {
  const void* on = c.g->waiting_on.load(std::memory_order_relaxed);
  switch (c.g->wait_reason.load(std::memory_order_relaxed)) {
    case WaitReason::ChanReceiveNil:
    case WaitReason::ChanSendNil:
    case WaitReason::SelectNoCases:
      return true;
    case WaitReason::ChanReceive:
    case WaitReason::ChanSend:
    case WaitReason::MutexLock:
    case WaitReason::RWMutexLock:   // not RLock: the parked call may own an rlocker instead of the mutex
    case WaitReason::WaitGroupWait:
    case WaitReason::CondWait:
      c.on.push_back(on);
      return true;
    case WaitReason::Select:
      for (uint32_t i = 0; i < c.g->arm_count; i++) c.on.push_back(c.g->arms[i].channel);
      return true;
    case WaitReason::Join:
      c.joins = static_cast<GoroutineObject*>(const_cast<void*>(on));
      return c.joins->g != nullptr;
    default:
      return false;
  }
}

// --- what a candidate owns

int collect(PyObject* object, void* owned) {
  if (object) static_cast<std::vector<PyObject*>*>(owned)->push_back(object);
  return 0;
}

#if PY_VERSION_HEX < 0x030e0000

unsigned varint(const unsigned char*& p) {
  unsigned value = *p & 63;
  while (*p++ & 64) value = value << 6 | (*p & 63);
  return value;
}

// How many values the evaluation stack has for certain at that instruction: those that an exception there would find (Objects/exception_handling_notes.txt).
int certain_depth(PyCodeObject* code, int offset) {
  auto at = unsigned(offset) / sizeof(uint16_t);
  auto* p = reinterpret_cast<const unsigned char*>(PyBytes_AS_STRING(code->co_exceptiontable));
  const unsigned char* end = p + PyBytes_GET_SIZE(code->co_exceptiontable);
  while (p < end) {   // in order of their beginnings, without overlaps
    unsigned first = varint(p);
    unsigned size = varint(p);
    varint(p);   // the handler
    unsigned depth = varint(p) >> 1;
    if (at < first) break;
    if (at < first + size) return int(depth);
  }
  return 0;
}

template <class T>
T word_at(const char* frame, uint64_t offset) {
  return *reinterpret_cast<const T*>(frame + offset);
}

// What a frame owns. Without the upper part of its evaluation stack, of which nobody knows how high it is.
void collect_frame(Candidate& c, PyCodeObject* code, int offset, const char* frame, bool innermost) {
  if (code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) return;   // what is in it is its generator's
  const FrameLayout& layout = frame_layout();
  c.owned.push_back(word_at<PyObject*>(frame, layout.function));
  if (layout.locals != FrameLayout::kUnknown) collect(word_at<PyObject*>(frame, layout.locals), &c.owned);
  auto* values = reinterpret_cast<PyObject* const*>(frame + layout.values);
  int depth = certain_depth(code, offset);
  if (innermost && uint8_t(code->co_code_adaptive[offset]) == BEFORE_WITH) {
    // Parked in __enter__. The stack is as high as for the block that follows, whose __exit__ is on top of it then.
    depth = certain_depth(code, offset + int(sizeof(uint16_t)));
#if PY_VERSION_HEX < 0x030c0000
    PyObject* exit = depth > 0 ? values[code->co_nlocalsplus + depth - 1] : nullptr;
    if (exit && PyCFunction_Check(exit)) c.entered = PyCFunction_GET_SELF(exit);
#else
    // The top still has the manager, given up already: a pointer to be compared only.
    if (depth > 0) c.entered = values[code->co_nlocalsplus + --depth];
#endif
  }
  for (int i = 0; i < code->co_nlocalsplus + depth; i++) collect(values[i], &c.owned);
}

// REQUIRES: the frames stay as they are, as those of a goroutine that waits do while the GIL is held.
void collect_frames(Candidate& c, PyThreadState* state) {
  const FrameLayout& layout = frame_layout();
  if (layout.values == FrameLayout::kUnknown || layout.function == FrameLayout::kUnknown) return;
  for_each_frame(state, [&](PyCodeObject* code, int offset, const char* frame) {
    collect_frame(c, code, offset, frame, !std::exchange(c.in_python, true));
    return true;
  });
}

#else

bool contains(PyObject* names, PyObject* name) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
    if (PyUnicode_Compare(PyTuple_GET_ITEM(names, i), name) == 0) return true;
  }
  return false;
}

// The values of the frame's plain local variables. Those that inner functions share are in cells, which only those functions show.
void collect_locals(PyFrameObject* frame, PyCodeObject* code, std::vector<PyObject*>& owned) {
  if (!(code->co_flags & CO_OPTIMIZED)) return;   // of a module or class: a dict that others have too
  PyObject* names = PyCode_GetVarnames(code);
  PyObject* cells = PyCode_GetCellvars(code);
  for (Py_ssize_t i = 0; names && cells && i < PyTuple_GET_SIZE(names); i++) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    if (contains(cells, name)) continue;
    PyObject* value = PyFrame_GetVar(frame, name);
    if (!value) continue;   // not bound
    owned.push_back(value);
    Py_DECREF(value);       // the frame has it
  }
  PyErr_Clear();
  Py_XDECREF(names);
  Py_XDECREF(cells);
}

// A frame owns its function, and each cell of the function's closure.
void collect_function(PyObject* callable, PyCodeObject* code, std::vector<PyObject*>& owned) {
  PyObject* function = callable && PyMethod_Check(callable) ? PyMethod_GET_FUNCTION(callable) : callable;
  if (!function || !PyFunction_Check(function) || PyFunction_GET_CODE(function) != reinterpret_cast<PyObject*>(code)) return;
  owned.push_back(function);
  PyObject* closure = PyFunction_GET_CLOSURE(function);
  for (Py_ssize_t i = 0; closure && i < PyTuple_GET_SIZE(closure); i++) owned.push_back(PyTuple_GET_ITEM(closure, i));
}

// Of the outermost frame only.
void collect_frames(Candidate& c, PyThreadState*) {
  PyFrameObject* frame = innermost_frame(c.g);
  c.in_python = frame != nullptr;
  while (frame) {
    PyFrameObject* back = PyFrame_GetBack(frame);
    PyCodeObject* code = PyFrame_GetCode(frame);
    if (!back) {
      collect_locals(frame, code, c.owned);
      collect_function(frame_of(c.g)->object->call.function(), code, c.owned);
    }
    Py_DECREF(code);
    Py_DECREF(frame);
    frame = back;
  }
}

#endif

void collect_owned(Candidate& c) {
  GoroutineObject* object = frame_of(c.g)->object;
  c.owned.push_back(reinterpret_cast<PyObject*>(object));
  object->call.traverse(collect, &c.owned);
  if (object->context) c.owned.push_back(object->context);
  if (object->whom) c.owned.push_back(object->whom);
  if (object->coroutine) {   // it waits without a stack, and these show all that they have
    c.owned.push_back(object->coroutine);
    c.owned.push_back(object->awaits);
    return;
  }
  collect_frames(c, frame_of(c.g)->state);
}

// --- the objects that candidates reach

// visit(object) for every object that CPython's collector knows. Makes no other object than, on 3.11, a list of them.
template <class F>
void for_each_object(F visit) {
#if PY_VERSION_HEX < 0x030c0000
  PyObject* gc = PyImport_ImportModule("gc");
  PyObject* all = gc ? PyObject_CallMethod(gc, "get_objects", nullptr) : nullptr;
  Py_XDECREF(gc);
  if (!all || !PyList_Check(all)) {
    PyErr_Clear();
    Py_XDECREF(all);
    throw std::bad_alloc();
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(all); i++) visit(PyList_GET_ITEM(all, i));
  Py_DECREF(all);
#else
  PyUnstable_GC_VisitObjects(
      [](PyObject* object, void* argument) {
        (*static_cast<F*>(argument))(object);
        return 1;
      },
      &visit);
#endif
}

class Graph {
 public:
  explicit Graph(std::vector<const void*> addresses) : addresses_(std::move(addresses)) {
    std::sort(addresses_.begin(), addresses_.end());
    addresses_.erase(std::unique(addresses_.begin(), addresses_.end()), addresses_.end());
  }

  // count is the reference of somebody known to object, and to all that it reaches.
  void count(PyObject* object) {
    see(object);
    while (!pending_.empty()) {
      PyObject* next = pending_.back();
      pending_.pop_back();
      note_primitive(next);
      traverse(next, [](PyObject* child, void* self) { return child ? (static_cast<Graph*>(self)->see(child), 0) : 0; });
    }
  }

  // The object of the primitive at a core address; null: it was not met.
  PyObject* primitive(const void* address) const {
    auto found = primitives_.find(address);
    return found == primitives_.end() ? nullptr : found->second.object;
  }

  // The references of parked calls to one primitive, each to its object or to a view of it: nobody knows which. `methods` of them are bound methods that the
  // evaluator has in its variables, the others are on evaluation stacks.
  struct Calls {
    Py_ssize_t references = 0;
    Py_ssize_t methods = 0;
  };

  // count_calls counts those by the address of the primitive. Only where they are all that is missing, and no other object than `methods` that were not
  // met leads there: a call could have been made through one, which somebody else may have as well.
  void count_calls(const std::unordered_map<const void*, Calls>& calls) {
    std::unordered_map<PyObject*, Py_ssize_t> ways;   // how many such objects lead to it
    std::vector<std::pair<Primitive*, Calls>> balanced;
    for (auto& [address, made] : calls) {
      Primitive& p = primitives_.at(address);
      std::vector<PyObject*> faces = p.faces();
      Py_ssize_t missing = 0;
      for (PyObject* face : faces) missing += std::max<Py_ssize_t>(0, Py_REFCNT(face) - nodes_[face].counted);
      if (missing > made.references) continue;
      balanced.push_back({&p, made});
      for (PyObject* face : faces) ways[face] = 0;
    }
    if (balanced.empty()) return;
    for_each_object([&](PyObject* object) {
      if (nodes_.contains(object)) return;
      auto visit = [](PyObject* child, void* found) {
        auto& all = *static_cast<std::unordered_map<PyObject*, Py_ssize_t>*>(found);
        if (auto way = all.find(child); way != all.end()) way->second++;
        return 0;
      };
      Py_TYPE(object)->tp_traverse(object, visit, &ways);
    });
    for (auto& [p, made] : balanced) {
      Py_ssize_t found = 0;
      for (PyObject* face : p->faces()) found += ways[face];
      if (found > made.methods) continue;
      for (PyObject* face : p->faces()) nodes_[face].counted = std::max(nodes_[face].counted, Py_REFCNT(face));
    }
  }

  void mark_held_by_others() {
    for (auto& [object, node] : nodes_) {
      if (!node.live && (Py_REFCNT(object) > node.counted || has_weak_references(object) || is_shared(object))) mark(object);
    }
  }
  void mark(PyObject* object) {
    set_live(object);
    while (!pending_.empty()) {
      PyObject* next = pending_.back();
      pending_.pop_back();
      traverse(next, [](PyObject* child, void* self) { return child ? (static_cast<Graph*>(self)->set_live(child), 0) : 0; });
    }
  }
  bool is_live(PyObject* object) const {
    auto found = nodes_.find(object);
    return found == nodes_.end() || found->second.live;
  }

 private:
  struct Primitive {
    PyObject* object = nullptr;
    std::vector<PyObject*> views = {};   // of a channel; each leads to the object
    std::vector<PyObject*> faces() const {
      std::vector<PyObject*> all = views;
      if (object) all.push_back(object);
      return all;
    }
  };
  struct Node {
    Py_ssize_t counted = 0;
    bool live = false;
  };

  // Most objects: they lead nowhere and nobody waits for them.
  static bool is_plain(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyBytes_Type || type == &PyFloat_Type || object == Py_None;
  }
  void see(PyObject* object) {
    if (is_plain(object)) return;
    auto [at, fresh] = nodes_.try_emplace(object);
    at->second.counted++;
    if (fresh) pending_.push_back(object);
  }
  void set_live(PyObject* object) {
    if (is_plain(object)) return;
    Node& node = nodes_[object];
    if (std::exchange(node.live, true)) return;
    pending_.push_back(object);
  }

  // A Goroutine object gives nobody its function and arguments: they are its goroutine's.
  void traverse(PyObject* object, visitproc visit) {
    if (Py_TYPE(object) == goroutine_type) {
      if (PyObject* labels = reinterpret_cast<GoroutineObject*>(object)->labels) visit(labels, this);
    } else if (PyObject_IS_GC(object) && Py_TYPE(object)->tp_traverse) {
      Py_TYPE(object)->tp_traverse(object, visit, this);
    }
  }

  // Locks are inside their objects; a channel's object points to it.
  void note_primitive(PyObject* object) {
    const char* low = reinterpret_cast<const char*>(object);
    const char* high = low + Py_TYPE(object)->tp_basicsize;
    bool view = false;
    if (is_chan(object)) {
      ChanObject* ch = as_chan(object);
      view = ch->owner && is_chan(ch->owner);
      ChanObject* own = view ? as_chan(ch->owner) : ch;
      if (own->timer || own->owner || !own->channel) return;   // timers and contexts act by themselves
      low = reinterpret_cast<const char*>(own->channel);
      high = low + 1;
    }
    for (auto at = std::lower_bound(addresses_.begin(), addresses_.end(), static_cast<const void*>(low));
         at != addresses_.end() && static_cast<const char*>(*at) < high; ++at) {
      if (view) primitives_[*at].views.push_back(object);
      else primitives_[*at].object = object;
    }
  }

  // Of classes always, by what __subclasses__() of their bases gives.
  static bool has_weak_references(PyObject* object) {
    Py_ssize_t offset = Py_TYPE(object)->tp_weaklistoffset;
    return offset != 0 && *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(object) + offset) != nullptr;
  }
  // Native code refers to the channel.
  static bool is_shared(PyObject* object) {
    return is_chan(object) && as_chan(object)->channel && as_chan(object)->channel->shared();
  }

  std::vector<const void*> addresses_;
  std::unordered_map<const void*, Primitive> primitives_;
  std::unordered_map<PyObject*, Node> nodes_;
  std::vector<PyObject*> pending_;
};

std::vector<Candidate> find_candidates() {
  std::vector<Candidate> candidates;
  for (G* g : Runtime::get().all_goroutines()) {
    if (!may_be_candidate(g)) continue;
    Candidate c{g};
    if (read_wait(c)) candidates.push_back(std::move(c));
  }
  return candidates;
}

// Somebody who may still run can end the wait.
bool can_be_woken(const Candidate& c, const Graph& graph, const std::unordered_set<G*>& left) {
  if (c.joins) return !left.contains(c.joins->g);
  return std::any_of(c.on.begin(), c.on.end(), [&](const void* address) {
    PyObject* object = graph.primitive(address);
    return !object || graph.is_live(object);
  });
}

}  // namespace

std::unordered_set<G*> leaked_goroutines() {
  std::unordered_set<G*> left;
#ifndef Py_GIL_DISABLED
  struct NoCollections {   // making frame objects could start one, and with it any code
    bool enabled = PyGC_Disable();
    ~NoCollections() {
      if (enabled) PyGC_Enable();
    }
  } none;
  std::vector<Candidate> candidates = find_candidates();
  std::vector<const void*> addresses;
  for (Candidate& c : candidates) {
    collect_owned(c);
    addresses.insert(addresses.end(), c.on.begin(), c.on.end());
    left.insert(c.g);
  }
  Graph graph(std::move(addresses));
  for (Candidate& c : candidates) {
    for (PyObject* object : c.owned) graph.count(object);
  }
  std::unordered_map<const void*, Graph::Calls> calls;   // once all objects are known
  for (Candidate& c : candidates) {
    if (!kStacksOwn || !c.in_python) continue;
    for (const void* address : c.on) {
      PyObject* object = graph.primitive(address);
      if (!object) continue;
      bool entered = object == c.entered;
      calls[address].references += entered ? kMethodsOfEnter : 1;
      calls[address].methods += entered ? kMethodsOfEnter : 0;
      c.owned.push_back(object);
    }
  }
  graph.count_calls(calls);
  graph.mark_held_by_others();
  for (bool changed = true; changed;) {
    changed = false;
    for (const Candidate& c : candidates) {
      if (!left.contains(c.g) || !can_be_woken(c, graph, left)) continue;
      left.erase(c.g);
      for (PyObject* object : c.owned) graph.mark(object);
      changed = true;
    }
  }
#endif
  return left;
}

}  // namespace gort::python
