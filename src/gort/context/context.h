// Context carries cancellation, a deadline and values down a tree of calls.
//
//   ContextRef ctx = context::with_timeout(context::background(), 2 * kSecond);
//   SelectCase cases[] = {{results.get(), SelectCase::Recv, &r}, {ctx->done().get(), SelectCase::Recv, nullptr}};
//   if (select(cases, 2, false).index == 1) return ctx->err();
//   ctx->cancel();
//
// Thread safety: every function and method, from goroutines and plain threads; cancel also from scheduler stacks.
//
// Contexts that can be cancelled form a tree of their own: each is registered with its nearest cancellable ancestor (`scope`),
// and cancelling walks down from there. No goroutine is started for propagation.
//
// Order within a cancellation, as in Go: error and cause are set, done is closed, the children are cancelled likewise, the link
// to the parent is cut. All children are cancelled when the first cancel() returns. err() != None implies that done is closed,
// and the reverse.
//
// Ownership: a child owns a reference to its parent; a parent's list of children does not own them, except after_func's
// registrations; an armed deadline timer owns a reference to its context. So a context that nobody holds any more goes away
// without being cancelled. Keep the context, not just its done channel, while waiting for it. Rejected: owning children as in
// Go, where the collector takes what is unreachable; here each forgotten cancel would be a leak.
//
// Locks: one spin lock a node (rank Context), never two at once; channels and timers rank above it. Values and causes are
// destroyed under no lock. Rejected: Go's recursion under the parent's lock; a deep tree overflows a goroutine's stack, a wide
// one keeps a spin lock for long.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "gort/base/clock.h"
#include "gort/base/ref.h"
#include "gort/chan/channel.h"
#include "gort/sched/go.h"
#include "gort/types/element_type.h"

namespace gort {

class Context;
using ContextRef = Ref<Context>;

namespace context {

enum class Err : uint8_t { None, Canceled, DeadlineExceeded };

// err_text is "context canceled" or "context deadline exceeded".
const char* err_text(Err err);

// ValueType: what a context does with keys, values and causes, besides moving them.
struct ValueType {
  const ElementType* element;                          // size at most 8
  bool (*equal)(const void* key, const void* other);   // keys only; both elements of this type; may throw
  std::string (*text)(const void* element);            // as shown by to_string; may throw
};

// Value: a shared, immutable value of the binding's type; default-made: none.
// Thread safety: that of a shared_ptr. The last owner destroys the element.
class Value {
 public:
  Value() = default;
  // Takes the bytes of *element over.
  Value(const ValueType& type, const void* element);

  explicit operator bool() const { return box_ != nullptr; }
  const ValueType& type() const { return *box_->type; }
  const void* element() const { return &box_->bits; }
  uint64_t bits() const { return box_->bits; }

  // A Value of a C++ type with operator==. Same limits as element_type<T>, at most 8 bytes.
  template <class T>
  static Value of(T value);
  template <class T>
  const T* as() const;  // null if it is none or of another type

 private:
  struct Box {
    explicit Box(const ValueType* t) : type(t) {}
    Box(const Box&) = delete;
    Box& operator=(const Box&) = delete;
    const ValueType* type;
    uint64_t bits = 0;
    ~Box() {
      if (type->element->destroy) type->element->destroy(&bits);
    }
  };
  std::shared_ptr<Box> box_;
};

// Task: what after_func starts. Exactly one of the two is called, once: start when the context is done (it starts a goroutine and
// returns; it may be called on a scheduler stack), or drop when that will not happen any more.
struct Task {
  void (*start)(void* argument);
  void (*drop)(void* argument);
  void* argument;
};

}  // namespace context

class CancelContext;

class Context {
 public:
  enum class Kind : uint8_t { Background, Todo, Cancel, Deadline, Value, WithoutCancel, AfterFunc, Custom };

  Kind kind() const { return kind_; }
  const ContextRef& parent() const { return parent_; }  // null for Background, Todo and Custom

  // done is closed when the context is cancelled; null: that never happens. The same channel each time. Element size 0.
  ChannelRef done();

  context::Err err() const;

  // cause is what the cancellation gave as its cause; none if not cancelled, or if the cause is the error itself.
  context::Value cause() const;

  // deadline is a nanotime, kForever if there is none.
  Nanos deadline() const { return deadline_; }

  // value returns the value of the nearest with_value whose key is of the same type and equal; none if there is none.
  context::Value value(const context::Value& key) const;

  // cancel cancels this context and everything below. Only the first cancellation of a context counts. Of a kind that
  // cannot be cancelled by itself (all but with_cancel and with_deadline) it does nothing. err: what err() says from then on, not None.
  void cancel(context::Value cause = {}, context::Err err = context::Err::Canceled);

  // to_string is Go's String(): context.Background.WithCancel.WithValue(k, v).WithDeadline(2030-01-02 03:04:05 +0000 UTC m=+1.5 [1.2s])
  std::string to_string() const;

  // children lists the contexts below that can be cancelled and not just yet are, and after_func registrations. For context.tree.
  std::vector<ContextRef> children() const;

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();

 protected:
  Context(Kind kind, ContextRef parent, CancelContext* scope, Nanos deadline)
      : kind_(kind), scope_(scope), deadline_(deadline), parent_(std::move(parent)) {}
  virtual ~Context() = default;
  virtual void die() {}  // the last reference is gone; the parent is still there
  bool retain_if_alive();

 public:
  // The nearest context, this one included, that can be cancelled; null if none. For the functions below.
  CancelContext* scope() const { return scope_; }

 private:
  std::atomic<uint32_t> references_{1};
  const Kind kind_;
  CancelContext* const scope_;
  const Nanos deadline_;
  ContextRef parent_;
};

namespace context {

// The roots. Never cancelled; one object each, never destroyed.
const ContextRef& background();
const ContextRef& todo();

// A null parent: Panic("cannot create context from nil parent") in all of these.
//
// follows: a context that is not above, but whose cancellation cancels this one as its parent's would, without a goroutine. For children of
// a custom context that hands the done channel of another one on.
ContextRef with_cancel(ContextRef parent, ContextRef follows = {});

// with_deadline cancels the context by itself at the deadline (a nanotime) with Err::DeadlineExceeded and that cause. If the
// parent's deadline is earlier it is with_cancel(parent).
ContextRef with_deadline(ContextRef parent, Nanos deadline, Value cause = {}, ContextRef follows = {});
inline ContextRef with_timeout(ContextRef parent, Nanos timeout, Value cause = {}) {
  return with_deadline(std::move(parent), deadline_after(timeout), std::move(cause));
}

// No key: Panic("nil key"). "key is not comparable" is for the binding to find out.
ContextRef with_value(ContextRef parent, Value key, Value value);

// without_cancel keeps the parent's values but not its cancellation and deadline.
ContextRef without_cancel(ContextRef parent);

// custom stands for a context that is not one of ours, as the root of those that are made from it. `shown` is its text for to_string, deadline
// its own (kForever: none). It is never cancelled itself: whoever makes it has its children follow another context, or cancels them.
ContextRef custom(Value shown, Nanos deadline);

// AfterFunc: the registration of one function with after_func.
class AfterFunc {
 public:
  explicit AfterFunc(ContextRef node) : node_(std::move(node)) {}
  // stop returns true iff it kept the function from being started; it does not wait for a started one.
  bool stop() const;

 private:
  ContextRef node_;
};

// after_func starts the task once ctx is done, at once if it is already. Dropping the result does not stop it.
AfterFunc after_func(ContextRef ctx, Task task);

// The same for a C++ function, which runs in a goroutine of its own.
template <class F>
  requires std::is_invocable_v<std::decay_t<F>&>
AfterFunc after_func(ContextRef ctx, F&& fn) {
  using Fn = std::decay_t<F>;
  return after_func(std::move(ctx), Task{[](void* f) {
                                           std::unique_ptr<Fn> own(static_cast<Fn*>(f));
                                           gort::go([own = std::move(own)] { (*own)(); });
                                         },
                                         [](void* f) { delete static_cast<Fn*>(f); }, new Fn(std::forward<F>(fn))});
}

// value_type is the ValueType of a C++ type: compared with ==, shown as Go shows what is no Stringer (by the type's name).
template <class T>
const ValueType& value_type() {
  static_assert(sizeof(T) <= 8);
  static const ValueType type{
      &element_type<T>(),
      [](const void* a, const void* b) { return *static_cast<const T*>(a) == *static_cast<const T*>(b); },
      [](const void* e) -> std::string {
        if constexpr (std::is_convertible_v<const T&, std::string>) return *static_cast<const T*>(e);
        return element_type<T>().name;
      },
  };
  return type;
}

template <class T>
Value Value::of(T value) {
  alignas(T) unsigned char bytes[sizeof(T)];
  new (bytes) T(std::move(value));
  return Value(value_type<T>(), bytes);
}
template <class T>
const T* Value::as() const {
  return box_ && box_->type == &value_type<T>() ? reinterpret_cast<const T*>(&box_->bits) : nullptr;
}

}  // namespace context
}  // namespace gort
