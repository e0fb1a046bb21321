#include "python_lane.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <unordered_set>

#include "errors.h"
#include "goroutine_object.h"
#include "hogs.h"
#include "parked_frames.h"
#include "gort/sched/stack_overflow.h"
#include "python_stack.h"
#include "state_swap.h"

namespace gort::python {
namespace {

// What an M of the Python lane carries.
struct Thread {
  PyThreadState* state = nullptr;   // of the scheduler stack
  unsigned long id = 0;             // what threading.get_ident() says on this thread
  PyGILState_STATE ensured{};
  Py_ssize_t modules = 0;           // sys.modules' length when guests were last looked for here
#ifdef GORT_WITHOUT_GIL
  uintptr_t number = 0;             // CPython's, of this thread
  Frame* loaded = nullptr;          // whose Python state lies in `state`; null: the scheduler stack's own
  PyThreadState own{};              // that, meanwhile
  Hidden own_hidden;
#endif
};
Thread* thread_of(M* m) { return static_cast<Thread*>(m->lane_data); }

Lane* python_lane = nullptr;
PyObject* imported;                 // sys.modules
StateKeys keys;
StateSwap swap_state;
std::atomic<int64_t> states{0};     // thread states that belong to goroutines and pool machines
pthread_t main_thread;
std::atomic<int> starting{0};       // threads that are about to have a state, or to give something back to the interpreter
std::atomic<bool> closing{false};   // none may any more

#ifdef GORT_WITHOUT_GIL

HiddenWords hidden_words;
uintptr_t async_bit;   // of eval_breaker: an exception waits in async_exc

// The bit is CPython's own business; its public function shows it.
void learn_async_bit() {
  PyThreadState* me = PyThreadState_Get();
  uintptr_t before = __atomic_load_n(&me->eval_breaker, __ATOMIC_RELAXED);
  PyThreadState_SetAsyncExc(me->thread_id, PyExc_Exception);
  async_bit = __atomic_load_n(&me->eval_breaker, __ATOMIC_RELAXED) & ~before;
  PyThreadState_SetAsyncExc(me->thread_id, nullptr);
}

void make_fresh(PyThreadState& parked) {
  static std::atomic<uint64_t> ids{uint64_t(1) << 62};   // beyond those of real states
  parked = {};
  parked.interp = PyInterpreterState_Get();
#if PY_VERSION_HEX < 0x030e0000
  parked.c_recursion_remaining = kCallBudget;
#endif
  parked.id = ids.fetch_add(1, std::memory_order_relaxed);
}

// Lets go of the locks of the critical sections that the caller is in, as it would when it blocks; it stays in them.
void suspend_sections(PyThreadState* state) {
  PyEval_SaveThread();
  uintptr_t sections = std::exchange(state->critical_section, 0);
  PyEval_RestoreThread(state);
  state->critical_section = sections;
}

// Takes them again. Others may hold them: waits, with the state detached.
void resume_sections(PyThreadState* state) {
  uintptr_t sections = std::exchange(state->critical_section, 0);
  PyEval_SaveThread();
  state->critical_section = sections;
  PyEval_RestoreThread(state);
}

void exchange(Thread* thread, Frame* to) {
  Frame* from = thread->loaded;
  if (from == to) return;
  PyThreadState* state = thread->state;
  if (state->critical_section != 0) [[unlikely]] suspend_sections(state);
  PyThreadState& left = from ? from->parked : thread->own;
  carry(*state, left);
  Hidden hidden = hidden_words.exchange(state, to ? to->hidden : thread->own_hidden);
  (from ? from->hidden : thread->own_hidden) = hidden;
  if (from) from->state.store(&left, std::memory_order_relaxed);
  carry(to ? to->parked : thread->own, *state);
  if (!state->exc_info) state->exc_info = &state->exc_state;   // a new goroutine's
  if (to) {
    to->state.store(state, std::memory_order_relaxed);
    to->thread.store(thread->number, std::memory_order_relaxed);
  }
  thread->loaded = to;
  if (state->async_exc) [[unlikely]] __atomic_fetch_or(&state->eval_breaker, async_bit, __ATOMIC_RELAXED);
  if (state->critical_section != 0) [[unlikely]] resume_sections(state);
}

#else

// Something was imported since this thread switched last, perhaps by the state that it leaves.
[[gnu::noinline]] void look_for_guests(Thread* thread, PyThreadState* to) {
  PyThreadState* from = PyThreadState_Get();
  swap_state(to);
  if (from == to) return;
  guests::forget_state(from);   // not before: PyGILState's key is CPython's own business
  guests::look_for_modules();
  thread->modules = PyDict_GET_SIZE(imported);
}

#endif

// The GIL, for a plain thread that waits in a NativeScope and so has none.
class Held {
 public:
  explicit Held(M* m) : abroad_(m->lane != python_lane) {
    if (abroad_) PyEval_RestoreThread(thread_of(m)->state);
  }
  ~Held() {
    if (abroad_) PyEval_SaveThread();
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  const bool abroad_;
};

// Makes a state for g's stack. False with MemoryError set. May let go of the GIL.
[[maybe_unused]] bool add_state(G* g) {
  PyThreadState* state = new_state(g->fiber.stack.low, g->fiber.stack.high);
  if (!state) return false;
  place_frames(state, g->fiber.stack.high);
  frame_of(g)->state = state;
  states.fetch_add(1, std::memory_order_relaxed);
  return true;
}

[[maybe_unused]] void delete_state(PyThreadState* state) {
  PyThreadState_Clear(state);
  PyThreadState_Delete(state);
  states.fetch_sub(1, std::memory_order_relaxed);
}

class PythonLane final : public LaneHooks {
 public:
  void machine_start(M* m) override {
    // 3.11 crashes if a thread comes for a state when the interpreter is gone; on others it would wait for ever inside. And its end deletes the states
    // that are being made just then.
    starting.fetch_add(1);
    if (closing.load() || is_ending()) {
      starting.fetch_sub(1);
      stay_for_ever();
    }
    auto* thread = new Thread;
    m->lane_data = thread;
    thread->ensured = PyGILState_Ensure();
    thread->state = PyThreadState_Get();
    thread->id = PyThread_get_thread_ident();
    swap_state.check();
    starting.fetch_sub(1);
#ifdef GORT_WITHOUT_GIL
    thread->own.py_recursion_limit = thread->state->py_recursion_limit;
    thread->number = _Py_ThreadId();
#endif
    states.fetch_add(1, std::memory_order_relaxed);
  }

  void machine_stop(M* m) override {
    Thread* thread = thread_of(m);
    states.fetch_sub(1, std::memory_order_relaxed);
    PyGILState_Release(thread->ensured);
    m->lane_data = nullptr;
    delete thread;
  }

  void acquire(M* m) override { PyEval_RestoreThread(thread_of(m)->state); }
  void release(M*) override { PyEval_SaveThread(); }

  void relax(M*) override {
    PyThreadState* state = PyEval_SaveThread();
    usleep(20);
    PyEval_RestoreThread(state);
  }

  // A thread that waits for the GIL asks for it by CPython's own rules, unless it sees the GIL change hands all the time.
  void give_way(M* m) override {
    if (swap_state.gives_gil_away()) relax(m);
  }

  void switched(M* m, G* to) override {
    Thread* thread = thread_of(m);
#ifdef GORT_WITHOUT_GIL
    Frame* frame = to ? frame_of(to) : nullptr;
    if (thread->modules != PyDict_GET_SIZE(imported)) [[unlikely]] {
      guests::look_for_modules();
      hidden_words.learn_asyncio();
      thread->modules = PyDict_GET_SIZE(imported);
    }
    exchange(thread, frame);
    if (to && !to->is_plain_thread()) guard_stack(thread->state, to->fiber.stack.low, to->fiber.stack.high);
    else guard_own_stack(thread->state);
    parked_frames::switched();
    if (frame && !frame->calls.empty()) [[unlikely]] guests::put_back(frame->calls);
#else
    PyThreadState* state = to ? frame_of(to)->state.load(std::memory_order_relaxed) : thread->state;
    if (thread->modules != PyDict_GET_SIZE(imported)) [[unlikely]] look_for_guests(thread, state);
    else swap_state(state);
    keys.set(state);
    if (state->thread_id != thread->id) state->thread_id = thread->id;
#endif
  }

  bool lendable(G* g) override {
    if constexpr (kWithoutGil) return false;   // it would be pinned to the thread
    CodeRecord* record = frame_of(g)->record;
    return record && !guests::present() && !record->blocked && record->clean_slices >= kTrustedSlices;
  }

  bool slice_ended(M* m, G* g) override {
    Frame* frame = frame_of(g);
#ifdef GORT_WITHOUT_GIL
    if (guests::present() && !m->own) guests::lift(g->fiber.stack.high, frame->calls);
    return false;
#else
    CodeRecord* record = frame->record;
    if (record && !m->own && record->clean_slices < kTrustedSlices) record->clean_slices++;
    return guests::present() && !m->own && guests::in_bound_call(g->fiber.stack.high);
#endif
  }

  bool in_foreign_code(G* g) override {
    PyThreadState* state = frame_of(g)->state;
    return state && is_detached(state);
  }

  void while_all_stand(void (*look)(void*), void* argument) override { python::while_all_stand(look, argument); }

  void seen_blocked(G* g) override {
    if (CodeRecord* record = frame_of(g)->record) record->blocked = true;
  }

  uint64_t stack_here() override { return python_stack_here(); }

  void leaving(G* g) override {
    if (is_ending() && !is_attached(frame_of(g)->state)) stay_for_ever();
  }

  // Without the raw exchange 3.12 and later would let go of the GIL here, and g could be gone: then its thread is all it can have.
  void end_slice(G* g) override {
#ifdef GORT_WITHOUT_GIL
    ring(g);
#else
    if (swap_state.gives_gil_away()) return;
    PyThreadState* mine = PyThreadState_Get();
    swap_state(frame_of(g)->state);
    yield_at_next_line();
    swap_state(mine);
#endif
  }

  bool interrupted(M* m) override {
    if (!pthread_equal(m->thread, main_thread)) return false;
    Held held(m);
    if (PyErr_CheckSignals() == 0) return false;
    signal_raised.store(true, std::memory_order_relaxed);
    return true;
  }

  // Whether any Python thread that is not ours could still call us. Our own plain threads are counted by the runtime.
  bool others_may_wake(M* self) override {
    Held held(self);
    std::unordered_set<PyThreadState*> ours;
    Runtime::get().for_each_lane([&](Lane& lane) {
      lane.for_each_machine([&](M& m) {
        if (m.own && m.own->home == python_lane) ours.insert(thread_of(&m)->state);
      });
    });
    int64_t others = 0;
    PyInterpreterState* interpreter = PyInterpreterState_Get();
    python::while_all_stand([&] {
      for (PyThreadState* s = PyInterpreterState_ThreadHead(interpreter); s; s = PyThreadState_Next(s)) {
        if (!is_made(s)) {   // a thread is about to call Python; the others cannot be seen behind its state
          others = INT64_MAX;
          return;
        }
        others += !ours.count(s);
      }
    });
    return others > states.load(std::memory_order_relaxed);
  }

  // The dump is made now, while everybody still shows what it waits for.
  void deadlocked(M* m) override {
    Held held(m);
    errors::prepare_deadlock();
  }

  void dead(G* g) override {
    Frame* frame = frame_of(g);
    if (kWithoutGil || !frame || !frame->state) return;
    delete_state(frame->state.exchange(nullptr));
  }

#ifdef GORT_WITHOUT_GIL
  // Nobody parks without a stack (coroutines.h).
  void* take_state(G*) override { return nullptr; }
  void give_state(G*, void*) override {}
  void make_state(G*) override {}
  void drop_state(void*) override {}
#else
  void* take_state(G* g) override { return frame_of(g)->state.exchange(nullptr, std::memory_order_relaxed); }
  void give_state(G* g, void* state) override {
    if (!frame_of(g)) g->lane_data = new Frame;   // a new G
    frame_of(g)->state.store(static_cast<PyThreadState*>(state), std::memory_order_relaxed);
  }
  void make_state(G* g) override {
    if (!add_state(g)) throw std::bad_alloc();
  }
  void drop_state(void* state) override { delete_state(static_cast<PyThreadState*>(state)); }
#endif

  // When the interpreter ends the object stays as it is: nothing may be given back to it any more.
  void thread_ended(G* g) override {
    starting.fetch_add(1);
    if (!closing.load()) end_thread_object(g);
    starting.fetch_sub(1);
  }

  void forget_thread(G* g, M* m) override {
    delete frame_of(g);
    delete thread_of(m);
  }
};

M* attach() {
  M* m = Runtime::get().attach_thread(*python_lane);
  auto* thread = new Thread;
  thread->state = PyThreadState_Get();
  thread->id = PyThread_get_thread_ident();
  swap_state.check();
  m->lane_data = thread;
  auto* frame = new Frame;
  frame->state = thread->state;
  m->own->lane_data = frame;
  return m;
}

// A thread that Python has not made gets a new state for each of its calls into Python (PyGILState_Ensure), but it is one goroutine.
[[gnu::noinline]] void change_state(M* m, PyThreadState* state) {
  thread_of(m)->state = state;
  frame_of(m->own)->state = state;
}

// --- SIGINT during a run

std::atomic<M*> interrupt_target{nullptr};
struct sigaction python_action;

// Runs on whichever thread the signal hits. Python's own handler only sets a flag; on 3.13 and later that is seen only by the
// main thread's own state, which may be parked while its thread runs other goroutines.
void on_interrupt(int number, siginfo_t* info, void* context) {
  int error = errno;
  if (python_action.sa_flags & SA_SIGINFO) python_action.sa_sigaction(number, info, context);
  else if (python_action.sa_handler != SIG_DFL && python_action.sa_handler != SIG_IGN) python_action.sa_handler(number);
  if (M* m = interrupt_target.load(std::memory_order_acquire)) {
    m->attention.store(true, std::memory_order_release);
    m->wake.set();
  }
  errno = error;
}

}  // namespace

Lane& lane() { return *python_lane; }

bool is_alive(PyThreadState* state) {
  PyThreadState* s = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
  while (s && s != state) s = PyThreadState_Next(s);
  return s && is_made(s);   // a new one may lie where the dead one lay
}

bool create_lane() {
  if (python_lane) return true;
  if (const char* reason = why_unsupported()) {
    PyErr_SetString(PyExc_ImportError, reason);
    return false;
  }
  main_thread = pthread_self();
  imported = Py_NewRef(PyImport_GetModuleDict());
  keys.find(PyThreadState_Get());
#ifdef GORT_WITHOUT_GIL
  learn_async_bit();
  if (!load_bells()) return false;
  const char* strange = hidden_words.learn_references() ? parked_frames::learn() : "its references on the C stack";
  if (strange) {
    PyErr_Format(PyExc_ImportError, "gort: this build of CPython %s is not as gort knows it (%s): goroutines that wait could not be shown to its "
                 "collector; please use its build with the GIL", Py_GetVersion(), strange);
    return false;
  }
#endif
  if (PyThreadState* scratch = PyThreadState_New(PyInterpreterState_Get())) {
    swap_state.learn(scratch);
    PyThreadState_Clear(scratch);
    PyThreadState_Delete(scratch);
  }
  if (!request_code_slot()) {
    PyErr_SetString(PyExc_ImportError, "gort: no free slot for code objects' extra data in this interpreter");
    return false;
  }
  Runtime& runtime = Runtime::get();
  keep_placed_frames();
  python_lane = new Lane("python", kStackSize, new PythonLane, kDataStack, kWithoutGil);
  python_lane->resize(kWithoutGil ? runtime.native().processors() : 1, runtime.seed());
  runtime.set_python_lane(python_lane);
  find_frame_writer();
  stack_overflow::set_describe([](G* g, int descriptor) {
    Frame* frame = g->home == python_lane ? frame_of(g) : nullptr;
    if (frame && frame->state) write_frames(descriptor, frame->state);
  });
  return true;
}

const char* why_public_swap() { return swap_state.why_not(); }
void use_public_swap() { swap_state.use_public("GORT_DEBUG=rawswap=0"); }

M* machine() {
  M* m = this_machine();
  if (m && m->lane == python_lane) [[likely]] {
    if (m->own && m->current == m->own) {
      PyThreadState* state = PyThreadState_Get();
      if (state != thread_of(m)->state) [[unlikely]] change_state(m, state);
    }
    return m;
  }
  if (!m) return attach();
  PyErr_SetString(PyExc_RuntimeError,
                  "gort: this thread belongs to a native goroutine; call Python from a goroutine started with gort.go");
  return nullptr;
}

M* machine_to_wait() {
  M* m = machine();
  if (!m || m->current) [[likely]] return m;
  try {
    current_to_wait();
  } catch (...) {
    errors::translate();
  }
  return nullptr;
}

bool prepare_frame(G* g) {
  Frame* frame = frame_of(g);
#ifdef GORT_WITHOUT_GIL
  if (!frame) {
    g->lane_data = frame = new Frame;
    parked_frames::show(frame);
  }
  frame->told.store(false, std::memory_order_relaxed);
  make_fresh(frame->parked);
  Py_CLEAR(frame->hidden.loop);
  Py_CLEAR(frame->hidden.task);
  place_frames(&frame->parked, g->fiber.stack.high);
  frame->state = &frame->parked;
  frame->spoiled = false;
  return true;
#else
  if (!frame) g->lane_data = frame = new Frame;
  frame->told.store(false, std::memory_order_relaxed);
  if (frame->spoiled) {
    delete_state(frame->state.exchange(nullptr));
    frame->spoiled = false;
  }
  if (!g->fiber.stack.low) return true;   // with its stack it gets one
  if (!frame->state) return add_state(g);
  place_frames(frame->state, g->fiber.stack.high);   // each time: the memory of a stack that nobody needs is given back
  return true;
#endif
}

PyObject* raise_outcome(Outcome outcome) {
  switch (outcome) {
    case Outcome::TimedOut:
      PyErr_SetString(PyExc_TimeoutError, "timed out");
      break;
    case Outcome::Interrupted:
      signal_raised.store(false, std::memory_order_relaxed);
      if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
      break;
    case Outcome::Exit:
      if (G* g = self(); g->home == python_lane) {
        frame_of(g)->told.store(true, std::memory_order_relaxed);
        swallow_injected(frame_of(g)->state);   // it was told just before it came to wait
      }
      PyErr_SetNone(errors::GoExit);
      break;
    case Outcome::Deadlock:
      errors::raise_deadlock();
      break;
    default:
      PyErr_SetString(PyExc_SystemError, "gort: a wait ended without an outcome");
  }
  return nullptr;
}

std::atomic<bool> signal_raised{false};

void keep_interrupt() {
  if (!PyErr_Occurred()) return;   // another goroutine's
  signal_raised.store(false, std::memory_order_relaxed);
  bool keyboard = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
  if (keyboard) {
    PyErr_Clear();
    PyErr_SetInterruptEx(SIGINT);
  } else {
    PyErr_WriteUnraisable(nullptr);
  }
}

void watch_interrupts(M* main_machine) {
  if (!pthread_equal(pthread_self(), main_thread)) return;
  sigaction(SIGINT, nullptr, &python_action);
  if (!(python_action.sa_flags & SA_SIGINFO) &&
      (python_action.sa_handler == SIG_DFL || python_action.sa_handler == SIG_IGN)) {
    return;
  }
  interrupt_target.store(main_machine, std::memory_order_release);
  struct sigaction ours = python_action;
  ours.sa_sigaction = on_interrupt;
  ours.sa_flags |= SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGINT, &ours, nullptr);
}

void unwatch_interrupts() {
  if (!interrupt_target.exchange(nullptr)) return;
  struct sigaction now;
  sigaction(SIGINT, nullptr, &now);
  // The program may have installed a handler of its own meanwhile; that one stays.
  if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_interrupt) sigaction(SIGINT, &python_action, nullptr);
}

void after_fork_in_child() {
  Runtime& runtime = Runtime::get();
  G* survivor = runtime.survivor_of_fork();
  for (G* g : runtime.all_goroutines()) {
    Frame* frame = g->home == python_lane && g != survivor ? frame_of(g) : nullptr;
    if (!frame) continue;
    frame->state = nullptr;   // CPython has deleted it
    if (frame->object) frame->object->g = nullptr;
  }
  runtime.after_fork_in_child();
  states.store(0);
  starting.store(0);
  main_thread = pthread_self();
  keys.find(PyThreadState_Get());
  swap_state.check();
  if (runtime.main() != survivor) unwatch_interrupts();
  if (survivor) thread_of(survivor->own_machine)->state = frame_of(survivor)->state;
}

PyFrameObject* innermost_frame(G* g) {
  Frame* frame = frame_of(g);
  if (!frame || !frame->state || (g->is_plain_thread() && !is_alive(frame->state))) return nullptr;
  return PyThreadState_GetFrame(frame->state);
}

void raise_in(G* g, [[maybe_unused]] const GoroutineObject* of, PyObject* exception) {
#ifdef GORT_WITHOUT_GIL
  PyObject* mine = Py_NewRef(exception);
  while_all_stand([&] {
    Frame* frame = frame_of(g);
    PyThreadState* state = frame->state;
    if (!state || frame->told.load(std::memory_order_relaxed) || (of ? frame->object != of : !is_alive(state))) return;
    std::swap(state->async_exc, mine);
    if (state != &frame->parked) __atomic_fetch_or(&state->eval_breaker, async_bit, __ATOMIC_RELAXED);
  });
  Py_XDECREF(mine);
#else
  // One that waits without a stack is told by its wait.
  PyThreadState* state = frame_of(g)->state.load(std::memory_order_relaxed);
  if (state && !frame_of(g)->told.load(std::memory_order_relaxed)) inject(state, exception);
#endif
}

void close_lane() {
  closing.store(true);
  PyThreadState* state = PyEval_SaveThread();
  while (starting.load() != 0) usleep(50);
  PyEval_RestoreThread(state);
}

void resize_lane(bool in_turn) {
  int procs = kWithoutGil && !in_turn ? Runtime::get().native().processors() : 1;
  if (procs == python_lane->processors()) return;
  while_all_stand([&] { python_lane->resize(procs, Runtime::get().seed()); });
}

}  // namespace gort::python
