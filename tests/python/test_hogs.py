"""Python goroutines that compute without end: they share the interpreter, on a bounded number of threads."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import gort
from interpreter import WITHOUT_GIL

MAX_HOGS = 8  # Options::max_hogs

moved = pytest.mark.skipif(
    bool(gort._gort._why_public_swap()) and sys.version_info >= (3, 12),
    reason="with the public swap nobody is made to yield (end_slice in python_lane.cpp)",
)


def threads() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("Threads")).split()[1])


@moved
def test_more_hogs_than_threads_all_have_turns():
    turns = [0] * (MAX_HOGS + 24)
    over = False
    most = 0
    causes = set()

    def hog(i):
        while not over:
            turns[i] += 1

    def main():
        nonlocal over, most
        before = threads()
        hogs = [gort.go(hog, i) for i in range(len(turns))]
        try:
            deadline = time.monotonic() + 60
            while not all(turns) and time.monotonic() < deadline:
                gort.sleep(0.01)
                most = max(most, threads() - before)
            causes.update(*(g.switches for g in gort.sched.state(stacks=False).goroutines))
        finally:
            over = True
        for g in hogs:
            g.join()

    gort.run(main)
    assert all(turns)
    # Beside the hogs: the machine with the P, one on its way in, and those that were asked to yield and wait for the GIL: 9 on a busy machine.
    assert most <= MAX_HOGS + 16 < len(turns)
    assert "preempt_signal" in causes


def test_goroutines_in_foreign_code_are_no_hogs():
    # They were counted as such: beside four hogs the 5th and every later one began a second after the one before.
    barrier = threading.Barrier(MAX_HOGS + 50)  # passed when all are in it
    passed = []
    over = False

    def hog():
        while not over:
            pass

    def blocks():
        barrier.wait(timeout=50)
        passed.append(True)

    def main():
        nonlocal over
        hogs = [gort.go(hog) for _ in range(4)]
        try:
            for g in [gort.go(blocks) for _ in range(barrier.parties)]:
                g.join()
        finally:
            over = True
        for g in hogs:
            g.join()

    gort.run(main)
    assert len(passed) == barrier.parties


@pytest.mark.skipif(WITHOUT_GIL, reason="no trace function is used")
@moved
def test_a_hook_on_tracing_cannot_wait():
    # A hog is asked to yield by a trace function; switching that on calls audit hooks, on a scheduler's stack: it crashed.
    # Switched off it is on the goroutine's own stack, where the hook does not wait: 3.11 has no second hook in sys.settrace meanwhile.
    code = f"""
import gort, sys
ch, texts, over = None, set(), False
def hook(event, args):
    if event == "sys.settrace" and ch is not None and not texts:
        try: ch.send(1)
        except gort.FatalError as error: texts.add(str(error))
sys.addaudithook(hook)
def hog():
    while not over: pass
def main():
    global ch, over
    hogs = [gort.go(hog) for _ in range({MAX_HOGS} + 8)]
    ch = gort.Chan()
    while not texts: gort.sleep(0.01)
    over = True
    for g in hogs: g.join()
gort.run(main)
assert len(texts) == 1 and "cannot wait" in texts.pop()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=80)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_hog_is_not_moved_while_it_may_hold_a_lock_of_its_thread():
    # An RLock belongs to the OS thread: another goroutine on it would walk in.
    inside: list[int] = []
    met: list[list[int]] = []
    records = 0
    over = False
    started = [False] * (MAX_HOGS + 4)

    class Handler(logging.Handler):
        def emit(self, record):  # under the handler's RLock
            nonlocal records
            inside.append(record.args)
            met.append(list(inside))
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                pass
            inside.remove(record.args)
            records += 1

    logger = logging.getLogger("test_hogs")
    logger.propagate = False
    handler = Handler()
    logger.addHandler(handler)

    def logs():
        for _ in range(4):
            logger.warning("%s", threading.get_ident())

    def hog(i):
        while not over:
            started[i] = True

    def main():
        nonlocal over
        hogs = [gort.go(hog, i) for i in range(len(started))]
        try:
            for g in [gort.go(logs) for _ in range(3)]:
                g.join(timeout=80)
        finally:
            over = True
        for g in hogs:
            g.join()

    try:
        gort.run(main)
    finally:
        logger.removeHandler(handler)
    assert records == 12
    assert [names for names in met if len(names) > 1] == []
    assert sum(started) > MAX_HOGS


def test_a_hog_is_not_moved_inside_its_own_with_of_an_rlock():
    over = False
    turns = [0] * (MAX_HOGS + 8)
    failed = []

    def hog(i):
        lock = threading.RLock()
        while not over:
            with lock:  # "cannot release un-acquired lock", if it came back on another thread
                for _ in range(200_000):
                    pass
            turns[i] += 1

    def guarded(i):
        try:
            hog(i)
        except RuntimeError as error:
            failed.append(str(error))

    def main():
        nonlocal over
        hogs = [gort.go(guarded, i) for i in range(len(turns))]
        try:
            deadline = time.monotonic() + 60
            while min(turns) < 5 and not failed and time.monotonic() < deadline:
                gort.sleep(0.01)
        finally:
            over = True
        for g in hogs:
            g.join()

    gort.run(main)
    assert failed == []
    assert min(turns) >= 5
