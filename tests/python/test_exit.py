"""The end of the interpreter: goroutines that are parked, asleep, busy or blocked are dropped, and the exit status is the program's."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

HEAD = """
import atexit, os, sys, threading, time
import gort

def parked(): gort.Chan().recv()
def sleeps(): gort.sleep(60)
def time_sleeps(): time.sleep(60)
def busy():
    while True: pass
def turns():
    while True: gort.gosched()
def waits_for_a_thread(): threading.Event().wait(60)
def reads(): os.read(os.pipe()[0], 1)
def selects(): gort.select(gort.Chan(), gort.after(60))
def with_finally():
    try: gort.sleep(60)
    finally: print("finally")
def holds_a_lock():
    with lock: gort.sleep(60)
lock = threading.Lock()
EVERY = [parked, sleeps, time_sleeps, busy, turns, waits_for_a_thread, reads, selects, holds_a_lock]
def start_all(functions=EVERY):
    return [gort.go(f) for f in functions for _ in range(3)]
"""


def run(body: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    program = HEAD + textwrap.dedent(body)
    # Nobody may be waited for: those that sleep do it for a minute. What is left is the start of Python on a busy machine.
    return subprocess.run([sys.executable, *flags, "-c", program], capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize(
    "kind", ["parked", "sleeps", "time_sleeps", "busy", "turns", "waits_for_a_thread", "reads", "selects", "holds_a_lock"]
)
def test_goroutines_of_each_kind_do_not_keep_the_interpreter(kind):
    done = run(f"start_all([{kind}])\ntime.sleep(0.05)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "flags", [(), ("-X", "dev", "-W", "ignore::ResourceWarning"), ("-X", "tracemalloc=3")], ids=["plain", "dev", "tracemalloc"]
)
def test_goroutines_of_all_kinds_together_do_not_keep_the_interpreter(flags):
    for _ in range(3):
        done = run("start_all()\ntime.sleep(0.05)", flags)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nor_while_the_main_thread_waits_for_nothing():
    done = run("start_all()")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nor_beside_daemon_threads_that_use_gort():
    done = run("""
    def thread():
        start_all([parked, sleeps])
        started.append(1)
        gort.Chan().recv()
    def lends():
        g = gort.go(turns)
        started.append(1)
        g.join()
    started = []
    for target in (thread, lends, busy, parked, sleeps, time_sleeps):
        threading.Thread(target=target, daemon=True).start()
    start_all()
    while len(started) < 2: time.sleep(0.001)   # an error later
    time.sleep(0.05)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# CPython before 3.14 ends a thread that asks for the GIL then by unwinding its stack.
def test_nor_beside_daemon_threads_whose_waits_end_just_then():
    done = run("""
    ch, wg, ended = gort.Chan(), gort.WaitGroup(), set()
    wg.add(1)
    def try_for(wait):
        while True:
            try: wait()
            except TimeoutError: pass
            ended.add(wait)
    def receives(): ch.recv(timeout=0.0005)
    def waits(): wg.wait(timeout=0.0005)
    def selects(): gort.select(ch, gort.after(0.0005))
    for wait in (lambda: gort.sleep(0.0005), receives, waits, selects):
        threading.Thread(target=try_for, args=(wait,), daemon=True).start()
    while len(ended) < 4: time.sleep(0.001)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_run_in_a_daemon_thread_is_dropped():
    done = run("""
    def main():
        start_all()
        started.append(1)
        gort.Chan().recv()
    started = []
    threading.Thread(target=gort.run, args=(main,), daemon=True).start()
    while not started: time.sleep(0.001)   # an error later
    time.sleep(0.1)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_parked_goroutines_are_dropped_at_exit_without_their_finally():
    done = run("gort.go(with_finally)\ngort.sleep(0.01)\nprint('end')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_goroutines_abandoned_by_a_run_do_not_keep_the_interpreter():
    done = run("""
    import warnings
    warnings.simplefilter("ignore")
    def main():
        start_all()
        gort.sleep(0.02)
    gort.run(main, grace=0.05)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "leave, status, out, err",
    [
        ("sys.exit(3)", 3, "finally\natexit\n", ""),
        ("sys.exit('words')", 1, "finally\natexit\n", "words\n"),
        ("sys.exit()", 0, "finally\natexit\n", ""),
        ("os._exit(4)", 4, "", ""),
        ("raise SystemExit(5)", 5, "finally\natexit\n", ""),
    ],
)
@pytest.mark.parametrize("where", ["goroutine 1", "a goroutine"])
def test_leaving_the_program_inside_a_run(where, leave, status, out, err):
    done = run(f"""
    atexit.register(lambda: print("atexit", flush=True))
    def leaves():
        gort.sleep(0.01)
        {leave}
    def main():
        start_all([parked, sleeps, turns])
        g = gort.go(with_finally)
        while g.status != "waiting": gort.gosched()
        {"leaves()" if where == "goroutine 1" else "gort.go(leaves); gort.Chan().recv()"}
    gort.run(main, grace=30)
    print("not reached")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_sys_exit_in_an_ambient_goroutine_ends_only_that():
    done = run("""
    gort.go(sys.exit, 3).join()
    print("goes on")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "goes on\n", "")


@pytest.mark.parametrize("leave, status", [("os._exit(6)", 6), ("os.kill(os.getpid(), 9)", -9), ("os.abort()", -6)])
def test_a_hard_end_from_an_ambient_goroutine(leave, status):
    done = run(f"start_all()\ngort.go(lambda: {leave}).join()")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_an_exception_in_atexit_is_reported_and_the_rest_still_runs():
    done = run("""
    atexit.register(lambda: print("first registered"))
    def fails(): raise ValueError("in atexit")
    atexit.register(fails)
    start_all()
    gort.sleep(0.02)
    """)
    assert (done.returncode, done.stdout) == (0, "first registered\n")
    assert "ValueError: in atexit" in done.stderr and done.stderr.count("Traceback") == 1


def test_gort_may_be_used_in_an_atexit_function():
    done = run("""
    def last():
        ch = gort.Chan()
        gort.go(ch.send, 7)
        print(ch.recv(), gort.run(lambda: 8))
    atexit.register(last)
    start_all([parked, turns])
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7 8\n", "")


def test_go_after_the_end_is_an_error_and_no_crash():
    done = run("""
    class Late:
        def __del__(self, go=gort.go, gosched=gort.gosched, write=os.write):   # free-threaded builds have emptied the modules by then
            try: go(print, "late")
            except RuntimeError as error: write(1, str(error).encode())
            try: gosched()
            except BaseException as error: write(1, repr(error).encode())
    kept = Late()
    sys.modules["kept"] = kept
    start_all()
    gort.sleep(0.01)
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in ("", "go: the interpreter is shutting down")


def test_objects_that_parked_goroutines_hold_do_no_harm_at_exit():
    done = run("""
    class Thing:
        def __del__(self): print("gone", flush=True)
    def holds():
        things = [Thing() for _ in range(3)]
        open_file = open(os.devnull)
        with gort.Mutex():
            gort.Chan().recv()
    for _ in range(5): gort.go(holds)
    gort.sleep(0.02)
    """)
    assert (done.returncode, done.stderr) == (0, "")


def test_non_daemon_threads_are_waited_for_while_goroutines_go_on():
    done = run("""
    ch = gort.Chan()
    def thread():
        for i in range(20): got.append(ch.recv())
        print(sum(got))
    def sends():
        for i in range(20): time.sleep(0.001); ch.send(i)
    got = []
    threading.Thread(target=thread).start()
    start_all([turns, parked])
    gort.go(sends)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "190\n", "")


def test_an_uncaught_exception_of_the_program_is_its_own():
    done = run("start_all()\ntime.sleep(0.02)\nraise KeyError('the program')")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1 and done.stderr.endswith("KeyError: 'the program'\n")


def test_after_the_end_has_begun_no_thread_looks_at_goroutines_any_more():
    """A thread started late brought sysmon back, which then asked for threads in an interpreter that was gone (a crash on 3.11)."""
    done = run("""
    def sysmon_rounds(): return gort.sched.stats().sysmon_rounds
    gort.go(lambda: None).join()
    gort._gort._close()            # what gort has registered with atexit; others' functions may come after it
    rounds = sysmon_rounds()
    gort.run(lambda: gort.sleep(0.02))
    print(sysmon_rounds() - rounds, flush=True)
    os._exit(0)                    # without closing twice
    """)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "0\n")
