// AtomicValue holds a value of any one type that many read and few replace: configurations, tables. Go's atomic.Value.
//
//   gort::AtomicValue config;
//   config.store(Config{80});
//   std::shared_ptr<const Config> now = config.load<Config>();     // stays as it is, whatever is stored meanwhile
//
// Thread safety: any goroutine or thread. Nothing parks, except as every operation at a safe point. Each operation is one step, and all see the steps in
// one order. The first value decides the type for ever; another one is a Panic with Go's text, and changes nothing. What Go panics about nil the
// compiler says here.
//
// Go's atomic integers and pointers are std::atomic in C++, which wraps around and is sequentially consistent as they are.
//
// Rejected: std::atomic<std::shared_ptr>. It is a spin lock inside as well, and ThreadSanitizer does not understand g++ 12's.
#pragma once

#include <memory>
#include <mutex>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "gort/base/errors.h"
#include "gort/base/spin_lock.h"
#include "gort/sched/world.h"

namespace gort {

class AtomicValue {
 public:
  AtomicValue() = default;
  AtomicValue(const AtomicValue&) = delete;
  AtomicValue& operator=(const AtomicValue&) = delete;

  // load gives the latest value, null before the first. Throws std::bad_cast if the values are of another type than T.
  template <class T>
  [[nodiscard]] std::shared_ptr<const T> load() const {
    world::safe_point();
    std::shared_ptr<const Box> box = get();
    if (box && box->type() != typeid(T)) throw std::bad_cast();
    return value_of<T>(std::move(box));
  }

  // store throws Panic("sync/atomic: store of inconsistently typed value into Value").
  template <class T>
  void store(T value) {
    exchange<T>(std::move(value), "sync/atomic: store of inconsistently typed value into Value");
  }

  // swap stores value and returns the one before, null if there was none. Throws Panic("sync/atomic: swap of inconsistently typed value into Value").
  template <class T>
  std::shared_ptr<const T> swap(T value) {
    return value_of<T>(exchange<T>(std::move(value), "sync/atomic: swap of inconsistently typed value into Value"));
  }

  // compare_and_swap stores value if the present one equals old (==; nullptr: if there is none), and tells whether it did.
  // Throws Panic("sync/atomic: compare and swap of inconsistently typed value into Value"), and what == throws.
  template <class T>
  bool compare_and_swap(const T& old, T value) {
    return compare_and_exchange<T>(std::move(value), [&](const T* found) { return found && *found == old; });
  }
  template <class T>
  bool compare_and_swap(std::nullptr_t, T value) {
    return compare_and_exchange<T>(std::move(value), [](const T* found) { return !found; });
  }

 private:
  struct Box {
    virtual ~Box() = default;
    virtual const std::type_info& type() const = 0;
  };
  template <class T>
  struct BoxOf final : Box {
    explicit BoxOf(T v) : value(std::move(v)) {}
    const std::type_info& type() const override { return typeid(T); }
    T value;
  };

  template <class T>
  static std::shared_ptr<const Box> box_of(T value) {
    static_assert(!std::is_same_v<T, std::nullptr_t>, "a Value holds no nil");
    return std::make_shared<BoxOf<T>>(std::move(value));
  }
  template <class T>
  static std::shared_ptr<const T> value_of(std::shared_ptr<const Box> box) {
    if (!box) return nullptr;
    const T* value = &static_cast<const BoxOf<T>&>(*box).value;
    return std::shared_ptr<const T>(std::move(box), value);
  }

  std::shared_ptr<const Box> get() const {
    std::lock_guard hold(lock_);
    return box_;
  }

  // Returns the box before, which ends, if it does, away from the lock.
  template <class T>
  std::shared_ptr<const Box> exchange(T value, const char* wrong_type) {
    world::safe_point();
    std::shared_ptr<const Box> box = box_of<T>(std::move(value));
    std::unique_lock hold(lock_);
    if (box_ && box_->type() != typeid(T)) {
      hold.unlock();
      throw Panic(wrong_type);
    }
    box_.swap(box);
    return box;
  }

  // Compared away from the lock, and again if another one is there by then.
  template <class T, class Equal>
  bool compare_and_exchange(T value, Equal is_old) {
    world::safe_point();
    std::shared_ptr<const Box> box = box_of<T>(std::move(value));
    for (;;) {
      std::shared_ptr<const Box> found = get();
      if (found && found->type() != typeid(T)) throw Panic("sync/atomic: compare and swap of inconsistently typed value into Value");
      if (!is_old(found ? &static_cast<const BoxOf<T>&>(*found).value : nullptr)) return false;
      std::lock_guard hold(lock_);
      if (box_ != found) continue;
      box_.swap(box);
      return true;
    }
  }

  mutable SpinLock lock_;
  std::shared_ptr<const Box> box_;   // under lock_
};

}  // namespace gort
