// Ref: an owning pointer to an object that counts its references itself.
//
// T has retain() and release(); the release that takes the last reference destroys the object. Counting is inside the object, so that a raw
// pointer (in a wait queue, in a C struct of the bindings) can be turned into a reference again.
// Thread safety: that of a plain pointer; different Refs to one object may be used by different threads.
#pragma once

#include <cstddef>
#include <utility>

namespace gort {

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  // share makes a further reference; adopt takes over one that the caller owns.
  static Ref share(T* object) {
    if (object) object->retain();
    return adopt(object);
  }
  static Ref adopt(T* object) {
    Ref r;
    r.object_ = object;
    return r;
  }

  Ref(const Ref& other) : object_(other.object_) {
    if (object_) object_->retain();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) object_->release();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref&) const = default;

  // detach gives the reference away as a raw pointer; undone by adopt.
  T* detach() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

}  // namespace gort
