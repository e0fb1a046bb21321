#include "gort/context/context.h"

#include <sched.h>

#include <cstring>

#include "gort/base/cpu.h"
#include "gort/base/errors.h"
#include "gort/base/spin_lock.h"
#include "gort/context/time_text.h"
#include "gort/time/timer.h"

namespace gort {

using context::Err;
using context::Task;
using context::Value;

// CancelContext: a context that can be cancelled, a node of the tree of cancellation.
class CancelContext : public Context {
 public:
  CancelContext(Kind kind, ContextRef parent, Nanos deadline, ContextRef follows = {})
      : Context(kind, std::move(parent), this, deadline), follows_(std::move(follows)) {}

  // Whom it is registered with; null if nobody can cancel it but itself.
  CancelContext* ancestor() const {
    const ContextRef& above = follows_ ? follows_ : parent();
    return above ? above->scope() : nullptr;
  }

  Err err_now() const;
  const Value& cause_now() const { return cause_; }  // REQUIRES: err_now() != None
  ChannelRef done_channel();

  // enter registers the new context with its nearest cancellable ancestor, or cancels it if that is cancelled already.
  void enter();

  // cancel_tree cancels this one and all below, and leaves the tree. Nothing if it is cancelled already.
  void cancel_tree(Err err, const Value& cause);

  // leave cuts the link from the ancestor. True iff there was one.
  bool leave();

  std::vector<ContextRef> registered(const Context* below);

 protected:
  void die() override {
    leave();
    if (Channel* done = done_.load(std::memory_order_relaxed)) done->release();
  }
  // What this kind does when it is cancelled: under lock_, and afterwards under no lock.
  virtual bool cancelled_locked() { return false; }
  virtual void cancelled(bool /*from_locked*/) {}
  // Does the ancestor's list own a reference?
  virtual bool owned_by_list() const { return false; }

  mutable SpinLock lock_{LockRank::Context};
  std::atomic<Err> err_{Err::None};      // set once, under lock_; then cause_ is fixed

 private:
  // The contexts that a cancellation has still to visit, linked through next_; each with a reference.
  struct Pending {
    CancelContext* first = nullptr;
    CancelContext* last = nullptr;
    void push(CancelContext* c) {
      c->next_ = nullptr;
      if (last) last->next_ = c; else first = c;
      last = c;
    }
    CancelContext* pop() {
      CancelContext* c = first;
      if (c && !(first = c->next_)) last = nullptr;
      return c;
    }
  };
  bool cancel_one(Err err, const Value& cause, Pending& pending);

  const ContextRef follows_;
  std::atomic<bool> closed_{false};      // done, if there is one, is closed
  std::atomic<Channel*> done_{nullptr};  // set once, under lock_
  Value cause_;
  CancelContext* children_ = nullptr;    // guarded by lock_

  // Guarded by lock_ of ancestor(); once not linked_ any more, next_ belongs to the cancellation that took this out.
  CancelContext* next_ = nullptr;
  CancelContext* prev_ = nullptr;
  bool linked_ = false;
};

namespace {

class DeadlineContext final : public CancelContext {
 public:
  DeadlineContext(ContextRef parent, Nanos deadline, Value cause, ContextRef follows)
      : CancelContext(Kind::Deadline, std::move(parent), deadline, std::move(follows)), cause_(std::move(cause)) {}

  void arm() {
    if (deadline() <= nanotime()) {
      cancel_tree(Err::DeadlineExceeded, cause_);
      return;
    }
    retain();
    timer_.start(deadline(), &DeadlineContext::fire, this);
    lock_.lock();
    bool too_late = err_.load(std::memory_order_relaxed) != Err::None;  // whoever cancelled it may not have seen the timer
    lock_.unlock();
    if (too_late && timer_.stop()) release();
  }

 private:
  static void fire(void* self, uint64_t) {
    ContextRef own = ContextRef::adopt(static_cast<DeadlineContext*>(self));
    static_cast<DeadlineContext*>(self)->cancel_tree(Err::DeadlineExceeded, static_cast<DeadlineContext*>(self)->cause_);
  }
  bool cancelled_locked() override { return timer_.stop(); }
  void cancelled(bool stopped) override {
    if (stopped) release();  // the timer's
  }

  Timer timer_;        // armed: owns a reference
  const Value cause_;  // of passing the deadline
};

class AfterFuncContext final : public CancelContext {
 public:
  AfterFuncContext(ContextRef parent, Task task)
      : CancelContext(Kind::AfterFunc, std::move(parent), kForever), task_(task) {}

  bool stop() {
    if (!take()) return false;
    if (leave()) release();
    task_.drop(task_.argument);
    return true;
  }

 private:
  bool take() { return !taken_.exchange(true, std::memory_order_acq_rel); }
  void cancelled(bool) override {
    if (take()) task_.start(task_.argument);
  }
  bool owned_by_list() const override { return true; }
  void die() override {
    CancelContext::die();
    if (take()) task_.drop(task_.argument);
  }

  const Task task_;
  std::atomic<bool> taken_{false};
};

class ValueContext final : public Context {
 public:
  ValueContext(ContextRef parent, CancelContext* scope, Nanos deadline, Value key, Value value)
      : Context(Kind::Value, std::move(parent), scope, deadline), key_(std::move(key)), value_(std::move(value)) {}

  const Value& key() const { return key_; }
  const Value& value() const { return value_; }

 private:
  const Value key_, value_;
};

class PlainContext final : public Context {
 public:
  PlainContext(Kind kind, ContextRef parent) : Context(kind, std::move(parent), nullptr, kForever) {}
};

class CustomContext final : public Context {
 public:
  CustomContext(Value shown, Nanos deadline) : Context(Kind::Custom, nullptr, nullptr, deadline), shown_(std::move(shown)) {}

  const Value& shown() const { return shown_; }

 private:
  const Value shown_;
};

std::string text_of(const Value& value) { return value ? value.type().text(value.element()) : "<nil>"; }

}  // namespace

// --- Context

ChannelRef Context::done() { return scope_ ? scope_->done_channel() : nullptr; }

Err Context::err() const { return scope_ ? scope_->err_now() : Err::None; }

Value Context::cause() const { return err() == Err::None ? Value() : scope_->cause_now(); }

Value Context::value(const Value& key) const {
  for (const Context* c = this; c; c = c->parent_.get()) {
    if (c->kind_ != Kind::Value) continue;
    const auto* v = static_cast<const ValueContext*>(c);
    if (&v->key().type() == &key.type() && key.type().equal(v->key().element(), key.element())) return v->value();
  }
  return {};
}

void Context::cancel(Value cause, Err err) {
  if (kind_ == Kind::Cancel || kind_ == Kind::Deadline) scope_->cancel_tree(err, cause);
}

std::string Context::to_string() const {
  std::vector<const Context*> chain;
  for (const Context* c = this; c; c = c->parent_.get()) chain.push_back(c);
  std::string text;
  for (size_t i = chain.size(); i-- > 0;) {
    const Context* c = chain[i];
    switch (c->kind_) {
      case Kind::Background: text += "context.Background"; break;
      case Kind::Todo: text += "context.TODO"; break;
      case Kind::Cancel: text += ".WithCancel"; break;
      case Kind::Deadline:
        text += ".WithDeadline(" + context::time_text(c->deadline_) + " [" + context::duration_text(c->deadline_ - nanotime()) + "])";
        break;
      case Kind::Value: {
        const auto* v = static_cast<const ValueContext*>(c);
        text += ".WithValue(" + text_of(v->key()) + ", " + text_of(v->value()) + ")";
        break;
      }
      case Kind::WithoutCancel: text += ".WithoutCancel"; break;
      case Kind::AfterFunc: text += ".AfterFunc"; break;
      case Kind::Custom: text += text_of(static_cast<const CustomContext*>(c)->shown()); break;
    }
  }
  return text;
}

std::vector<ContextRef> Context::children() const {
  return scope_ ? scope_->registered(this) : std::vector<ContextRef>();
}

bool Context::retain_if_alive() {
  uint32_t references = references_.load(std::memory_order_relaxed);
  while (references > 0) {
    if (references_.compare_exchange_weak(references, references + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

// Not recursive: chains of contexts may be longer than a goroutine's stack is deep.
void Context::release() {
  Context* c = this;
  while (c && c->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    c->die();
    Context* parent = c->parent_.detach();
    delete c;
    c = parent;
  }
}

// --- CancelContext

Err CancelContext::err_now() const {
  Err err = err_.load(std::memory_order_acquire);
  if (err == Err::None) return err;
  for (int tries = 0; !closed_.load(std::memory_order_acquire); tries++) {  // the canceller is about to close done
    if (tries < 40) cpu_relax(); else sched_yield();
  }
  return err;
}

ChannelRef CancelContext::done_channel() {
  if (Channel* done = done_.load(std::memory_order_acquire)) return ChannelRef::share(done);
  ChannelRef fresh = Channel::make(element_type<Empty>(), 0);
  lock_.lock();
  Channel* done = done_.load(std::memory_order_relaxed);
  if (!done) {
    if (err_.load(std::memory_order_relaxed) != Err::None) fresh->close();
    done = fresh.detach();
    done_.store(done, std::memory_order_release);
  }
  lock_.unlock();
  return ChannelRef::share(done);
}

void CancelContext::enter() {
  CancelContext* ancestor = this->ancestor();
  if (!ancestor) return;
  ancestor->lock_.lock();
  Err err = ancestor->err_.load(std::memory_order_relaxed);
  if (err == Err::None) {
    if (owned_by_list()) retain();
    prev_ = nullptr;
    next_ = ancestor->children_;
    if (next_) next_->prev_ = this;
    ancestor->children_ = this;
    linked_ = true;
  }
  ancestor->lock_.unlock();
  if (err != Err::None) cancel_tree(err, ancestor->cause_);
}

bool CancelContext::leave() {
  CancelContext* ancestor = this->ancestor();
  if (!ancestor) return false;
  ancestor->lock_.lock();
  bool linked = linked_;
  if (linked) {
    if (prev_) prev_->next_ = next_; else ancestor->children_ = next_;
    if (next_) next_->prev_ = prev_;
    linked_ = false;
  }
  ancestor->lock_.unlock();
  return linked;
}

void CancelContext::cancel_tree(Err err, const Value& cause) {
  Pending pending;
  if (!cancel_one(err, cause, pending)) return;
  while (CancelContext* c = pending.pop()) {
    c->cancel_one(err, cause, pending);
    c->release();
  }
  if (leave() && owned_by_list()) release();
}

bool CancelContext::cancel_one(Err err, const Value& cause, Pending& pending) {
  lock_.lock();
  if (err_.load(std::memory_order_relaxed) != Err::None) {
    lock_.unlock();
    return false;
  }
  cause_ = cause;
  err_.store(err, std::memory_order_release);
  Channel* done = done_.load(std::memory_order_relaxed);
  CancelContext* child = std::exchange(children_, nullptr);
  while (child) {
    CancelContext* next = child->next_;
    child->linked_ = false;
    // One that is being destroyed this moment waits in leave() for our lock.
    if (child->owned_by_list() || child->retain_if_alive()) pending.push(child);
    child = next;
  }
  bool from_locked = cancelled_locked();
  lock_.unlock();
  if (done) done->close();
  closed_.store(true, std::memory_order_release);
  cancelled(from_locked);
  return true;
}

std::vector<ContextRef> CancelContext::registered(const Context* below) {
  std::vector<ContextRef> found;
  lock_.lock();
  for (CancelContext* child = children_; child; child = child->next_) {
    if (child->retain_if_alive()) found.push_back(ContextRef::adopt(child));
  }
  lock_.unlock();
  std::erase_if(found, [&](const ContextRef& child) {
    const ContextRef& follows = static_cast<CancelContext*>(child.get())->follows_;
    const Context* c = follows ? follows.get() : child->parent().get();
    while (c && c != below && c != this) c = c->parent().get();
    return c != below;
  });
  return found;
}

// --- making them

namespace context {

const char* err_text(Err err) {
  switch (err) {
    case Err::Canceled: return "context canceled";
    case Err::DeadlineExceeded: return "context deadline exceeded";
    default: return "";
  }
}

Value::Value(const ValueType& type, const void* element) : box_(std::make_shared<Box>(&type)) {
  std::memcpy(&box_->bits, element, type.element->size);
}

namespace {
void require(const ContextRef& parent) {
  if (!parent) throw Panic("cannot create context from nil parent");
}
}  // namespace

const ContextRef& background() {
  static const ContextRef& root = *new ContextRef(ContextRef::adopt(new PlainContext(Context::Kind::Background, nullptr)));
  return root;
}

const ContextRef& todo() {
  static const ContextRef& root = *new ContextRef(ContextRef::adopt(new PlainContext(Context::Kind::Todo, nullptr)));
  return root;
}

ContextRef with_cancel(ContextRef parent, ContextRef follows) {
  require(parent);
  Nanos deadline = parent->deadline();
  auto* c = new CancelContext(Context::Kind::Cancel, std::move(parent), deadline, std::move(follows));
  ContextRef ref = ContextRef::adopt(c);
  c->enter();
  return ref;
}

ContextRef with_deadline(ContextRef parent, Nanos deadline, Value cause, ContextRef follows) {
  require(parent);
  if (parent->deadline() < deadline) return with_cancel(std::move(parent), std::move(follows));
  auto* c = new DeadlineContext(std::move(parent), deadline, std::move(cause), std::move(follows));
  ContextRef ref = ContextRef::adopt(c);
  c->enter();
  c->arm();
  return ref;
}

ContextRef with_value(ContextRef parent, Value key, Value value) {
  require(parent);
  if (!key) throw Panic("nil key");
  CancelContext* scope = parent->scope();
  Nanos deadline = parent->deadline();
  return ContextRef::adopt(new ValueContext(std::move(parent), scope, deadline, std::move(key), std::move(value)));
}

ContextRef without_cancel(ContextRef parent) {
  require(parent);
  return ContextRef::adopt(new PlainContext(Context::Kind::WithoutCancel, std::move(parent)));
}

ContextRef custom(Value shown, Nanos deadline) {
  return ContextRef::adopt(new CustomContext(std::move(shown), deadline));
}

bool AfterFunc::stop() const { return static_cast<AfterFuncContext*>(node_.get())->stop(); }

AfterFunc after_func(ContextRef ctx, Task task) {
  if (!ctx) throw Panic("cannot create context from nil parent");
  auto* c = new AfterFuncContext(std::move(ctx), task);
  ContextRef ref = ContextRef::adopt(c);
  c->enter();
  return AfterFunc(std::move(ref));
}

}  // namespace context
}  // namespace gort
