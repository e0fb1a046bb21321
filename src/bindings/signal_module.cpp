#include "signal_module.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "chan_object.h"
#include "dump.h"
#include "errors.h"
#include "gort/base/errors.h"
#include "gort/signal/signals.h"
#include "raw_type.h"
#include "run.h"
#include "spare.h"
#include "without_gil.h"

namespace gort::python {
namespace {

using signals::Set;

struct Registration {
  PyObject* chan;      // owned
  Set set;
  RunGroup* group;     // of the run that asked; null: ambient. Compared only
};

// Guarded by the GIL, or by Exclusive where there is none; so is what calls signals::take and the like (signals.h).
std::vector<Registration> table;
Set dumps = 0;         // print every goroutine
Set fatal = 0;         // ... and end the process
PyObject* values[signals::kMost + 1];   // what is sent for each signal; null: nobody has wanted it yet. Kept for ever

struct Deliverer {
  SpinLock lock{LockRank::Timers};
  G* spare = nullptr;   // guarded by lock; the next deliverer
} deliverer;

template <class F>
void for_each_signal(Set set, F f) {
  for (int number = 1; set; number++, set >>= 1) {
    if (set & 1) f(number);
  }
}

// signal.Signals, or an int for one without a name there. New reference.
PyObject* member_of(int number) {
  PyObject* module = PyImport_ImportModule("signal");
  PyObject* member = module ? PyObject_CallMethod(module, "Signals", "i", number) : nullptr;
  Py_XDECREF(module);
  if (member || !PyErr_ExceptionMatches(PyExc_ValueError)) return member;
  PyErr_Clear();
  return PyLong_FromLong(number);
}

// Python's own handler of SIGINT and a run's raise KeyboardInterrupt; who takes the signal does not want that.
bool raises_interrupt() {
  PyObject* module = PyImport_ImportModule("signal");
  PyObject* ours = PyImport_ImportModule("gort._gort");
  PyObject* present = module ? PyObject_CallMethod(module, "getsignal", "i", SIGINT) : nullptr;
  bool raises = false;
  for (auto [owner, name] : {std::pair{module, "default_int_handler"}, std::pair{ours, "_on_sigint"}}) {
    PyObject* handler = owner && present ? PyObject_GetAttrString(owner, name) : nullptr;
    raises = raises || (handler && handler == present);
    Py_XDECREF(handler);
  }
  if (PyErr_Occurred()) PyErr_Clear();
  for (PyObject* object : {module, ours, present}) Py_XDECREF(object);
  return raises;
}

Set wanted() {
  Set set = dumps;
  for (const Registration& r : table) set |= r.set;
  return set;
}

// While one exists the table may change, and nobody else's code runs; at its end what nobody wants any more is given back, and then what left the
// table is given up.
class Change {
 public:
  Change() = default;
  ~Change() {
    Set now = wanted();
    for_each_signal(before_ & ~now, signals::give_back);
    G* spare = nullptr;
    if (!now) {
      deliverer.lock.lock();
      spare = std::exchange(deliverer.spare, nullptr);
      deliverer.lock.unlock();
    }
    hold_.reset();
    discard_spare(spare);
    for (PyObject* chan : gone_) Py_DECREF(chan);
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

  template <class Condition>
  void remove_if(Condition condition) {
    std::erase_if(table, [&](Registration& r) {
      if (!condition(r)) return false;
      gone_.push_back(r.chan);
      return true;
    });
  }
  void keep(Set set) { before_ &= ~set; }   // these stay as they are now

 private:
  std::optional<Exclusive> hold_{std::in_place};
  Set before_ = wanted();
  std::vector<PyObject*> gone_;
};

// --- delivery

std::string name_of(int number) {
  PyObject* member = member_of(number);
  PyObject* name = member ? PyObject_GetAttrString(member, "name") : nullptr;
  const char* utf8 = name ? PyUnicode_AsUTF8(name) : nullptr;
  std::string text = utf8 ? utf8 : "signal " + std::to_string(number);
  if (PyErr_Occurred()) PyErr_Clear();
  Py_XDECREF(name);
  Py_XDECREF(member);
  return text;
}

void write_dump(int number) {
  std::string text = name_of(number) + ": ";
  size_t description = text.size();
  text += std::string(strsignal(number)) + "\n\n";
  text[description] = char(std::tolower(text[description]));
  PyObject* goroutines = dump_goroutines();
  if (const char* utf8 = goroutines ? PyUnicode_AsUTF8(goroutines) : nullptr) text += utf8;
  if (PyErr_Occurred()) PyErr_WriteUnraisable(nullptr);
  Py_XDECREF(goroutines);
  for (size_t done = 0; done < text.size();) {
    ssize_t n = write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n <= 0) break;
    done += size_t(n);
  }
  Exclusive hold;
  if (fatal & signals::bit(number)) _exit(2);
}

void remove(Channel* channel) {
  Change change;
  change.remove_if([&](const Registration& r) { return as_chan(r.chan)->channel == channel; });
}

// Makes what is sent for the signals of the set: delivering runs no code of Python's. False with an exception set.
bool make_values(Set set) {
  bool made = true;
  for_each_signal(set, [&](int number) {
    std::atomic_ref place(values[number]);
    if (!made || place.load(std::memory_order_acquire)) return;
    PyObject* value = member_of(number);
    PyObject* others = nullptr;
    if (!value) made = false;
    else if (!place.compare_exchange_strong(others, value)) Py_DECREF(value);
  });
  return made;
}

// Sends without waiting; a channel that has no room does not get it. False: it is closed.
bool send(ChanObject* ch, int number) {
  Element element;
  if (!to_element("try_send", ch, values[number], &element)) return PyErr_Clear(), true;   // does not happen: each of them fits
  bool sent = false, closed = false;
  try {
    sent = ch->channel->try_send(&element);
  } catch (const Panic&) {
    closed = true;
  }
  if (!sent) drop_element(ch, element);   // values has it too
  return !closed;
}

// What has come is taken and sent in one go, so that nothing is on its way any more when somebody else has the table.
// A channel that takes no signals any more (it is closed) is not offered any again.
void deliver_pending() {
  Set to_dump;
  std::vector<PyObject*> closed;
  {
    Exclusive hold;
    Set set = signals::take_pending();
    to_dump = set & dumps;
    for_each_signal(set, [&](int number) {
      for (const Registration& r : table) {
        if ((r.set & signals::bit(number)) && !send(as_chan(r.chan), number)) closed.push_back(Py_NewRef(r.chan));
      }
    });
  }
  for_each_signal(to_dump, write_dump);
  for (PyObject* chan : closed) {
    PyErr_SetString(errors::PanicError, "send on closed channel");
    PyErr_WriteUnraisable(chan);
    remove(as_chan(chan)->channel);
    Py_DECREF(chan);
  }
}

void deliverer_main(G* g) {
  G* next = new_spare(deliverer_main);
  if (!next) PyErr_WriteUnraisable(nullptr);
  for (bool more = true; more;) {
    deliver_pending();
    Exclusive hold;
    deliverer.lock.lock();
    more = signals::any_pending();   // what comes from now on finds the spare
    if (!more && wanted() && !deliverer.spare) deliverer.spare = std::exchange(next, nullptr);
    deliverer.lock.unlock();
  }
  discard_spare(next);
  end_spare(g);
}

// The forwarder's: no GIL.
void on_arrival() {
  deliverer.lock.lock();
  G* spare = std::exchange(deliverer.spare, nullptr);
  deliverer.lock.unlock();
  if (spare) lane().start(spare);
}

bool has_spare() {
  deliverer.lock.lock();
  bool has = deliverer.spare != nullptr;
  deliverer.lock.unlock();
  return has;
}

// Catches the signals of the set, all or none, and calls note, which says who wants them. False with an exception set. After the last look for
// a spare no Python code runs: it could let others withdraw all that was wanted, and the spare with it.
template <class Note>
bool take(Set set, bool pass_on_all, Note note) {
  bool interrupt = pass_on_all || !(set & signals::bit(SIGINT)) || !raises_interrupt();
  std::string failure;
  for (bool done = false; !done;) {
    G* spare = nullptr;
    if (!has_spare() && !(spare = new_spare(deliverer_main))) return false;
    {
      Change change;
      deliverer.lock.lock();
      if (!deliverer.spare) deliverer.spare = std::exchange(spare, nullptr);
      done = deliverer.spare != nullptr;
      deliverer.lock.unlock();
      try {
        if (done) for_each_signal(set, [&](int number) { signals::take(number, number != SIGINT || interrupt); });
        if (done) note();
      } catch (const std::system_error& error) {   // it comes with the first one or not at all
        failure = error.what();
      }
    }
    discard_spare(spare);
  }
  if (failure.empty()) return true;
  PyErr_SetString(PyExc_OSError, failure.c_str());
  return false;
}

// --- the functions of gort.signal; that checks arguments

bool read_set(PyObject* number, Set* set) {
  *set = PyLong_AsUnsignedLongLong(number);
  return !PyErr_Occurred();
}

bool receives_signals(PyObject* chan) {
  if (!is_chan(chan) || as_chan(chan)->no_send) return false;
  Kind kind = as_chan(chan)->kind;
  return kind != Kind::Bool && kind != Kind::Event && kind != Kind::Bytes;
}

// notify(ch, set)
PyObject* notify(PyObject*, PyObject* const* args, Py_ssize_t) {
  PyObject* chan = args[0];
  Set set;
  if (!receives_signals(chan)) return errors::bad_type("notify", "ch", "a channel that ints can be sent to", chan);
  if (!as_chan(chan)->channel) {
    PyErr_SetString(errors::PanicError, "os/signal: Notify using nil channel");
    return nullptr;
  }
  if (!read_set(args[1], &set) || !machine()) return nullptr;
  RunGroup* group = self()->group;
  if (is_closed()) {
    PyErr_SetString(PyExc_RuntimeError, "notify: the interpreter is shutting down");
    return nullptr;
  }
  if (!make_values(set)) return nullptr;
  bool taken = take(set, false, [&] {
    for (Registration& r : table) {
      if (as_chan(r.chan)->channel != as_chan(chan)->channel) continue;
      r.set |= set;
      return;
    }
    table.push_back({Py_NewRef(chan), set, group});
  });
  if (!taken) return nullptr;
  Py_RETURN_NONE;
}

// stop(ch): what came before it is delivered; nothing afterwards.
PyObject* stop(PyObject*, PyObject* chan) {
  if (!is_chan(chan)) return errors::bad_type("stop", "ch", "a channel", chan);
  if (!machine()) return nullptr;
  deliver_pending();
  remove(as_chan(chan)->channel);
  Py_RETURN_NONE;
}

// Nobody wants the signals of the set any more; then afterwards(number) for each, before anybody can want them again.
void withdraw(Set set, void (*afterwards)(int number)) {
  deliver_pending();
  Change change;
  dumps &= ~set;
  for (Registration& r : table) r.set &= ~set;
  change.remove_if([](const Registration& r) { return r.set == 0; });
  for_each_signal(set, afterwards);
  change.keep(set);
}

// ignore(set)
PyObject* ignore(PyObject*, PyObject* number) {
  Set set;
  if (!read_set(number, &set) || !machine()) return nullptr;
  withdraw(set, signals::ignore);
  Py_RETURN_NONE;
}

// reset(set)
PyObject* reset(PyObject*, PyObject* number) {
  Set set;
  if (!read_set(number, &set) || !machine()) return nullptr;
  withdraw(set, signals::give_back);
  Py_RETURN_NONE;
}

// dump_on(set, fatal)
PyObject* dump_on(PyObject*, PyObject* const* args, Py_ssize_t) {
  Set set;
  if (!read_set(args[0], &set) || !machine()) return nullptr;
  int ends = PyObject_IsTrue(args[1]);
  if (ends < 0) return nullptr;
  bool taken = take(set, true, [&] {
    dumps |= set;
    fatal = ends ? fatal | set : fatal & ~set;
  });
  if (!taken) return nullptr;
  Py_RETURN_NONE;
}

PyObject* can_be_taken(PyObject*, PyObject* number) {
  int overflow;
  long value = PyLong_AsLongAndOverflow(number, &overflow);
  return PyBool_FromLong(!overflow && value == int(value) && signals::can_be_taken(int(value)));
}

PyMethodDef methods[] = {
    {"_signal_notify", raw(notify), METH_FASTCALL, nullptr},
    {"_signal_stop", stop, METH_O, nullptr},
    {"_signal_ignore", ignore, METH_O, nullptr},
    {"_signal_reset", reset, METH_O, nullptr},
    {"_signal_dump_on", raw(dump_on), METH_FASTCALL, nullptr},
    {"_signal_can_be_taken", can_be_taken, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool add_signal_functions(PyObject* module) {
  signals::set_sink(on_arrival);
  return PyModule_AddFunctions(module, methods) == 0;
}

void end_signals(RunGroup* group) {
  Change change;
  if (!group) dumps = 0;
  change.remove_if([&](const Registration& r) { return !group || r.group == group; });
}

void forget_signals() {
  new (&deliverer) Deliverer;   // its spare stayed with the parent
  signals::after_fork_in_child();
  dumps = 0;
  std::vector<Registration> old = std::exchange(table, {});
  for (const Registration& r : old) Py_DECREF(r.chan);
}

}  // namespace gort::python
