// Heap access for threads that are not mutators: Python goroutines and plain threads, which is to say the bindings.
//
//   Handle node = new_object(node_type);
//   write_field(node, *node_type.field("value"), Value::of(int64_t{42}));
//   Value v = read_field(node, *node_type.field("next"));     // v.kind == Kind::Pointer, v.object
//
// Every function enters the mutator state for its duration, does one access and leaves; what it returns is a value or a
// handle, never a raw pointer. It may wait for a stop of the world to end, with the GIL held (a stop never waits for the GIL).
//
// Thread safety: any thread. Two accesses to one field at once are a data race of the user's, but never break the heap: each
// load and store is atomic.
#pragma once

#include <cstdint>

#include "gort/heap/handle.h"
#include "gort/heap/type.h"

namespace gort::heap {

// Value is what goes into a field or comes out: scalars in their widest form.
struct Value {
  Kind kind = Kind::I64;  // I64, U64, F64, Bool or Pointer
  union {
    int64_t i = 0;
    uint64_t u;
    double f;
    bool b;
  };
  Handle object;  // Kind::Pointer; empty: nil

  static Value of(int64_t i);
  static Value of(uint64_t u);
  static Value of(double f);
  static Value of(bool b);
  static Value of(Handle object);
};

// new_object allocates a zeroed object. Throws std::bad_alloc. May start a collection, never waits for one.
Handle new_object(const HeapType& type);

// read_field returns the field's value, widened. REQUIRES: handle is not empty; field belongs to its type.
Value read_field(const Handle& handle, const Field& field);

// write_field stores value; nothing is changed when it throws:
//   std::overflow_error     an integer that the field cannot hold: "300 does not fit field red of type u8"
//   std::invalid_argument   a value of another kind (integers go into floats and back only if nothing is lost), or a pointer to an
//                           object of another type: "field next of Node takes a Node, not a Leaf"
// REQUIRES: as read_field.
void write_field(const Handle& handle, const Field& field, const Value& value);

}  // namespace gort::heap
