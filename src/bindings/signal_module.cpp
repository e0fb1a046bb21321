#include "signal_module.h"

#include <signal.h>
#include <unistd.h>

#include <cctype>
#include <cstring>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "chan_object.h"
#include "dump.h"
#include "errors.h"
#include "gort/signal/signals.h"
#include "raw_type.h"
#include "run.h"
#include "spare.h"

namespace gort::python {
namespace {

using signals::Set;

struct Registration {
  PyObject* chan;      // owned
  Set set;
  RunGroup* group;     // of the run that asked; null: ambient. Compared only
};

// Guarded by the GIL.
std::vector<Registration> table;
Set dumps = 0;         // print every goroutine
Set fatal = 0;         // ... and end the process

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
  if (fatal & signals::bit(number)) _exit(2);
}

void remove(Channel* channel) {
  for (size_t i = 0; i < table.size();) {
    if (as_chan(table[i].chan)->channel != channel) {
      i++;
      continue;
    }
    PyObject* chan = table[i].chan;
    table.erase(table.begin() + ptrdiff_t(i));
    Py_DECREF(chan);
  }
}

// A channel that takes no signals any more (it is closed) is not offered any again.
void send(PyObject* chan, PyObject* value) {
  PyObject* result = value ? PyObject_CallMethod(chan, "try_send", "O", value) : nullptr;
  if (!result) {
    PyErr_WriteUnraisable(chan);
    remove(as_chan(chan)->channel);
  }
  Py_XDECREF(result);
}

void deliver_pending() {
  for_each_signal(signals::take_pending(), [](int number) {
    if (dumps & signals::bit(number)) write_dump(number);
    std::vector<PyObject*> chans;   // a copy: who is sent to may run and change the table
    for (const Registration& r : table) {
      if (r.set & signals::bit(number)) chans.push_back(Py_NewRef(r.chan));
    }
    PyObject* value = chans.empty() ? nullptr : member_of(number);
    for (PyObject* chan : chans) {
      send(chan, value);
      Py_DECREF(chan);
    }
    Py_XDECREF(value);
  });
}

// While one exists the table may change; at its end what nobody wants any more is given back.
class Change {
 public:
  Change() = default;
  ~Change() {
    Set now = wanted();
    for_each_signal(before_ & ~now, signals::give_back);
    if (now) return;
    deliverer.lock.lock();
    G* spare = std::exchange(deliverer.spare, nullptr);
    deliverer.lock.unlock();
    discard_spare(spare);
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

 private:
  Set before_ = wanted();
};

void deliverer_main(G* g) {
  G* next = new_spare(deliverer_main);
  if (!next) PyErr_WriteUnraisable(nullptr);
  for (bool more = true; more;) {
    Change change;
    deliver_pending();
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

// Catches the signals of the set, all or none. False with an exception set. After the last look for a spare no Python code runs: it could let
// others withdraw all that was wanted, and the spare with it. So the caller notes what it wants before it runs any.
bool take(Set set, bool pass_on_all) {
  bool interrupt = pass_on_all || !(set & signals::bit(SIGINT)) || !raises_interrupt();
  while (!has_spare()) {
    G* spare = new_spare(deliverer_main);
    if (!spare) return false;
    deliverer.lock.lock();
    if (!deliverer.spare) deliverer.spare = std::exchange(spare, nullptr);
    deliverer.lock.unlock();
    discard_spare(spare);
  }
  try {
    for_each_signal(set, [&](int number) { signals::take(number, number != SIGINT || interrupt); });
  } catch (const std::system_error& error) {   // it comes with the first one or not at all
    PyErr_SetString(PyExc_OSError, error.what());
    return false;
  }
  return true;
}

// --- the functions of gort.signal; that checks arguments

bool read_set(PyObject* number, Set* set) {
  *set = PyLong_AsUnsignedLongLong(number);
  return !PyErr_Occurred();
}

bool receives_signals(PyObject* chan) {
  if (!is_chan(chan) || as_chan(chan)->no_send) return false;
  Kind kind = as_chan(chan)->kind;
  return kind != Kind::Bool && kind != Kind::Event;
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
  M* m = read_set(args[1], &set) ? machine() : nullptr;
  if (!m) return nullptr;
  if (is_closed()) {
    PyErr_SetString(PyExc_RuntimeError, "notify: the interpreter is shutting down");
    return nullptr;
  }
  Change change;
  if (!take(set, false)) return nullptr;
  for (Registration& r : table) {
    if (as_chan(r.chan)->channel != as_chan(chan)->channel) continue;
    r.set |= set;
    Py_RETURN_NONE;
  }
  table.push_back({Py_NewRef(chan), set, m->current->group});
  Py_RETURN_NONE;
}

// stop(ch): what came before it is delivered; nothing afterwards.
PyObject* stop(PyObject*, PyObject* chan) {
  if (!is_chan(chan)) return errors::bad_type("stop", "ch", "a channel", chan);
  if (!machine()) return nullptr;
  Change change;
  deliver_pending();
  remove(as_chan(chan)->channel);
  Py_RETURN_NONE;
}

// Nobody wants the signals of the set any more.
void withdraw(Set set) {
  Change change;
  deliver_pending();
  dumps &= ~set;
  std::vector<PyObject*> gone;
  for (size_t i = 0; i < table.size();) {
    table[i].set &= ~set;
    if (table[i].set) {
      i++;
      continue;
    }
    gone.push_back(table[i].chan);
    table.erase(table.begin() + ptrdiff_t(i));
  }
  for (PyObject* chan : gone) Py_DECREF(chan);
}

// ignore(set)
PyObject* ignore(PyObject*, PyObject* number) {
  Set set;
  if (!read_set(number, &set) || !machine()) return nullptr;
  withdraw(set);
  for_each_signal(set, signals::ignore);
  Py_RETURN_NONE;
}

// reset(set)
PyObject* reset(PyObject*, PyObject* number) {
  Set set;
  if (!read_set(number, &set) || !machine()) return nullptr;
  withdraw(set);
  for_each_signal(set, signals::give_back);
  Py_RETURN_NONE;
}

// dump_on(set, fatal)
PyObject* dump_on(PyObject*, PyObject* const* args, Py_ssize_t) {
  Set set;
  if (!read_set(args[0], &set) || !machine()) return nullptr;
  int ends = PyObject_IsTrue(args[1]);
  if (ends < 0) return nullptr;
  Change change;
  if (!take(set, true)) return nullptr;
  dumps |= set;
  fatal = ends ? fatal | set : fatal & ~set;
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
  if (!wanted()) return;
  Change change;
  if (!group) dumps = 0;
  std::vector<PyObject*> gone;
  std::erase_if(table, [&](const Registration& r) {
    if (group && r.group != group) return false;
    gone.push_back(r.chan);
    return true;
  });
  for (PyObject* chan : gone) Py_DECREF(chan);
}

void forget_signals() {
  new (&deliverer) Deliverer;   // its spare stayed with the parent
  signals::after_fork_in_child();
  dumps = 0;
  std::vector<Registration> old = std::exchange(table, {});
  for (const Registration& r : old) Py_DECREF(r.chan);
}

}  // namespace gort::python
