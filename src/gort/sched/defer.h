// with_defer gives a function Go's defer and recover. Any exception is a panic.
//
//   int lines = gort::with_defer([&](gort::Defer& defer) {
//     int file = ::open(path, O_RDONLY);
//     defer([&] { ::close(file); });              // runs when the function ends, however it does
//     defer([&] {
//       if (std::exception_ptr error = defer.recover()) report(error);
//     });
//     return count(file);                         // if this throws, with_defer returns int()
//   });
//
// Deferred calls run last in first out when fn has returned, thrown, or been ended by goexit. One that throws does not keep the others from running; its
// exception takes the place of the one before, as a newer panic does in Go. They may park. They live outside of the stack until they have run: what they
// capture of the managed heap by copy must be handles (heap/handle.h), captures by reference are as safe as the variable.
//
// recover() stops the panic: with_defer returns what fn has returned, or R() if it came to no return, after the deferred calls that are left, which see
// no panic. If the panic came over a Goexit, a deferred call having thrown while the goroutine exits, that goes on. It is null when there is nothing to
// recover: outside of a deferred call, a second time, without a panic, and during what cannot be recovered: GoExit, Fatal, Interrupted.
//
// Where Go finds out by frames which panic a recover means, here the Defer says so: recover() of an outer one recovers what is going on there, also from a nested
// with_defer. Who may not recover is not given it.
//
// An uncaught exception is reported by go() with all that were under way, "[recovered]" and "[recovered, repanicked]" (the same exception object thrown again,
// as by std::rethrow_exception) as in Go.
//
// Thread safety: a Defer belongs to the goroutine or thread that runs the function.
// The calls run in a catch block and not in destructors, where another exception would end the process. When CPython ends a thread by a forced unwind
// they do not run, as they might wait for ever.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <cxxabi.h>

namespace gort {

namespace detail {

// A panic that a newer one came over.
struct EarlierPanic {
  std::exception_ptr error;
  bool recovered;
};

// PanicHistory is what was under way when an exception was thrown. It waits at the goroutine (G::panics) while that exception is on its way out of one
// with_defer to whoever catches it: at most one, as one exception at a time is not inside of a with_defer.
struct PanicHistory {
  std::exception_ptr error;
  std::vector<EarlierPanic> earlier;   // oldest first
};

// panic_text is what Go prints of the exception, which is being handled and was caught by nobody else: "panic: first [recovered]\n\tpanic: second".
// Null when it is no std::exception.
std::optional<std::string> panic_text();

}  // namespace detail

class Defer {
 public:
  Defer() = default;
  Defer(const Defer&) = delete;
  Defer& operator=(const Defer&) = delete;

  // Runs call() when the function ends. Throws std::bad_alloc, and then nothing was deferred.
  template <class F>
  void operator()(F&& call) {
    calls_.push_back(std::make_unique<CallOf<std::decay_t<F>>>(std::forward<F>(call)));
  }

  // The exception that is going on in this function, which is over now; null if there is none. See above.
  std::exception_ptr recover();

 private:
  template <class F>
  friend std::invoke_result_t<F, Defer&> with_defer(F&& fn);

  struct Call {
    virtual ~Call() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct CallOf final : Call {
    explicit CallOf(F&& call) : call(std::move(call)) {}
    explicit CallOf(const F& call) : call(call) {}
    void run() override { call(); }
    F call;
  };
  struct Panicking {
    std::exception_ptr error;
    std::vector<detail::EarlierPanic> earlier;
    bool recovered = false;
  };

  std::unique_ptr<Call> pop();
  // Runs the calls in the panic that is being handled. Returns when it has been recovered, throws what goes on otherwise.
  void panicked();
  void returned();   // runs the calls that are left

  std::vector<std::unique_ptr<Call>> calls_;
  Panicking* panic_ = nullptr;   // not null: a deferred call runs in it
};

template <class F>
std::invoke_result_t<F, Defer&> with_defer(F&& fn) {
  using R = std::invoke_result_t<F, Defer&>;
  static_assert(std::is_void_v<R> || std::is_default_constructible_v<R>, "what a recovered function returns is R(): return a value that has one");
  Defer defer;
  if constexpr (std::is_void_v<R>) {
    try {
      std::forward<F>(fn)(defer);
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      defer.panicked();
    }
    defer.returned();
  } else {
    std::optional<R> result;
    try {
      result.emplace(std::forward<F>(fn)(defer));
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      defer.panicked();
    }
    defer.returned();
    return result ? std::move(*result) : R();
  }
}

}  // namespace gort
