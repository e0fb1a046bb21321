// gort.select and its cases. select is a raw function: it parks.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <memory>
#include <new>

#include "arguments.h"
#include "await_object.h"
#include "chan_object.h"
#include "errors.h"
#include "gort/chan/select.h"
#include "python_lane.h"
#include "raw_type.h"

namespace gort::python {
namespace {

// What recv(ch) and send(ch, v) return. Immutable; may be used in any number of selects.
struct CaseObject {
  PyObject_HEAD
  PyObject* chan;
  PyObject* value;     // of a send of an object or of fixed bytes; null otherwise
  Element number;      // of another send
  bool is_send;
};
PyTypeObject* case_type = nullptr;
PyTypeObject* selected_type = nullptr;
CaseObject* as_case(PyObject* object) { return reinterpret_cast<CaseObject*>(object); }

int case_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(as_case(self)->chan);
  Py_VISIT(as_case(self)->value);
  return 0;
}

// No tp_clear: a case is as immutable as a tuple, so every cycle through it has another member to break it.
void case_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  Py_XDECREF(as_case(self)->chan);
  Py_XDECREF(as_case(self)->value);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* case_repr(PyObject* self) {
  CaseObject* c = as_case(self);
  if (!c->is_send) return PyUnicode_FromFormat("recv(%R)", c->chan);
  PyObject* value = c->value ? Py_NewRef(c->value) : from_number(as_chan(c->chan)->kind, c->number);
  if (!value) return nullptr;
  PyObject* text = PyUnicode_FromFormat("send(%R, %R)", c->chan, value);
  Py_DECREF(value);
  return text;
}

PyObject* recv_case(PyObject*, PyObject* chan) {
  if (!is_chan(chan)) return errors::bad_type("recv", "ch", "a Chan", chan);
  if (as_chan(chan)->no_receive) {
    PyErr_SetString(PyExc_TypeError, "recv: the channel is send-only");
    return nullptr;
  }
  PyObject* self = case_type->tp_alloc(case_type, 0);
  if (self) as_case(self)->chan = Py_NewRef(chan);
  return self;
}

PyObject* send_case(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) {
    PyErr_Format(PyExc_TypeError, "send: takes 2 arguments (ch, v), got %zd", nargs);
    return nullptr;
  }
  PyObject* chan = args[0];
  if (!is_chan(chan)) return errors::bad_type("send", "ch", "a Chan", chan);
  if (as_chan(chan)->no_send) {
    PyErr_SetString(PyExc_TypeError, "send: the channel is receive-only");
    return nullptr;
  }
  Element element{0};
  if (!to_element("send", as_chan(chan), args[1], &element)) return nullptr;
  PyObject* self = case_type->tp_alloc(case_type, 0);
  if (!self) {
    drop_element(as_chan(chan), element);
    return nullptr;
  }
  as_case(self)->chan = Py_NewRef(chan);
  if (as_chan(chan)->kind <= Kind::Bytes) as_case(self)->value = element.object;
  else as_case(self)->number = element;
  as_case(self)->is_send = true;
  return self;
}

// What select works on, on the stack for the usual number of cases.
class Room {
 public:
  explicit Room(size_t count) {
    if (count <= kOnStack) return;
    many_ = std::make_unique<SelectCase[]>(count);
    many_elements_ = std::make_unique<Element[]>(count);
  }
  SelectCase* cases() { return many_ ? many_.get() : few_; }
  Element* elements() { return many_ ? many_elements_.get() : few_elements_; }

 private:
  static constexpr size_t kOnStack = 8;
  SelectCase few_[kOnStack];
  Element few_elements_[kOnStack];
  std::unique_ptr<SelectCase[]> many_;
  std::unique_ptr<Element[]> many_elements_;
};

ChanObject* chan_of(PyObject* arg) {
  if (is_chan(arg)) return as_chan(arg);
  return Py_TYPE(arg) == case_type ? as_chan(as_case(arg)->chan) : nullptr;
}
bool offers_object(PyObject* arg) {
  return Py_TYPE(arg) == case_type && as_case(arg)->value && as_chan(as_case(arg)->chan)->kind == Kind::Object;
}
bool receives_bytes(PyObject* arg) {
  ChanObject* ch = chan_of(arg);
  return ch && ch->kind == Kind::Bytes && !(Py_TYPE(arg) == case_type && as_case(arg)->is_send);
}

bool parse_options(PyObject* const* values, PyObject* names, bool* has_default, Nanos* deadline) {
  for (Py_ssize_t i = 0, n = PyTuple_GET_SIZE(names); i < n; i++) {
    PyObject* name = PyTuple_GET_ITEM(names, i);
    if (PyUnicode_CompareWithASCIIString(name, "default") == 0) {
      int truth = PyObject_IsTrue(values[i]);
      if (truth < 0) return false;
      *has_default = truth != 0;
    } else if (PyUnicode_CompareWithASCIIString(name, "timeout") == 0) {
      if (!timeout_to_deadline("select", values[i], deadline)) return false;
    } else {
      PyErr_Format(PyExc_TypeError, "select: unexpected keyword argument %R", name);
      return false;
    }
  }
  return true;
}

// Gives up the rooms for fixed bytes that were not filled.
void drop_rooms(PyObject* const* args, Py_ssize_t count, const Element* elements, Py_ssize_t filled) {
  for (Py_ssize_t i = 0; i < count; i++) {
    if (i != filled && receives_bytes(args[i])) drop_room(chan_of(args[i]), elements[i]);
  }
}

// What select must look after besides its cases.
struct Contents {
  bool objects = false;   // are offered
  bool rooms = false;     // have been made
};

// Fills the cases in; takes no references but the rooms. False with an exception set, and with no room left.
bool read_cases(PyObject* const* args, Py_ssize_t count, SelectCase* cases, Element* elements, Contents* contents) {
  auto make_room = [&](Py_ssize_t i) {
    ChanObject* ch = chan_of(args[i]);
    if (!receives_bytes(args[i])) [[likely]] return true;
    if (room_for(ch, &elements[i])) {
      cases[i].element = place_in_core(ch, elements[i]);
      return contents->rooms = true;
    }
    drop_rooms(args, i, elements, -1);
    return false;
  };
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject* arg = args[i];
    if (is_chan(arg)) {
      ChanObject* ch = as_chan(arg);
      if (!ch->plain && ch->no_receive) {
        PyErr_Format(PyExc_TypeError, "select: case %zd receives, but the channel is send-only", i);
        drop_rooms(args, i, elements, -1);
        return false;
      }
      cases[i] = {ch->channel, SelectCase::Recv, &elements[i], ch->timer};
      if (!make_room(i)) return false;
    } else if (Py_TYPE(arg) == case_type) {
      CaseObject* c = as_case(arg);
      ChanObject* ch = as_chan(c->chan);
      if (c->is_send) {
        elements[i] = c->number;
        if (c->value) elements[i].object = c->value;
        if (offers_object(arg)) contents->objects = true;
      }
      cases[i] = {ch->channel, c->is_send ? SelectCase::Send : SelectCase::Recv, &elements[i], ch->timer};
      if (c->is_send) cases[i].element = place_in_core(ch, elements[i]);
      else if (!make_room(i)) return false;
    } else if (arg == Py_None) {
      cases[i] = {nullptr, SelectCase::Recv, nullptr};
    } else {
      PyErr_Format(PyExc_TypeError, "select: case %zd must be a Chan, recv(ch), send(ch, v) or None, got %.200s", i,
                   Py_TYPE(arg)->tp_name);
      drop_rooms(args, i, elements, -1);
      return false;
    }
  }
  return true;
}

// Gives up the references of what was offered and not sent.
void drop_offers(PyObject* const* args, Py_ssize_t count, Py_ssize_t chosen) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  for (Py_ssize_t i = 0; i < count; i++) {
    if (i != chosen && offers_object(args[i])) Py_DECREF(as_case(args[i])->value);
  }
  PyErr_Restore(type, value, traceback);
}

PyObject* selected(Py_ssize_t index, PyObject* value, bool ok) {
  if (!value) return nullptr;
  PyObject* number = PyLong_FromSsize_t(index);
  PyObject* result = number ? PyStructSequence_New(selected_type) : nullptr;
  if (!result) {
    Py_DECREF(value);
    Py_XDECREF(number);
    return nullptr;
  }
  PyStructSequence_SET_ITEM(result, 0, number);
  PyStructSequence_SET_ITEM(result, 1, value);
  PyStructSequence_SET_ITEM(result, 2, Py_NewRef(ok ? Py_True : Py_False));
  return result;
}

// A select of Python's arguments: what the core's works on, and what it holds meanwhile.
class Selecting {
 public:
  Selecting(PyObject* const* args, Py_ssize_t count) : args_(args), count_(count), room_(size_t(count)) {}

  // Reads the cases and takes the references of what is offered. False with an exception set, and nothing taken.
  bool begin() {
    if (!read_cases(args_, count_, room_.cases(), room_.elements(), &contents_)) return false;
    for (Py_ssize_t i = 0; contents_.objects && i < count_; i++) {
      if (offers_object(args_[i])) Py_INCREF(as_case(args_[i])->value);
    }
    return true;
  }
  SelectCase* cases() { return room_.cases(); }
  size_t count() const { return size_t(count_); }

  // Gives up what was not used. Once, after begin; null: the core's select threw.
  void end(const Selected* s) {
    bool fired = s && s->outcome == Outcome::Fired;
    if (contents_.objects) drop_offers(args_, count_, fired ? s->index : -1);
    if (contents_.rooms) drop_rooms(args_, count_, room_.elements(), fired && s->ok ? s->index : -1);
  }
  PyObject* result(const Selected& s) {
    if (s.outcome != Outcome::Fired) return raise_outcome(s.outcome);
    after_wait();
    if (s.index < 0 || cases()[s.index].dir == SelectCase::Send) return selected(s.index, Py_NewRef(Py_None), false);
    ChanObject* ch = chan_of(args_[s.index]);
    return selected(s.index, s.ok ? from_element(ch, room_.elements()[s.index]) : zero_value(ch), s.ok);
  }
  int traverse_offers(visitproc visit, void* arg) {
    for (Py_ssize_t i = 0; contents_.objects && i < count_; i++) {
      if (offers_object(args_[i])) Py_VISIT(as_case(args_[i])->value);
    }
    return 0;
  }

 private:
  PyObject* const* const args_;
  const Py_ssize_t count_;
  Room room_;
  Contents contents_;
};

bool too_many(Py_ssize_t count) {
  if (size_t(count) <= kMaxSelectCases) return false;
  PyErr_SetString(errors::PanicError, "reflect.Select: too many cases (max 65536)");
  return true;
}

// Parks.
PyObject* select(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  bool has_default = false;
  Nanos deadline = kForever;
  if (names && !parse_options(args + count, names, &has_default, &deadline)) return nullptr;
  if (!operation()) return nullptr;
  if (too_many(count)) return nullptr;
  try {
    Selecting selecting(args, count);
    if (!selecting.begin()) return nullptr;
    try {
      Selected s = gort::select(selecting.cases(), selecting.count(), has_default, deadline);
      selecting.end(&s);
      return selecting.result(s);
    } catch (...) {
      errors::translate();
      selecting.end(nullptr);
      return nullptr;
    }
  } catch (...) {
    return errors::translate();
  }
}

// The select that is awaited.
class SelectOperation final : public Operation {
 public:
  SelectOperation(PyObject* args, std::unique_ptr<Selecting> selecting, Nanos deadline)
      : args_(args), selecting_(std::move(selecting)), deadline_(deadline) {}
  ~SelectOperation() override {
    waiting_.reset();
    if (!over_) selecting_->end(nullptr);
    selecting_.reset();
    Py_DECREF(args_);
  }
  const char* name() const override { return "select"; }

  bool attempt() override {
    return perform([&] { return gort::select(selecting_->cases(), selecting_->count(), true); }, false);
  }
  void wait() override {
    perform([&] { return gort::select(selecting_->cases(), selecting_->count(), false, deadline_); });
  }
  void wait_stackless() override {
    if (selecting_->count() < 2) return wait();
    perform([&] {
      waiting_ = std::make_unique<StacklessSelect>(selecting_->cases(), selecting_->count());
      return waiting_->run(deadline_);
    });
  }
  void ended(Outcome outcome) override {
    perform([&] { return waiting_->ended(outcome); });
  }
  PyObject* result() override { return failure_.raise() ? nullptr : selecting_->result(selected_); }
  int traverse(visitproc visit, void* arg) override {
    Py_VISIT(args_);
    return over_ ? 0 : selecting_->traverse_offers(visit, arg);
  }

 private:
  // Whether it is over. `to_the_end`: also if there is nothing chosen.
  template <class Select>
  bool perform(Select select, bool to_the_end = true) {
    try {
      selected_ = select();
      if (!to_the_end && selected_.index < 0) return false;
      selecting_->end(&selected_);
    } catch (...) {
      failure_.keep();
      selecting_->end(nullptr);
    }
    waiting_.reset();
    return over_ = true;
  }

  PyObject* const args_;   // owned; the tuple that selecting_ reads
  std::unique_ptr<Selecting> selecting_;
  std::unique_ptr<StacklessSelect> waiting_;
  const Nanos deadline_;
  Selected selected_{};
  Failure failure_;
  bool over_ = false;
};

PyObject* await_select(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  bool has_default = false;
  Nanos deadline = kForever;
  if (names && !parse_options(args + count, names, &has_default, &deadline)) return nullptr;
  if (!operation() || too_many(count)) return nullptr;
  PyObject* tuple = PyTuple_New(count);
  if (!tuple) return nullptr;
  for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
  try {
    auto selecting = std::make_unique<Selecting>(&PyTuple_GET_ITEM(tuple, 0), count);
    if (!selecting->begin()) {
      Py_DECREF(tuple);
      return nullptr;
    }
    Selecting* begun = selecting.get();
    if (PyObject* await = new_await<SelectOperation>(tuple, std::move(selecting), deadline)) return await;
    begun->end(nullptr);
    Py_DECREF(tuple);
    return nullptr;
  } catch (...) {
    Py_DECREF(tuple);
    return errors::translate();
  }
}

PyMethodDef functions[] = {
    {"select", raw(select), METH_FASTCALL | METH_KEYWORDS,
     "select(*cases, default=False, timeout=None)\n--\n\nPark until one of the cases can go on, do that one and no other, and return\n"
     "Selected(index, value, ok).\n\n"
     "A case is a channel or recv(ch) (receive), send(ch, v), or None (never ready). Of several that are ready one is picked at\n"
     "random. default=True: index -1 instead of waiting. timeout: seconds; TimeoutError with nothing sent and nothing taken.\n"
     "ok: a receive got a value that was sent. PanicError if the case picked is a send and its channel is closed.\n\n"
     ">>> a, b = Chan(1), Chan(1)\n>>> select(a, send(b, 'x'))\ngort.Selected(index=1, value=None, ok=False)"},
    {"_await_select", raw(await_select), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"recv", recv_case, METH_O, "recv(ch, /)\n--\n\nA receive as a case of select."},
    {"send", raw(send_case), METH_FASTCALL, "send(ch, v, /)\n--\n\nA send of v as a case of select."},
    {nullptr, nullptr, 0, nullptr}};

PyMethodDef case_methods[] = {{"__reduce__", errors::refuse_reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

PyType_Slot case_slots[] = {{Py_tp_doc, const_cast<char*>("A case of select, made by recv() and send().")},
                            {Py_tp_traverse, reinterpret_cast<void*>(case_traverse)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(case_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(case_repr)},
                            {Py_tp_methods, case_methods},
                            {0, nullptr}};
PyType_Spec case_spec = {"gort.Case", sizeof(CaseObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                         case_slots};

PyStructSequence_Field selected_fields[] = {{"index", "the case; -1 the default"},
                                            {"value", "what was received; None of a send"},
                                            {"ok", "a receive got a value; False: the channel is closed"},
                                            {nullptr, nullptr}};
PyStructSequence_Desc selected_description = {"gort.Selected", "What select did.", selected_fields, 3};

}  // namespace

bool add_select(PyObject* module) {
  case_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&case_spec));
  selected_type = PyStructSequence_NewType(&selected_description);
  return case_type && selected_type && PyModule_AddType(module, case_type) == 0 &&
         PyModule_AddObjectRef(module, "Selected", reinterpret_cast<PyObject*>(selected_type)) == 0 &&
         PyModule_AddFunctions(module, functions) == 0;
}

}  // namespace gort::python
