// gort.heap: structs on the managed heap and handles on their objects.
//
// Handle is a raw type, because its attributes are the fields: a pybind11 class would take several times as long for each access.
// new() may park, so it is a raw function. The rest is pybind11.
//
// No pointer to a heap object outlives a call of the core here: what the bindings hold are handles.
// A handle's object never changes, so nothing here needs the GIL; fields are read and written by the core, as native goroutines do.
#include "heap_module.h"

#include <pybind11/stl.h>
#include <structmember.h>

#include <cmath>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>

#include "errors.h"
#include "gort/heap/access.h"
#include "gort/heap/malloc.h"
#include "gort/heap/size_classes.h"
#include "gort/heap/stats.h"
#include "gort/sched/world.h"
#include "python_lane.h"
#include "register.h"

namespace gort::python {

namespace py = pybind11;
PyTypeObject* handle_type = nullptr;

namespace {

// A type as Python sees it. Lives for the process, as heap types do, and never changes; nor do the two that follow.
struct Struct {
  const heap::HeapType* type = nullptr;
};

// A pointer field's declaration: ptr(T), or ptr("Name") for the struct that is being defined.
struct PointerTo {
  const heap::HeapType* target = nullptr;   // null: by name
  std::string name;
};

using heap::Field;
using heap::Kind;

constexpr Kind kScalars[] = {Kind::I8, Kind::I16, Kind::I32, Kind::I64, Kind::U8, Kind::U16,
                             Kind::U32, Kind::U64, Kind::F32, Kind::F64, Kind::Bool};

struct Scalar {
  Kind kind;
};

HandleObject* as_handle(PyObject* object) { return reinterpret_cast<HandleObject*>(object); }

// New reference to a handle, or to None for an empty one.
PyObject* wrap(heap::Handle handle) {
  if (!handle) Py_RETURN_NONE;
  PyObject* object = handle_type->tp_alloc(handle_type, 0);
  if (!object) return nullptr;
  new (&as_handle(object)->handle) heap::Handle(std::move(handle));
  return object;
}

// ---------------------------------------------------------------- values

std::string field_text(const heap::HeapType& type, const Field& field) {
  return type.name() + "." + field.name + " (" +
         (field.kind == Kind::Pointer ? "ptr(" + std::string(field.target ? field.target->name() : "any") + ")"
                                      : std::string(heap::kind_name(field.kind))) +
         ")";
}

bool wrong_type(const heap::HeapType& type, const Field& field, const char* what, PyObject* got) {
  PyErr_Format(PyExc_TypeError, "%s must be %s, got %.200s", field_text(type, field).c_str(), what, Py_TYPE(got)->tp_name);
  return false;
}

bool wrong_value(const heap::HeapType& type, const Field& field, PyObject* got) {
  // A huge integer has no decimal text (sys.set_int_max_str_digits).
  PyObject* text = PyObject_Repr(got);
  if (!text) PyErr_Clear();
  std::string what = field_text(type, field);
  if (text) PyErr_Format(PyExc_ValueError, "%s cannot hold %.200U", what.c_str(), text);
  else PyErr_Format(PyExc_ValueError, "%s cannot hold this %.200s", what.c_str(), Py_TYPE(got)->tp_name);
  Py_XDECREF(text);
  return false;
}

// The Python object as the core's value. False with an exception set.
bool read_value(const heap::HeapType& type, const Field& field, PyObject* object, heap::Value* value) {
  switch (field.kind) {
    case Kind::Bool:
      if (!PyBool_Check(object)) return wrong_type(type, field, "a bool", object);
      *value = heap::Value::of(object == Py_True);
      return true;
    case Kind::F32:
    case Kind::F64: {
      if (PyFloat_Check(object)) {
        *value = heap::Value::of(PyFloat_AS_DOUBLE(object));
        return true;
      }
      if (!PyLong_Check(object) || PyBool_Check(object)) return wrong_type(type, field, "a float", object);
      double f = PyLong_AsDouble(object);
      if (f == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return wrong_value(type, field, object);
      }
      *value = heap::Value::of(f);
      return true;
    }
    case Kind::Pointer:
      if (object == Py_None) {
        *value = heap::Value::of(heap::Handle());
        return true;
      }
      if (!Py_IS_TYPE(object, handle_type) || (field.target && as_handle(object)->handle.type() != field.target)) {
        std::string what = field.target ? field.target->name() + " or None" : "an object of gort.heap or None";
        if (!Py_IS_TYPE(object, handle_type)) return wrong_type(type, field, what.c_str(), object);
        PyErr_Format(PyExc_TypeError, "%s must be %s, got %s", field_text(type, field).c_str(), what.c_str(),
                     as_handle(object)->handle.type()->name().c_str());
        return false;
      }
      *value = heap::Value::of(as_handle(object)->handle);
      return true;
    default: break;
  }
  if (PyBool_Check(object) || !PyIndex_Check(object)) return wrong_type(type, field, "an int", object);
  PyObject* integer = PyNumber_Index(object);
  if (!integer) return false;
  int overflow;
  long long i = PyLong_AsLongLongAndOverflow(integer, &overflow);
  bool fits = true;
  if (overflow == 0) {
    *value = heap::Value::of(int64_t(i));
  } else {
    unsigned long long u = overflow > 0 ? PyLong_AsUnsignedLongLong(integer) : 0;
    fits = overflow > 0 && !PyErr_Occurred();
    PyErr_Clear();
    *value = heap::Value::of(uint64_t(u));
  }
  Py_DECREF(integer);
  return fits || wrong_value(type, field, object);
}

// False with an exception set and nothing changed.
bool store(const heap::Handle& handle, const Field& field, PyObject* object) {
  heap::Value value;
  if (!read_value(*handle.type(), field, object, &value)) return false;
  try {
    heap::write_field(handle, field, value);
    return true;
  } catch (const std::overflow_error&) {
    return wrong_value(*handle.type(), field, object);
  } catch (const std::invalid_argument&) {
    return wrong_value(*handle.type(), field, object);
  }
}

PyObject* load(const heap::Handle& handle, const Field& field) {
  heap::Value value = heap::read_field(handle, field);
  switch (value.kind) {
    case Kind::I64: return PyLong_FromLongLong(value.i);
    case Kind::U64: return PyLong_FromUnsignedLongLong(value.u);
    case Kind::F64: return PyFloat_FromDouble(value.f);
    case Kind::Bool: return PyBool_FromLong(value.b);
    default: return wrap(std::move(value.object));
  }
}

const Field* find_field(const heap::HeapType& type, PyObject* name) {
  Py_ssize_t size;
  const char* text = PyUnicode_AsUTF8AndSize(name, &size);
  if (!text) {
    PyErr_Clear();
    return nullptr;
  }
  return type.field(std::string_view(text, size_t(size)));
}

std::string names_of_fields(const heap::HeapType& type) {
  std::string names;
  for (const Field& field : type.fields()) names += (names.empty() ? "" : ", ") + field.name;
  return names.empty() ? "none" : names;
}

bool no_such_field(const heap::HeapType& type, PyObject* name, PyObject* error) {
  PyErr_Format(error, "%s has no field %R; its fields: %s", type.name().c_str(), name, names_of_fields(type).c_str());
  return false;
}

// ---------------------------------------------------------------- Handle

void handle_dealloc(PyObject* self) {
  HandleObject* object = as_handle(self);
  if (object->weak_references) PyObject_ClearWeakRefs(self);
  object->handle.~Handle();
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* handle_getattro(PyObject* self, PyObject* name) {
  const heap::Handle& handle = as_handle(self)->handle;
  if (const Field* field = find_field(*handle.type(), name)) return load(handle, *field);
  PyObject* attribute = PyObject_GenericGetAttr(self, name);
  if (attribute || !PyErr_ExceptionMatches(PyExc_AttributeError)) return attribute;
  PyErr_Clear();
  no_such_field(*handle.type(), name, PyExc_AttributeError);
  return nullptr;
}

int handle_setattro(PyObject* self, PyObject* name, PyObject* value) {
  const heap::Handle& handle = as_handle(self)->handle;
  const Field* field = find_field(*handle.type(), name);
  if (!field) return no_such_field(*handle.type(), name, PyExc_AttributeError) ? 0 : -1;
  if (!value) {
    PyErr_Format(PyExc_AttributeError, "field %R of %s cannot be deleted", name, handle.type()->name().c_str());
    return -1;
  }
  return store(handle, *field, value) ? 0 : -1;
}

PyObject* handle_repr(PyObject* self) {
  const heap::Handle& handle = as_handle(self)->handle;
  const heap::HeapType& type = *handle.type();
  std::string text = "<" + type.name();
  int shown = 0;
  for (const Field& field : type.fields()) {
    if (++shown > 6) {
      text += " ...";
      break;
    }
    text += " " + field.name + "=";
    if (field.kind == Kind::Pointer) {
      heap::Value value = heap::read_field(handle, field);
      text += value.object ? "<" + value.object.type()->name() + ">" : "None";
      continue;
    }
    PyObject* value = load(handle, field);
    PyObject* repr = value ? PyObject_Repr(value) : nullptr;
    const char* utf8 = repr ? PyUnicode_AsUTF8(repr) : nullptr;
    if (!utf8) PyErr_Clear();
    text += utf8 ? utf8 : "?";
    Py_XDECREF(repr);
    Py_XDECREF(value);
  }
  return PyUnicode_FromFormat("%s>", text.c_str());
}

// Objects do not move, and a handle keeps its object: the address is the identity.
Py_hash_t handle_hash(PyObject* self) {
  auto address = reinterpret_cast<uintptr_t>(as_handle(self)->handle.get());
  return Py_hash_t(address >> 4 | address << (8 * sizeof(address) - 4)) == -1 ? -2 : Py_hash_t(address >> 4);
}

PyObject* handle_compare(PyObject* self, PyObject* other, int operation) {
  if (!Py_IS_TYPE(other, handle_type) || (operation != Py_EQ && operation != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  bool same = as_handle(self)->handle == as_handle(other)->handle;
  return PyBool_FromLong(same == (operation == Py_EQ));
}

PyObject* handle_dir(PyObject* self, PyObject*) {
  PyObject* names = PyList_New(0);
  for (const Field& field : as_handle(self)->handle.type()->fields()) {
    PyObject* name = names ? PyUnicode_FromStringAndSize(field.name.data(), Py_ssize_t(field.name.size())) : nullptr;
    if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
    Py_XDECREF(name);
  }
  return names;
}

PyObject* refuse_reduce(PyObject* self, PyObject*) {
  PyErr_Format(PyExc_TypeError, "cannot pickle or copy %s objects", Py_TYPE(self)->tp_name);
  return nullptr;
}

PyMethodDef handle_methods[] = {{"__dir__", handle_dir, METH_NOARGS, nullptr},
                                {"__reduce__", refuse_reduce, METH_NOARGS, nullptr},
                                {nullptr, nullptr, 0, nullptr}};

PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot handle_slots[] = {
    {Py_tp_doc, const_cast<char*>("An object of the managed heap, kept alive by this handle. Its attributes are the fields.\n\n"
                                  "Handles of one object are equal. Made by gort.heap.new().")},
    {Py_tp_dealloc, reinterpret_cast<void*>(handle_dealloc)},
    {Py_tp_getattro, reinterpret_cast<void*>(handle_getattro)},
    {Py_tp_setattro, reinterpret_cast<void*>(handle_setattro)},
    {Py_tp_repr, reinterpret_cast<void*>(handle_repr)},
    {Py_tp_hash, reinterpret_cast<void*>(handle_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(handle_compare)},
    {Py_tp_methods, handle_methods},
    {Py_tp_members, handle_members},
    {0, nullptr}};

PyType_Spec handle_spec = {"gort.heap.Handle", sizeof(HandleObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, handle_slots};

// ---------------------------------------------------------------- struct, new

const char kFieldKinds[] = "a type of gort.heap (i8 ... u64, f32, f64, bool, ptr(T))";

heap::FieldSpec field_spec(const std::string& struct_name, const std::string& name, py::handle declared) {
  if (py::isinstance<Scalar>(declared)) return {name, declared.cast<Scalar&>().kind, nullptr, false};
  if (py::isinstance<PointerTo>(declared)) {
    const auto& pointer = declared.cast<PointerTo&>();
    if (pointer.target) return {name, Kind::Pointer, pointer.target, false};
    if (pointer.name == struct_name) return heap::FieldSpec::to_itself(name);
    PyErr_Format(PyExc_ValueError, "struct: %s: ptr(\"%s\") names no type; by name only %s itself can be meant", name.c_str(),
                 pointer.name.c_str(), struct_name.c_str());
    throw py::error_already_set();
  }
  errors::bad_type("struct", name.c_str(), kFieldKinds, declared.ptr());
  throw py::error_already_set();
}

Struct define(py::args args, const py::kwargs& fields) {
  if (args.size() != 1) throw py::type_error("struct: takes a name, and fields by keyword: struct(\"Node\", value=i64)");
  py::object name = args[0];
  if (!PyUnicode_Check(name.ptr())) {
    errors::bad_type("struct", "name", "str", name.ptr());
    throw py::error_already_set();
  }
  auto text = name.cast<std::string>();
  if (text.empty()) {
    errors::bad_value("struct", "name", "not empty", name.ptr());
    throw py::error_already_set();
  }
  std::vector<heap::FieldSpec> specs;
  for (auto item : fields) {
    auto field = item.first.cast<std::string>();
    if (field.starts_with("__")) {
      errors::bad_value("struct", "a field's name", "free of leading double underscores", item.first.ptr());
      throw py::error_already_set();
    }
    specs.push_back(field_spec(text, field, item.second));
  }
  return {&heap::define_struct(text, specs)};
}

const heap::HeapType* type_from(PyObject* object) {
  py::handle h(object);
  return py::isinstance<Struct>(h) ? h.cast<Struct&>().type : nullptr;
}

// new(T, /, **init). Raw: an allocation may have to wait for the collector.
PyObject* new_(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
  if (nargs != 1) {
    PyErr_Format(PyExc_TypeError, "new: takes a type, and values by field name, got %zd positional arguments", nargs);
    return nullptr;
  }
  const heap::HeapType* type = type_from(args[0]);
  if (!type) return errors::bad_type("new", "T", "a type made by gort.heap.struct", args[0]);
  if (!machine()) return nullptr;
  Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
  try {
    heap::Handle handle = heap::new_object(*type);
    for (Py_ssize_t i = 0; i < count; i++) {
      PyObject* name = PyTuple_GET_ITEM(names, i);
      const Field* field = find_field(*type, name);
      if (!field) return no_such_field(*type, name, PyExc_TypeError), nullptr;
      if (!store(handle, *field, args[nargs + i])) return nullptr;
    }
    return wrap(std::move(handle));
  } catch (...) {
    return errors::translate();
  }
}

std::string pointer_text(const heap::HeapType* target) { return "ptr(" + (target ? target->name() : "any") + ")"; }

std::string struct_text(const Struct& s) {
  std::string text = "struct " + s.type->name() + " {";
  for (const Field& field : s.type->fields()) {
    text += (text.back() == '{' ? "" : ", ") + field.name + ": " +
            (field.kind == Kind::Pointer ? pointer_text(field.target) : std::string(heap::kind_name(field.kind)));
  }
  return text + "}";
}

// ---------------------------------------------------------------- looking at the heap

py::dict stats_dict() {
  heap::MemStats s = heap::read_stats();
  py::dict d;
  d["alloc"] = s.alloc;
  d["total_alloc"] = s.total_alloc;
  d["sys"] = s.sys;
  d["mallocs"] = s.mallocs;
  d["frees"] = s.frees;
  d["heap_alloc"] = s.heap_alloc;
  d["heap_sys"] = s.heap_sys;
  d["heap_idle"] = s.heap_idle;
  d["heap_inuse"] = s.heap_inuse;
  d["heap_released"] = s.heap_released;
  d["heap_objects"] = s.heap_objects;
  d["mspan_inuse"] = s.mspan_inuse;
  d["mspan_sys"] = s.mspan_sys;
  d["mcache_inuse"] = s.mcache_inuse;
  d["mcache_sys"] = s.mcache_sys;
  d["gc_sys"] = s.gc_sys;
  d["other_sys"] = s.other_sys;
  d["next_gc"] = s.next_gc;
  d["last_gc"] = s.last_gc;
  d["pause_total_ns"] = s.pause_total_ns;
  d["pause_ns"] = s.pause_ns;
  d["pause_end"] = s.pause_end;
  d["num_gc"] = s.num_gc;
  d["num_forced_gc"] = s.num_forced_gc;
  d["gc_cpu_fraction"] = s.gc_cpu_fraction;
  d["enable_gc"] = s.enable_gc;
  d["handles"] = s.handles;
  py::list classes;
  for (const auto& c : s.by_size) classes.append(py::make_tuple(c.size, c.mallocs, c.frees));
  d["by_size"] = classes;
  return d;
}

// (class, slot size, pages of a span, objects in a span) for an object of n bytes.
py::tuple size_class(py::object n) {
  if (!PyIndex_Check(n.ptr()) || PyBool_Check(n.ptr())) {
    errors::bad_type("size_class", "n", "an int", n.ptr());
    throw py::error_already_set();
  }
  Py_ssize_t bytes = PyNumber_AsSsize_t(n.ptr(), nullptr);
  if (bytes < 0 || bytes == PY_SSIZE_T_MAX) {
    if (!PyErr_Occurred()) errors::bad_value("size_class", "n", "a number of bytes from 0 on", n.ptr());
    throw py::error_already_set();
  }
  if (size_t(bytes) > heap::kMaxSmallSize) {
    size_t pages = (size_t(bytes) + heap::kPageSize - 1) / heap::kPageSize;
    return py::make_tuple(0, pages * heap::kPageSize, pages, 1);
  }
  if (bytes == 0) return py::make_tuple(0, 0, 0, 0);
  size_t c = heap::size_class(size_t(bytes));
  return py::make_tuple(c, size_t(heap::kClassSize[c]), int(heap::kClassPages[c]),
                        heap::kClassPages[c] * heap::kPageSize / heap::kClassSize[c]);
}

const char* layout_name(heap::HeapType::Layout layout) {
  switch (layout) {
    case heap::HeapType::Layout::Zero: return "zero";
    case heap::HeapType::Layout::Tiny: return "tiny";
    case heap::HeapType::Layout::NoScan: return "noscan";
    case heap::HeapType::Layout::Bits: return "bits";
    case heap::HeapType::Layout::Header: return "header";
    case heap::HeapType::Layout::Large: return "large";
  }
  return "?";
}

const heap::Handle& checked_handle(const char* function, py::handle object) {
  if (!Py_IS_TYPE(object.ptr(), handle_type)) {
    errors::bad_type(function, "h", "a handle made by gort.heap.new", object.ptr());
    throw py::error_already_set();
  }
  return as_handle(object.ptr())->handle;
}

py::dict of(py::object object) {
  const heap::Handle& handle = checked_handle("of", object);
  const heap::HeapType& type = *handle.type();
  size_t slot;
  uintptr_t address;
  {
    world::MutatorScope scope;
    address = reinterpret_cast<uintptr_t>(handle.get());
    slot = type.size() == 0 ? 0 : heap::usable_size(handle.get());
  }
  bool small = type.layout() == heap::HeapType::Layout::NoScan || type.layout() == heap::HeapType::Layout::Bits ||
               type.layout() == heap::HeapType::Layout::Header;
  py::dict d;
  d["type"] = py::cast(Struct{&type});
  d["address"] = address;
  d["size"] = type.size();
  d["slot_size"] = slot;
  d["size_class"] = small ? int(heap::size_class_of(type.span_class())) : type.layout() == heap::HeapType::Layout::Tiny ? int(heap::kTinyClass) : 0;
  d["noscan"] = type.noscan();
  d["layout"] = layout_name(type.layout());
  return d;
}

PyMethodDef raw_functions[] = {
    {"_heap_new", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(new_)), METH_FASTCALL | METH_KEYWORDS,
     "new(T, /, **init)\n--\n\nA new object of the struct T on the managed heap: a handle that keeps it alive.\n\n"
     "Fields that init does not name are zero (None for pointers). TypeError for a name that is no field or a value of the wrong\n"
     "type, ValueError for a value that does not fit. May park for a moment while a collection is behind."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool register_heap(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&handle_spec));
  if (!handle_type || PyModule_AddType(module, handle_type) < 0 || PyModule_AddFunctions(module, raw_functions) < 0) return false;

  py::class_<Scalar>(m, "_Scalar", py::is_final(), "A scalar type of gort.heap.")
      .def("__repr__", [](const Scalar& s) { return std::string("gort.heap.") + heap::kind_name(s.kind); })
      .def("__reduce__", [](py::object self) { return py::reinterpret_steal<py::object>(refuse_reduce(self.ptr(), nullptr)); });
  for (Kind kind : kScalars) m.attr(("_heap_" + std::string(heap::kind_name(kind))).c_str()) = py::cast(Scalar{kind});

  py::class_<PointerTo>(m, "_Pointer", py::is_final(), "The type of a pointer field, made by ptr(T).")
      .def("__repr__", [](const PointerTo& p) { return p.target ? pointer_text(p.target) : "ptr('" + p.name + "')"; })
      .def("__reduce__", [](py::object self) { return py::reinterpret_steal<py::object>(refuse_reduce(self.ptr(), nullptr)); });

  py::class_<Struct>(m, "_Struct", py::is_final(), "A struct type of the managed heap, made by gort.heap.struct().")
      .def("__repr__", struct_text)
      .def("__eq__", [](const Struct& a, py::object b) { return py::isinstance<Struct>(b) && a.type == b.cast<Struct&>().type; })
      .def("__hash__", [](const Struct& s) { return reinterpret_cast<uintptr_t>(s.type) >> 4; })
      .def("__reduce__", [](py::object self) { return py::reinterpret_steal<py::object>(refuse_reduce(self.ptr(), nullptr)); })
      .def_property_readonly("name", [](const Struct& s) { return s.type->name(); })
      .def_property_readonly("size", [](const Struct& s) { return s.type->size(); }, "Bytes of an object.")
      .def_property_readonly(
          "fields",
          [](const Struct& s) {
            py::dict d;
            for (const Field& f : s.type->fields()) {
              d[py::str(f.name)] = py::make_tuple(f.offset, f.kind == Kind::Pointer ? pointer_text(f.target) : heap::kind_name(f.kind));
            }
            return d;
          },
          "Name to (offset, type).");

  m.def("_heap_struct", define);
  m.def("_heap_ptr", [](py::object target) {
    if (py::isinstance<Struct>(target)) return PointerTo{target.cast<Struct&>().type, {}};
    if (py::isinstance<py::str>(target)) return PointerTo{nullptr, target.cast<std::string>()};
    errors::bad_type("ptr", "T", "a type made by gort.heap.struct, or the name of the struct being defined", target.ptr());
    throw py::error_already_set();
  });
  m.def("_heap_stats", stats_dict);
  m.def("_heap_size_class", size_class);
  m.def("_heap_of", of);
  return true;
}

}  // namespace gort::python
