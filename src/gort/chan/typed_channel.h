// Chan<T>: a channel of C++ values, for native goroutines.
//
//   gort::Chan<int> ch(3);
//   gort::go([=] { for (int i = 0; i < 10; i++) ch.send(i); ch.close(); });
//   for (int v : ch) use(v);
//
// A Chan is a reference: copies mean the same channel; capture it by value. A default-made Chan is nil: it blocks for ever
// both ways. T is moved by copying bytes (TriviallyRelocatable, types/element_type.h).
//
// Thread safety: as Channel.
// Errors: Panic as in Go; a wait that the runtime ends (end of the run, Ctrl-C, deadlock) throws what throw_outcome says, with
// nothing sent and nothing taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "gort/chan/channel.h"
#include "gort/chan/select.h"
#include "gort/sched/world.h"

namespace gort {

namespace detail {

// A value on its way out: its bytes belong to the channel once it was sent, and are destroyed here otherwise.
template <class T>
class Outgoing {
 public:
  explicit Outgoing(T&& value) { new (storage_) T(std::move(value)); }
  ~Outgoing() {
    if (!gone_) std::launder(reinterpret_cast<T*>(storage_))->~T();
  }
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  void* bytes() { return storage_; }
  Outcome settle(Outcome outcome) {
    gone_ = outcome == Outcome::Fired;
    return outcome;
  }

 private:
  alignas(T) unsigned char storage_[sizeof(T)];
  bool gone_ = false;
};

// Room for a value on its way in; only take makes it an object. REQUIRES for take: a value was received.
template <class T>
class Incoming {
 public:
  void* bytes() { return storage_; }
  T take() {
    struct Guard {
      T* object;
      ~Guard() { object->~T(); }
    } guard{std::launder(reinterpret_cast<T*>(storage_))};
    return std::move(*guard.object);
  }

 private:
  alignas(T) unsigned char storage_[sizeof(T)];
};

}  // namespace detail

template <class T>
class Chan {
 public:
  Chan() = default;  // nil
  explicit Chan(int64_t capacity) : channel_(Channel::make(element_type<T>(), capacity)) {}
  explicit Chan(ChannelRef channel) : channel_(std::move(channel)) {}  // REQUIRES: its type is element_type<T>()

  void send(T value) const {
    if (!send_until(std::move(value), kForever)) __builtin_unreachable();
  }
  // send_until returns false if the deadline passed with nothing sent; value is lost then, keep a copy if it matters.
  [[nodiscard]] bool send_until(T value, Nanos deadline) const {
    Outgoing out(std::move(value));
    return settled(out.settle(channel_ ? channel_->send(out.bytes(), deadline) : nil_send(deadline)));
  }

  // recv returns the next value, or T{} once the channel is closed and drained.
  T recv() const {
    Incoming in;
    Received r = receive(in, kForever);
    settled(r.outcome);
    return r.ok ? in.take() : T{};
  }
  // recv_ok returns nothing once the channel is closed and drained.
  std::optional<T> recv_ok() const {
    Incoming in;
    Received r = receive(in, kForever);
    settled(r.outcome);
    if (!r.ok) return std::nullopt;
    return in.take();
  }
  // recv_until returns false if the deadline passed; else *value as from recv_ok.
  [[nodiscard]] bool recv_until(std::optional<T>* value, Nanos deadline) const {
    Incoming in;
    Received r = receive(in, deadline);
    if (!settled(r.outcome)) return false;
    value->reset();
    if (r.ok) value->emplace(in.take());
    return true;
  }

  [[nodiscard]] bool try_send(T value) const {
    world::safe_point();   // who tries in a loop ends its slice too
    Outgoing out(std::move(value));
    bool sent = channel_ && channel_->try_send(out.bytes());
    out.settle(sent ? Outcome::Fired : Outcome::TimedOut);
    return sent;
  }
  // try_recv: Value puts the value into *value, Closed leaves nothing there, WouldBlock does not touch it.
  [[nodiscard]] TryReceived try_recv(std::optional<T>* value) const {
    world::safe_point();
    if (!channel_) return TryReceived::WouldBlock;
    Incoming in;
    TryReceived r = channel_->try_recv(in.bytes());
    if (r != TryReceived::WouldBlock) value->reset();
    if (r == TryReceived::Value) value->emplace(in.take());
    return r;
  }

  void close() const {
    if (!channel_) close_nil();
    channel_->close();
  }
  int64_t len() const { return channel_ ? channel_->length() : 0; }
  int64_t cap() const { return channel_ ? channel_->capacity() : 0; }
  Channel::Stats stats() const { return channel_ ? channel_->stats() : Channel::Stats{}; }
  const ChannelRef& ref() const { return channel_; }
  explicit operator bool() const { return bool(channel_); }  // false: nil
  bool operator==(const Chan&) const = default;

  // Iteration receives until the channel is closed and drained.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = ptrdiff_t;
    explicit Iterator(const Chan* from) : from_(from) { ++*this; }
    T& operator*() { return *value_; }
    Iterator& operator++() {
      value_ = from_->recv_ok();
      return *this;
    }
    bool operator==(std::default_sentinel_t) const { return !value_.has_value(); }

   private:
    const Chan* from_;
    std::optional<T> value_;
  };
  Iterator begin() const { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  using Outgoing = detail::Outgoing<T>;
  using Incoming = detail::Incoming<T>;

  Received receive(Incoming& in, Nanos deadline) const {
    if (!channel_) return {nil_recv(deadline), false};
    return channel_->recv(in.bytes(), deadline);
  }
  // True: done. False: timed out. Throws for the rest.
  static bool settled(Outcome outcome) {
    if (outcome == Outcome::Fired) [[likely]] return true;
    if (outcome == Outcome::TimedOut) return false;
    throw_outcome(outcome);
  }

  ChannelRef channel_;
};

template <class T>
struct TriviallyRelocatable<Chan<T>> : std::true_type {};

}  // namespace gort
