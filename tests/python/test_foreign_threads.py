"""Threads that Python has not made call into Python (PyGILState_Ensure), and callbacks of C on a goroutine's own thread.

Such a thread gets a new thread state for every callback; to gort it is one goroutine for as long as the OS thread lives.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

HELPER = """
#include <pthread.h>
#include <unistd.h>

struct calls { void (*call)(long); long count, pause; pthread_t thread; };

static void *work(void *argument) {
  struct calls *c = argument;
  for (long i = 0; i < c->count; i++) {
    c->call(i);
    if (c->pause) usleep(c->pause);
  }
  return 0;
}

int start(struct calls *c) { return pthread_create(&c->thread, 0, work, c); }
int join(struct calls *c) { return pthread_join(c->thread, 0); }
"""

HEAD = """
import collections, ctypes, sys, threading, time
import gort

CALL = ctypes.CFUNCTYPE(None, ctypes.c_long)
class Calls(ctypes.Structure):
    _fields_ = [("call", CALL), ("count", ctypes.c_long), ("pause", ctypes.c_long), ("thread", ctypes.c_ulong)]
helper = ctypes.CDLL(sys.argv[1]) if len(sys.argv) > 1 else None
libc = ctypes.CDLL(None)

def start(function, count, pause=0):
    "A C thread that calls function(0), function(1), ..., with pause microseconds in between."
    calls = Calls(CALL(function), count, pause)
    assert helper.start(ctypes.byref(calls)) == 0
    return calls

def join(calls):
    assert helper.join(ctypes.byref(calls)) == 0

COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
def c_sorted(items, before_each=lambda: None):
    def compare(a, b):
        before_each()
        return a[0] - b[0]
    array = (ctypes.c_int * len(items))(*items)
    libc.qsort(array, len(items), ctypes.sizeof(ctypes.c_int), COMPARE(compare))
    return list(array)
"""


@pytest.fixture(scope="session")
def helper(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang", "c++"))), None)
    if not compiler:
        pytest.skip("a thread that calls back several times needs a C compiler")
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "helper.c").write_text(HELPER)
    subprocess.run([compiler, "-shared", "-fPIC", "-pthread", "-o", folder / "helper.so", folder / "helper.c"], check=True)
    return str(folder / "helper.so")


def run(body: str, *arguments: str) -> None:
    program = HEAD + textwrap.dedent(body)
    command = [sys.executable, "-X", "faulthandler", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


EVERYTHING = """
def use_everything(i):
    ch, wg, mutex, got = gort.Chan(), gort.WaitGroup(), gort.Mutex(), []
    def child():
        gort.gosched()
        with mutex: got.append(i)
        ch.send(i)
    with mutex:
        wg.add(1)
        gort.go(child)
        gort.go(lambda: (gort.sleep(0.0002), wg.done()))
        gort.gosched()
    assert ch.recv() == i
    wg.wait()
    assert gort.select(gort.after(0.0002), ch).index == 0
    try: ch.recv(timeout=0.0002)
    except TimeoutError: got.append(i)
    assert got == [i, i]
"""


@pytest.mark.parametrize("where", ["beside plain code", "beside a run"])
def test_a_foreign_thread_uses_gort_in_each_of_its_callbacks(helper, where):
    run(EVERYTHING + f"""
    done, wrong = [], []
    def callback(i):
        try:
            use_everything(i)
            done.append(i)
        except BaseException as error:
            wrong.append(repr(error))

    def main():
        threads = [start(callback, 50) for _ in range(3)]
        for thread in threads:
            join(thread)
        return sorted(done) == sorted(list(range(50)) * 3)

    for _ in range(3):
        done.clear()
        assert {"gort.run(main)" if where == "beside a run" else "main()"}, wrong
    """, helper)  # fmt: skip


def test_goroutines_can_be_looked_at_while_foreign_threads_come_and_go(helper):
    run("""
    def callback(i):
        gort.go(lambda: None).join()

    def main():
        threads = [start(callback, 100, pause=100) for _ in range(3)]
        for _ in range(300):
            for g in gort.runtime.goroutines():
                str(g.stack() if hasattr(g, "stack") else g)
            gort.sched.state()
            gort.sleep(0.0001)
        for thread in threads:
            join(thread)

    gort.run(main)
    """, helper)


def test_a_foreign_thread_is_one_goroutine_for_as_long_as_it_lives(helper):
    run("""
    ids, states = [], []
    def callback(i):
        ids.append(gort.current().id)
        states.append(gort.num_goroutine())
    before = gort.num_goroutine()
    for _ in range(5):
        join(start(callback, 20))
    assert len(set(ids)) == 5 and ids == sorted(ids), ids
    deadline = time.monotonic() + 20
    while gort.num_goroutine() != before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    """, helper)


def test_a_foreign_thread_that_has_called_before_is_no_deadlock(helper):
    run("""
    ch = gort.Chan()
    first = threading.Event()
    def callback(i):
        gort.gosched()
        if i == 0: first.set()
        else: ch.send(i)
    thread = start(callback, 4, pause=50000)
    first.wait()
    assert gort.run(lambda: [ch.recv() for _ in range(3)]) == [1, 2, 3]
    join(thread)
    """, helper)


def test_a_deadlock_is_seen_once_the_foreign_thread_has_ended(helper):
    run("""
    ch = gort.Chan()
    first = threading.Event()
    def callback(i):
        gort.gosched()
        first.set()
    thread = start(callback, 4, pause=20000)
    first.wait()
    try:
        gort.run(ch.recv)
    except gort.Deadlock:
        join(thread)
    else:
        raise AssertionError("no deadlock")
    """, helper)


def test_a_callback_that_is_parked_at_exit_does_not_stop_it(helper):
    run("""
    ch = gort.Chan()
    thread = start(lambda i: ch.recv(), 1)
    while gort.num_goroutine() < 2:
        time.sleep(0.001)
    """, helper)


def test_a_foreign_thread_lends_itself_to_goroutines_that_it_waits_for(helper):
    run("""
    def turns():
        for _ in range(500): gort.gosched()
    def callback(i):
        for g in [gort.go(turns) for _ in range(3)]: g.join()
        done.append(i)
    done = []
    for _ in range(3):
        join(start(callback, 10))
    assert done == list(range(10)) * 3
    """, helper)


def test_thread_functions_in_python_that_libc_starts_use_gort():
    run(EVERYTHING + """
    START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    done = []
    def body(argument):
        use_everything(1)
        done.append(1)
        return None
    entry = START(body)
    def main():
        for _ in range(100):
            threads = [ctypes.c_ulong() for _ in range(3)]
            for thread in threads:
                assert libc.pthread_create(ctypes.byref(thread), None, entry, None) == 0
            for thread in threads:
                libc.pthread_join(thread, None)
        return len(done)
    assert gort.run(main) == 300
    """)


def test_a_callback_that_runs_when_a_foreign_thread_ends_uses_gort():
    # pthread keys' destructors come after those of C++, gort's own among them.
    run(EVERYTHING + """
    START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    DESTRUCTOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    key, done = ctypes.c_uint(), []
    def ends(argument):
        use_everything(argument)
        done.append(argument)
        if argument > 1: libc.pthread_setspecific(key, ctypes.c_void_p(argument - 1))
    def body(argument):
        use_everything(4)
        libc.pthread_setspecific(key, ctypes.c_void_p(3))
        return None
    destructor, entry = DESTRUCTOR(ends), START(body)
    assert libc.pthread_key_create(ctypes.byref(key), destructor) == 0
    for _ in range(20):
        thread = ctypes.c_ulong()
        assert libc.pthread_create(ctypes.byref(thread), None, entry, None) == 0
        libc.pthread_join(thread, None)
    assert done == [3, 2, 1] * 20, done
    deadline = time.monotonic() + 20   # what the last one has started may be about to end
    while gort.num_goroutine() > 1:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    try: gort.run(gort.Chan().recv)
    except gort.Deadlock: pass
    else: raise AssertionError("threads that are gone count as threads that may wake somebody")
    """)


def test_a_callback_on_the_same_thread_may_park():
    run("""
    def parks(): gort.sleep(0.0002)
    def migrates(): time.sleep(0.002); gort.gosched()

    items = [5, 3, 9, 1, 7, 2]
    assert c_sorted(items, parks) == sorted(items)
    assert gort.run(c_sorted, items, parks) == sorted(items)

    results = []
    def body(before_each):
        results.append(c_sorted(items, before_each))
    def main():
        for g in [gort.go(body, wait) for wait in (parks, migrates, gort.gosched) * 4]:
            g.join()
    gort.run(main)
    assert results == [sorted(items)] * 12
    """)


def test_what_a_callback_raises_is_reported_and_nothing_else_is_harmed(helper):
    run("""
    reported, done = [], []
    sys.unraisablehook = lambda report: reported.append(report.exc_type)
    def callback(i):
        gort.go(done.append, i).join()
        if i % 2: raise ValueError(i)
    join(start(callback, 10))
    assert reported == [ValueError] * 5 and done == list(range(10))
    """, helper)


def test_thread_locals_and_context_of_a_foreign_thread_are_new_in_each_callback(helper):
    run("""
    import contextvars
    local, variable, seen = threading.local(), contextvars.ContextVar("variable", default=0), []
    def callback(i):
        seen.append((getattr(local, "x", None), variable.get()))
        local.x = i
        variable.set(i + 1)
        child = []
        gort.go(lambda: child.append(variable.get())).join()
        assert child == [i + 1] and local.x == i
    join(start(callback, 10))
    assert seen == [(None, 0)] * 10, seen
    """, helper)
