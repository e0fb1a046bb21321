// Handle roots a heap object from outside the heap: from Python objects, globals, captured copies, malloc memory.
//
//   Ref<Node> list(make<Node>());            // typed, for C++
//   gort::go([list] { use(list->left); });   // a copy is a root of its own
//
// A handle owns one slot of a table that the collector reads while mutators go on; so making and dropping one is a pointer write
// with a barrier: it happens in mutator state, which every operation enters by itself. On a native goroutine that is free, elsewhere
// two exchanges.
//
// Thread safety: different handles may be used by different threads at once; one handle is like a std::shared_ptr: reads
// may run together, a write needs synchronisation. Handles may outlive gort::run and may be destroyed at exit.
// May be dropped with the GIL held: at most it waits for the end of a stop, which never waits for the GIL.
#pragma once

#include <cstddef>
#include <utility>

#include "gort/heap/object.h"
#include "gort/heap/type.h"

namespace gort::heap {

class Handle {
 public:
  Handle() = default;
  // Roots object, which is of that type; null gives an empty handle. REQUIRES: mutator.
  Handle(void* object, const HeapType& type);
  Handle(const Handle& other);
  Handle(Handle&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)), type_(other.type_) {}
  Handle& operator=(Handle other) noexcept {
    std::swap(slot_, other.slot_);
    std::swap(type_, other.type_);
    return *this;
  }
  ~Handle() {
    if (slot_ != nullptr) release();
  }

  // reset drops the root.
  void reset() { *this = Handle(); }

  // get returns the object, or null. REQUIRES for any use beyond comparing: mutator; the result then may live on the stack.
  void* get() const { return slot_ == nullptr ? nullptr : load_pointer(slot_); }
  explicit operator bool() const { return slot_ != nullptr; }
  // type is null for an empty handle.
  const HeapType* type() const { return slot_ == nullptr ? nullptr : type_; }

  // Same object (or both empty).
  friend bool operator==(const Handle& a, const Handle& b) { return a.get() == b.get(); }

 private:
  void release();

  void** slot_ = nullptr;  // in the handle table; its memory is never returned
  const HeapType* type_ = nullptr;
};

// Ref is a Handle that knows its C++ type.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : handle_(object, type_of<T>()) {}
  // REQUIRES: handle is empty or of type T.
  explicit Ref(Handle handle) : handle_(std::move(handle)) {}

  T* get() const { return static_cast<T*>(handle_.get()); }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }
  explicit operator bool() const { return bool(handle_); }
  void reset() { handle_.reset(); }
  const Handle& handle() const { return handle_; }

 private:
  Handle handle_;
};

// handle_count is the number of handles that root an object.
size_t handle_count();

}  // namespace gort::heap
