// Operations (await_object.h) of channels, and sleep. That of select is in select.cpp.
#include "arguments.h"
#include "await_object.h"
#include "awaitables.h"
#include "chan_object.h"
#include "errors.h"
#include "gort/sched/goroutine.h"
#include "python_lane.h"

namespace gort::python {
namespace {

Outcome park_stackless_without_queue(const ParkOptions& options) {
  begin_wait(this_machine()->current);
  return park_stackless(nullptr, nullptr, options);
}

class ChanOperation : public Operation {
 public:
  explicit ChanOperation(ChanObject* ch) : ch_(reinterpret_cast<ChanObject*>(Py_NewRef(reinterpret_cast<PyObject*>(ch)))) {}
  ~ChanOperation() override {
    if (owns_) drop_element(ch_, element_);
    Py_DECREF(ch_);
  }

  // While it waits a partner may have moved the element already.
  int traverse(visitproc visit, void* arg) override {
    Py_VISIT(ch_);
    if (owns_ && !waiter_.ok && ch_->kind <= Kind::Bytes) Py_VISIT(element_.object);
    return 0;
  }

 protected:
  ChanObject* const ch_;
  Element element_{0};
  Waiter waiter_;
  Failure failure_;
  bool owns_ = false;   // what is in element_ (chan_object.h)
  bool ok_ = false;
  Outcome outcome_ = Outcome::Fired;
};

class Send final : public ChanOperation {
 public:
  // Takes the element over.
  Send(ChanObject* ch, const Element& element) : ChanOperation(ch) {
    element_ = element;
    owns_ = true;
  }
  const char* name() const override { return "asend"; }

  bool attempt() override {
    if (!ch_->channel) return false;
    try {
      bool sent = ch_->channel->try_send(place_in_core(ch_, element_));
      if (sent) over(Outcome::Fired);
      return sent;
    } catch (...) {
      failure_.keep();
      return true;
    }
  }
  void wait() override {
    try {
      over(ch_->channel ? ch_->channel->send(place_in_core(ch_, element_)) : nil_send());
    } catch (...) {
      failure_.keep();
    }
  }
  void wait_stackless() override {
    try {
      over(ch_->channel ? ch_->channel->send_stackless(place_in_core(ch_, element_), waiter_)
                        : park_stackless_without_queue({.reason = WaitReason::ChanSendNil}));
    } catch (...) {
      failure_.keep();
    }
  }
  void ended(Outcome outcome) override {
    try {
      over(ch_->channel ? ch_->channel->send_ended(waiter_, outcome) : outcome);
    } catch (...) {
      failure_.keep();
    }
  }
  PyObject* result() override {
    if (failure_.raise()) return nullptr;
    if (outcome_ != Outcome::Fired) return raise_outcome(outcome_);
    after_wait();
    Py_RETURN_NONE;
  }

 private:
  void over(Outcome outcome) {
    outcome_ = outcome;
    if (outcome != Outcome::Fired) return;
    owns_ = false;
    sent_element(ch_, element_);
  }
};

class Recv final : public ChanOperation {
 public:
  Recv(ChanObject* ch, bool iterates) : ChanOperation(ch), iterates_(iterates) {}
  const char* name() const override { return iterates_ ? "__anext__" : "arecv"; }

  bool attempt() override {
    if (!make_room()) return true;
    if (!ch_->channel) return false;
    TryReceived got;
    if (ch_->timer) {
      TimerChannel::Receiving receiving(*ch_->timer);
      got = ch_->channel->try_recv(&element_);
    } else {
      got = ch_->channel->try_recv(place_in_core(ch_, element_));
    }
    if (got == TryReceived::WouldBlock) return false;
    over({Outcome::Fired, got == TryReceived::Value});
    return true;
  }
  void wait() override {
    if (!ch_->channel) return over({nil_recv(), false});
    if (!ch_->timer) return over(ch_->channel->recv(place_in_core(ch_, element_)));
    TimerChannel::Receiving receiving(*ch_->timer);
    over(ch_->channel->recv(&element_));
  }
  void wait_stackless() override {
    if (!ch_->channel) return over({park_stackless_without_queue({.reason = WaitReason::ChanReceiveNil}), false});
    if (ch_->timer) ch_->timer->enter();
    Received received = ch_->channel->recv_stackless(place_in_core(ch_, element_), waiter_);
    if (ch_->timer) ch_->timer->exit();
    over(received);
  }
  void ended(Outcome outcome) override {
    if (!ch_->channel) return over({outcome, false});
    Received received = ch_->channel->recv_ended(waiter_, outcome);
    if (ch_->timer) ch_->timer->exit();
    over(received);
  }
  PyObject* result() override {
    if (failure_.raise()) return nullptr;
    if (outcome_ != Outcome::Fired) return raise_outcome(outcome_);
    after_wait();
    if (ok_) {
      owns_ = false;
      return from_element(ch_, element_);
    }
    if (!iterates_) return zero_value(ch_);
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return nullptr;
  }

 private:
  // For fixed bytes. False: the failure is kept.
  bool make_room() {
    if (owns_) return true;
    if (!room_for(ch_, &element_)) {
      failure_.keep_raised();
      return false;
    }
    owns_ = ch_->kind == Kind::Bytes;
    return true;
  }
  void over(Received received) {
    outcome_ = received.outcome;
    ok_ = received.ok;
    if (ok_) owns_ = true;
  }

  const bool iterates_;
};

class Sleep final : public Operation {
 public:
  explicit Sleep(Nanos deadline) : deadline_(deadline) {}
  const char* name() const override { return "sleep"; }
  bool attempt() override { return false; }
  void wait() override { outcome_ = sleep_until(deadline_); }
  void wait_stackless() override { outcome_ = park_stackless_without_queue({.reason = WaitReason::Sleep, .deadline = deadline_}); }
  void ended(Outcome outcome) override { outcome_ = outcome; }
  PyObject* result() override {
    if (outcome_ != Outcome::TimedOut) return raise_outcome(outcome_);
    after_wait();
    Py_RETURN_NONE;
  }
  int traverse(visitproc, void*) override { return 0; }

 private:
  const Nanos deadline_;
  Outcome outcome_ = Outcome::TimedOut;
};

}  // namespace

PyObject* await_send(PyObject* chan, PyObject* value) {
  ChanObject* ch = as_chan(chan);
  Element element;
  if (!to_element("asend", ch, value, &element)) return nullptr;
  PyObject* await = new_await<Send>(ch, element);
  if (!await) drop_element(ch, element);
  return await;
}

PyObject* await_recv(PyObject* chan, bool iterates) { return new_await<Recv>(as_chan(chan), iterates); }

PyObject* await_sleep(PyObject*, PyObject* seconds) {
  Nanos nanos;
  if (!seconds_to_nanos("sleep", "s", seconds, &nanos)) return nullptr;
  return new_await<Sleep>(deadline_after(nanos));
}

}  // namespace gort::python
