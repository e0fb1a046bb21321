"""Extension modules that others have built with pybind11, 2 and 3, inside goroutines: GIL guards, and callbacks that park.

pybind11 keeps per-thread records of the calls under way, so a goroutine that parks inside such a call keeps its thread, which waits with it.
Each case runs in a process of its own, because what goes wrong ends the process.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

OLD_VERSION = "2.13.6"

HEAD = """
import sys, threading, time
NAME, SLOW = sys.argv[1], 0.05
import gort

def guest():
    return __import__(NAME)

def run_all(*functions):
    "The functions in goroutines, beside two that yield and one that blocks now and then, so that the lane changes threads."
    stop, turns = [], [0]
    def yields():
        while not stop:
            turns[0] += 1
            gort.gosched()
    def blocks():
        while not stop:
            time.sleep(0.002)
            gort.gosched()
    def main():
        others = [gort.go(f) for f in (yields, yields, blocks)]
        for g in [gort.go(f) for f in functions]: g.join()
        stop.append(True)
        for g in others: g.join()
    gort.run(main)
    return turns[0]
"""


def headers(which: str, folder: Path) -> str:
    """The folder of pybind11's headers."""
    if which == "3":
        if not importlib.util.find_spec("pybind11"):
            pytest.skip("pybind11 is not installed")
        import pybind11

        if not pybind11.__version__.startswith("3."):
            pytest.skip(f"pybind11 {pybind11.__version__} is installed, not 3")
        return pybind11.get_include()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), f"pybind11=={OLD_VERSION}"]
    fetched = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    if fetched.returncode != 0:
        pytest.skip(f"pip could not fetch pybind11 {OLD_VERSION}: {fetched.stderr.strip().splitlines()[-1:]}")
    return str(folder / "pybind11" / "include")


@pytest.fixture(scope="module", params=["2", "3"])
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built module, named after the version."""
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if not compiler:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp(f"pybind11_{request.param}")
    name = f"guest{request.param}"
    target = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread", f"-DMODULE_NAME={name}"]
    command += [f"-I{headers(request.param, folder / 'old')}", f"-I{sysconfig.get_path('include')}"]
    subprocess.run([*command, "-o", target, Path(__file__).with_name("pybind_guest.cpp")], check=True, timeout=300)
    return folder / name


def run(guest: Path, body: str, head: str = "") -> None:
    program = HEAD + head + textwrap.dedent(body)
    command = [sys.executable, "-X", "faulthandler", "-c", f"import sys; sys.path.append({str(guest.parent)!r})\n" + program, guest.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize("when", ["before gort", "before the run", "in the run", "in a goroutine", "in a thread"])
def test_gil_guards_work_wherever_the_module_was_imported(guest, when):
    imports = {
        "before the run": "guest()",
        "in a thread": "t = threading.Thread(target=guest); t.start(); t.join()",
        "before gort": "",
        "in the run": "",
        "in a goroutine": "",
    }[when]
    early = f"import sys; sys.path.append({str(guest.parent)!r}); import {guest.name}\n" if when == "before gort" else ""
    body = f"""
    {imports}
    done = []
    def main():
        if {when == "in the run"}: guest()
        if {when == "in a goroutine"}: gort.go(guest).join()
        def body():
            for _ in range(20):
                assert guest().acquires()
                guest().releases_and_acquires(lambda: done.append(1))
                guest().calls_released(lambda x: done.append(1) or 1, 1)
                gort.gosched()
                assert guest().acquires()
        for g in [gort.go(body) for _ in range(5)]: g.join()
        body()
    gort.run(main)
    main()
    assert len(done) == 20 * 2 * 6 * 2, len(done)
    """
    program = early + HEAD + textwrap.dedent(body)
    prefix = f"import sys; sys.path.append({str(guest.parent)!r})\n"
    command = [sys.executable, "-X", "faulthandler", "-c", prefix + program, guest.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


PARKS = """
m = guest()
class Square(m.Shape):
    def area(self, x):
        wait()
        return x * x
CALLS = [
    lambda: m.calls(callback, 3), lambda: m.calls_function(callback, 3), lambda: m.calls_released(callback, 3),
    lambda: m.sum_of_calls(callback, [1, 2], ""), lambda: m.area_of(Square(), 3), lambda: m.area_of_released(Square(), 3),
    lambda: m.calls(lambda x: m.calls(lambda y: m.calls_released(callback, y), x), 3),
    lambda: m.sum_of_calls(lambda x: m.sum_of_calls(callback, [x], ""), [1, 2], ""),
    lambda: m.invokes(gort.sleep, 0.0005), lambda: m.invokes(gort.after(0.0005).recv) > 0,
]
RESULTS = [9, 9, 9, 5, 9, 9, 9, 5, None, True]
def callback(x):
    wait()
    return x * x
ch = gort.Chan()
mutex = gort.Mutex()
def exchange():
    g = gort.go(ch.send, 1)
    ch.recv()
    g.join()
def locks():
    with mutex: gort.sleep(0.0003)
def blocks():
    time.sleep(0.003)
    gort.gosched()
    gort.sleep(0.0005)
def times_out():
    try: gort.Chan().recv(timeout=0.001)
    except TimeoutError: pass
def selects(): gort.select(gort.Chan(), gort.after(0.001))
WAITS = [gort.gosched, lambda: gort.sleep(0.0005), exchange, locks, blocks, times_out, selects]
def wait(): WAITS[(counter.__next__()) % len(WAITS)]()
import itertools
counter = itertools.count()
"""


def test_callbacks_may_park(guest):
    run(guest, """
    wrong = []
    def body(first):
        for i in range(len(CALLS) * 3):
            n = (first + i) % len(CALLS)
            got = CALLS[n]()
            if got != RESULTS[n]: wrong.append((n, got))
            gort.gosched()
    turns = run_all(*[lambda i=i: body(i) for i in range(8)])
    assert not wrong and turns > 100, (wrong, turns)
    """, head=PARKS)


def test_callbacks_may_park_on_plain_threads_and_in_goroutine_1(guest):
    run(guest, """
    def body():
        for _ in range(3):
            assert [call() for call in CALLS] == RESULTS
    def other():
        for _ in range(100): gort.gosched()
    def main():
        others = [gort.go(other) for _ in range(3)]
        body()
        for g in others: g.join()
    gort.run(main)
    main()
    errors = []
    threads = [threading.Thread(target=body) for _ in range(3)]
    for t in threads: t.start()
    gort.run(main)
    for t in threads: t.join()
    """, head=PARKS)


def test_many_goroutines_wait_inside_callbacks_at_once_and_end_in_any_order(guest):
    run(guest, """
    m = guest()
    order = []
    def body(i):
        assert m.calls(lambda x: gates[i].recv(), 0) == i
        order.append(i)
    gates = [gort.Chan() for _ in range(20)]
    def main():
        goroutines = [gort.go(body, i) for i in range(20)]
        while any(g.status != "waiting" for g in goroutines): gort.gosched()
        for i in (*range(0, 20, 2), *range(19, 0, -2)):
            gates[i].send(i)
            goroutines[i].join()
    gort.run(main)
    assert order == [*range(0, 20, 2), *range(19, 0, -2)]
    """)


def test_a_function_that_never_parked_before_may_park_in_a_callback(guest):
    # By then it counts as one that waiting threads may run themselves.
    run(guest, """
    m = guest()
    def body():
        for _ in range(300): gort.gosched()
        for _ in range(3):
            assert m.calls(lambda x: (gort.sleep(0.0005), gort.gosched(), x)[2], 7) == 7
    def main():
        for _ in range(20):
            for g in [gort.go(body) for _ in range(3)]: g.join()
    gort.run(main)
    """)


def test_the_end_of_a_run_reaches_those_that_wait_inside_callbacks(guest):
    run(guest, """
    m = guest()
    ended = []
    def waits(x):
        try: gort.Chan().recv()
        finally: ended.append(x)
    def main():
        goroutines = [gort.go(m.calls, waits, i) for i in range(5)]
        while any(g.status != "waiting" for g in goroutines): gort.gosched()
    for _ in range(3):
        gort.run(main)
    assert sorted(ended) == sorted(list(range(5)) * 3)
    assert gort.num_goroutine() == 1
    """)


def test_a_deadlock_of_those_that_wait_inside_callbacks_is_seen(guest):
    run(guest, """
    m = guest()
    def main():
        g = gort.go(m.calls, lambda x: gort.Chan().recv(), 1)
        g.join()
    try: gort.run(main)
    except gort.Deadlock as error: assert "chan receive" in str(error.goroutines), error.goroutines
    else: raise AssertionError("no deadlock")
    """)


def test_exceptions_pass_through_a_bound_call_after_a_park(guest):
    run(guest, """
    m = guest()
    texts = []
    def fails(*_):
        gort.sleep(0.0005)
        raise ValueError("text")
    def body():
        for _ in range(5):
            texts.append(m.rethrows(fails))
            try: m.calls(fails, 1)
            except ValueError as error: texts.append(str(error))
    run_all(body, body, body)
    assert sorted(texts) == ["caught text"] * 15 + ["text"] * 15, texts
    """)


def test_a_bound_call_that_blocks_with_the_gil_released_holds_up_nobody(guest):
    run(guest, """
    m = guest()
    attempts = (run_all(lambda: m.blocks(0.3)) for _ in range(5))   # the others may get no CPU for a while
    assert any(turns > 1000 for turns in attempts)
    def main():
        for g in [gort.go(m.blocks, 0.5) for _ in range(10)]: g.join()
    def seconds():
        began = time.monotonic()
        gort.run(main)
        return time.monotonic() - began
    assert any(seconds() < 4.5 for _ in range(5))  # one after the other: 5
    """)


def test_threads_of_the_module_call_back_and_use_gort(guest):
    run(guest, """
    m = guest()
    got = []
    def callback(i):
        gort.go(got.append, i).join()
        gort.sleep(0.0002)
    m.calls_from_a_thread(callback)
    run_all(*[lambda: m.calls_from_a_thread(callback)] * 3)
    assert sorted(got) == sorted(list(range(5)) * 4)
    """)


def test_exit_while_goroutines_wait_inside_callbacks(guest):
    run(guest, """
    m = guest()
    for i in range(5): gort.go(m.calls, lambda x: gort.Chan().recv(), i)
    gort.go(m.blocks, 30)
    gort.sleep(0.02)
    """)


def test_goroutines_switch_as_ever_once_such_a_module_is_loaded(guest):
    run(guest, """
    def turns(n):
        for _ in range(n): gort.gosched()
    def main():
        for g in [gort.go(turns, 5000) for _ in range(3)]: g.join()
    gort.run(main)
    m = guest()
    assert m.acquires()
    threads = set()
    for _ in range(3): gort.run(main)
    assert m.acquires()
    gort.go(m.acquires).join()
    """)
