#include "gort/sched/defer.h"

#include "gort/base/errors.h"
#include "gort/sched/goroutine.h"
#include "gort/sched/machine.h"

namespace gort {
namespace {

using detail::EarlierPanic;
using detail::PanicHistory;

bool can_recover(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const GoExit&) {
    return false;
  } catch (const Fatal&) {
    return false;
  } catch (const Interrupted&) {
    return false;
  } catch (...) {
    return true;
  }
}

// What was under way when error was thrown. Nobody else gets it.
std::vector<EarlierPanic> take_history(const std::exception_ptr& error) {
  M* m = this_machine();
  G* g = m ? m->current : nullptr;
  std::unique_ptr<PanicHistory, detail::DropHistory> history = g ? std::move(g->panics) : nullptr;
  if (!history || history->error != error) return {};   // that one was caught by somebody else
  return std::move(history->earlier);
}

void give_history(const std::exception_ptr& error, std::vector<EarlierPanic> earlier) {
  if (G* g = current()) g->panics.reset(new PanicHistory{error, std::move(earlier)});
}

bool is_goexit(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const GoExit&) {
    return true;
  } catch (...) {
    return false;
  }
}

std::string what(const std::exception_ptr& error) {
  std::string text;
  try {
    std::rethrow_exception(error);
  } catch (const Fatal& fatal) {
    text = std::string("fatal error: ") + fatal.what();
  } catch (const std::exception& exception) {
    text = std::string("panic: ") + exception.what();
  } catch (...) {
    text = "panic: a C++ exception that is no std::exception";
  }
  for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) text.insert(at + 1, "\t");
  return text;
}

}  // namespace

std::exception_ptr Defer::recover() {
  if (!panic_ || panic_->recovered || !can_recover(panic_->error)) return nullptr;
  panic_->recovered = true;
  return panic_->error;
}

std::unique_ptr<Defer::Call> Defer::pop() {
  std::unique_ptr<Call> call = std::move(calls_.back());
  calls_.pop_back();
  return call;
}

void Defer::panicked() {
  Panicking panic{std::current_exception(), {}};
  panic.earlier = take_history(panic.error);
  while (!calls_.empty()) {
    panic_ = &panic;
    try {
      pop()->run();
      panic_ = nullptr;
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      panic_ = nullptr;
      std::exception_ptr newer = std::current_exception();
      panic.earlier.push_back({std::exchange(panic.error, newer), std::exchange(panic.recovered, false)});
      for (EarlierPanic& between : take_history(newer)) panic.earlier.push_back(std::move(between));
    }
    if (!panic.recovered) continue;
    // The latest before it that cannot be recovered, such as a Goexit, goes on.
    do {
      if (panic.earlier.empty()) return;
      panic.error = std::move(panic.earlier.back().error);
      panic.earlier.pop_back();
    } while (can_recover(panic.error));
    panic.recovered = false;
  }
  if (!panic.earlier.empty()) give_history(panic.error, std::move(panic.earlier));
  std::rethrow_exception(panic.error);
}

void Defer::returned() {
  while (!calls_.empty()) {
    try {
      pop()->run();
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      panicked();
    }
  }
}

namespace detail {

void DropHistory::operator()(PanicHistory* history) const { delete history; }

std::optional<std::string> panic_text() {
  std::exception_ptr error = std::current_exception();
  try {
    std::rethrow_exception(error);
  } catch (const Fatal&) {
    return what(error);
  } catch (const std::exception&) {
  } catch (...) {
    return std::nullopt;
  }
  std::vector<EarlierPanic> panics = take_history(error);
  panics.push_back({error, false});
  std::string text;
  bool thrown_again = false;   // the one before was: this is the same
  for (size_t i = 0; i < panics.size(); i++) {
    bool same_again = i + 1 < panics.size() && panics[i + 1].error == panics[i].error;
    if (!thrown_again && !is_goexit(panics[i].error)) {
      text += (text.empty() ? "" : "\n\t") + what(panics[i].error);
      if (panics[i].recovered) text += same_again ? " [recovered, repanicked]" : " [recovered]";
    }
    thrown_again = same_again;
  }
  return text;
}

}  // namespace detail

}  // namespace gort
