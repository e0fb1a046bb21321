// select over typed channels: the first of several sends and receives that can go on, and no other.
//
//   int64_t x;
//   switch (gort::select(recv(a, &x), send(b, 7), otherwise)) {
//     case 0: use(x); break;     // of the arms, in their order
//     case 1: sent(); break;
//     default: nothing_was_ready();   // -1
//   }
//
// Arms, for a Chan<T>:
//
//   recv(ch, &value)        T: the value, or T{} if the channel is closed and drained
//   recv(ch, &value, &ok)   the same, and bool: whether it was a value
//   recv(ch, &optional)     std::optional<T>: nothing if the channel is closed
//   recv(ch)                the value is dropped; also for a ChannelRef such as Context::done(), of a type without destructor
//   recv(timer, &when)      a TimerChan (chan/timers.h): double
//   recv(timer)
//   send(ch, value)         the value is moved out of iff this arm happens; else it is destroyed with the arm
//   otherwise               the last one: makes select return -1 instead of waiting
//
// A nil channel's arm never happens. Variables of arms that do not happen are not touched. A channel may stand in several arms.
//
// Contract: an arm is made in the call of select and used by it alone. The channels and variables that it names stay as they are until select
// returns: the arm holds no reference of its own.
// Parks unless an arm is ready or there is `otherwise` (wait reasons: select.h). Thread safety: any goroutine or thread.
// Errors: Panic("send on closed channel") if the arm chosen is such a send; a wait that the runtime ends (end of the run, Ctrl-C, deadlock)
// throws what throw_outcome says, with nothing sent and nothing taken.
//
// Rejected: arms with a function each, select(on_recv(a, f), ...): return, break and the variables around a select are what it is used with.
// For a number of arms that is known only at run time there is select(SelectCase*, ...).
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "gort/chan/select.h"
#include "gort/chan/timers.h"
#include "gort/chan/typed_channel.h"
#include "gort/sched/world.h"

namespace gort {

struct Otherwise {};
inline constexpr Otherwise otherwise;

namespace detail {

struct Arm {
  Arm() = default;
  Arm(const Arm&) = delete;   // select keeps the address of what is inside
  Arm& operator=(const Arm&) = delete;
};
template <class A>
concept IsArm = std::derived_from<std::remove_cvref_t<A>, Arm>;

template <class T>
class SendArm : public Arm {
 public:
  SendArm(const Chan<T>& to, T&& value) : channel_(to.ref().get()), out_(std::move(value)) {}
  SelectCase to_case() { return {channel_, SelectCase::Send, out_.bytes()}; }
  void happened(bool) { out_.settle(Outcome::Fired); }

 private:
  Channel* channel_;
  Outgoing<T> out_;
};

// deliver(Incoming<T>& in, bool ok): takes the value out of `in` if ok.
template <class T, class Deliver>
class RecvArm : public Arm {
 public:
  RecvArm(const Chan<T>& from, Deliver deliver) : channel_(from.ref().get()), deliver_(deliver) {}
  SelectCase to_case() { return {channel_, SelectCase::Recv, in_.bytes()}; }
  void happened(bool ok) { deliver_(in_, ok); }

 private:
  Channel* channel_;
  Incoming<T> in_;
  Deliver deliver_;
};

class PlainArm : public Arm {
 public:
  explicit PlainArm(SelectCase one) : case_(one) {}
  SelectCase to_case() { return case_; }
  void happened(bool) {}

 private:
  SelectCase case_;
};

template <size_t... I, class Arms>
int select_arms(std::index_sequence<I...>, Arms arms, bool has_default, Nanos deadline) {
  if constexpr (sizeof...(I) == 0) {
    world::safe_point();   // who asks in a loop ends its slice too
    return -1;
  } else {
    if (has_default) world::safe_point();
    SelectCase cases[] = {std::get<I>(arms).to_case()...};
    Selected selected = select(cases, sizeof...(I), has_default, deadline);
    if (selected.outcome == Outcome::TimedOut) return -1;
    if (selected.outcome != Outcome::Fired) throw_outcome(selected.outcome);
    ((int(I) == selected.index ? std::get<I>(arms).happened(selected.ok) : void()), ...);
    return selected.index;
  }
}

}  // namespace detail

template <class T>
[[nodiscard]] auto send(const Chan<T>& ch, std::type_identity_t<T> value) {
  return detail::SendArm<T>(ch, std::move(value));
}

template <class T>
[[nodiscard]] auto recv(const Chan<T>& ch) {
  auto drop = [](detail::Incoming<T>& in, bool ok) {
    if (ok) in.take();
  };
  return detail::RecvArm<T, decltype(drop)>(ch, drop);
}
template <class T>
[[nodiscard]] auto recv(const Chan<T>& ch, std::type_identity_t<T>* value, bool* ok = nullptr) {
  auto deliver = [value, ok](detail::Incoming<T>& in, bool is_value) {
    if (ok) *ok = is_value;
    *value = is_value ? in.take() : T{};
  };
  return detail::RecvArm<T, decltype(deliver)>(ch, deliver);
}
template <class T>
[[nodiscard]] auto recv(const Chan<T>& ch, std::optional<std::type_identity_t<T>>* value) {
  auto deliver = [value](detail::Incoming<T>& in, bool ok) {
    value->reset();
    if (ok) value->emplace(in.take());
  };
  return detail::RecvArm<T, decltype(deliver)>(ch, deliver);
}
[[nodiscard]] inline auto recv(const ChannelRef& ch) { return detail::PlainArm({ch.get(), SelectCase::Recv, nullptr}); }
[[nodiscard]] inline auto recv(const TimerChan& timer, double* when = nullptr) { return detail::PlainArm(timer.receive(when)); }

// select returns the number of the arm that happened, counted from 0; -1 with `otherwise` if none was ready.
template <detail::IsArm... Arms>
  requires(sizeof...(Arms) > 0)
int select(Arms&&... arms) {
  return detail::select_arms(std::index_sequence_for<Arms...>(), std::tie(arms...), false, kForever);
}
template <class... Arms>
  requires(sizeof...(Arms) > 0 && std::same_as<std::remove_cvref_t<std::tuple_element_t<sizeof...(Arms) - 1, std::tuple<Arms...>>>, Otherwise>)
int select(Arms&&... arms) {
  return detail::select_arms(std::make_index_sequence<sizeof...(Arms) - 1>(), std::tie(arms...), true, kForever);
}

// select_until: the same without `otherwise`; -1 once the deadline has passed with none of them ready.
template <detail::IsArm... Arms>
  requires(sizeof...(Arms) > 0)
[[nodiscard]] int select_until(Nanos deadline, Arms&&... arms) {
  return detail::select_arms(std::index_sequence_for<Arms...>(), std::tie(arms...), false, deadline);
}

}  // namespace gort
