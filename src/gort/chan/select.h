// select waits for the first of several channel operations that can go on, and does that one and no other.
//
//   int64_t in, out = 7;
//   SelectCase cases[] = {{a.get(), SelectCase::Recv, &in}, {b.get(), SelectCase::Send, &out}};
//   Selected s = select(cases, 2, /*has_default=*/false);
//   if (s.index == 0) use(in, s.ok);
//
// Thread safety: any goroutine or thread; the caller holds references to all channels. A channel may appear in several cases
// and in both directions; a select never completes with itself.
//
// Among the cases that are ready one is picked at random, each with the same probability (choice::below). A default, and a
// deadline that has passed, are taken only if at one instant no case was ready: all channels are locked for that look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "gort/base/clock.h"
#include "gort/chan/channel.h"

namespace gort {

class TimerChannel;

struct SelectCase {
  enum Dir : uint8_t { Send, Recv };
  Channel* channel;  // null: a nil channel, never ready
  Dir dir;
  void* element;     // Send: moved out of iff this case is chosen. Recv: moved to; null: dropped
  TimerChannel* timer = nullptr;  // of a Recv: whose channel this is, if it is a timer's
};

struct Selected {
  Outcome outcome;  // Fired: index is the case, or -1 the default
  int index = -1;
  bool ok = false;  // a receive got a value; false for a closed channel and for sends (as reflect.Select)
};

inline constexpr size_t kMaxSelectCases = 65536;

// select: wait reasons "select", "select (no cases)"; with one case that of the plain operation.
// Throws Panic("send on closed channel") if a chosen send meets a closed channel;
// Panic("reflect.Select: too many cases (max 65536)"); std::bad_alloc for more than 8 cases. Nothing is done then.
[[nodiscard]] Selected select(SelectCase* cases, size_t count, bool has_default, Nanos deadline = kForever);

// StacklessSelect: a select without a default, for a caller that leaves its stack if it must wait (park.h, park_stackless). It and the cases are not on that stack,
// and live until the wait is over. run may not return; then the caller begins again in G::entry, and ended gives what run would have. REQUIRES: two cases or
// more, may_leave_stack() in run. Throws as select.
class StacklessSelect {
 public:
  StacklessSelect(SelectCase* cases, size_t count);
  ~StacklessSelect();
  StacklessSelect(const StacklessSelect&) = delete;
  StacklessSelect& operator=(const StacklessSelect&) = delete;

  [[nodiscard]] Selected run(Nanos deadline);
  [[nodiscard]] Selected ended(Outcome outcome);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

namespace detail {
Selected select_any(SelectCase* cases, size_t count, bool has_default, Nanos deadline);

// What Go's compiler makes of a select with one case and a default, too: a try. Not of a timer's channel.
inline Selected select_one_or_default(const SelectCase& c) {
  if (!c.channel) return {Outcome::Fired, -1, false};
  if (c.dir == SelectCase::Send) return {Outcome::Fired, c.channel->try_send(c.element) ? 0 : -1, false};
  TryReceived r = c.channel->try_recv(c.element);
  return {Outcome::Fired, r == TryReceived::WouldBlock ? -1 : 0, r == TryReceived::Value};
}
}  // namespace detail

inline Selected select(SelectCase* cases, size_t count, bool has_default, Nanos deadline) {
  if (count == 1 && has_default && !cases[0].timer) return detail::select_one_or_default(cases[0]);
  return detail::select_any(cases, count, has_default, deadline);
}

}  // namespace gort
