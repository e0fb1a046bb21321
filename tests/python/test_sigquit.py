"""A signal that prints every goroutine, as SIGQUIT does in Go."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import os, signal, sys, threading, time
import gort

def parked():
    gort.Chan().recv()

def sleeper():
    gort.sleep(30)

def quit_soon():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGQUIT)).start()

def quit_once(condition, *waiting):
    "Quit when the condition holds and those goroutines wait."
    def quits():
        while not condition() or any(g.status != "waiting" for g in waiting): time.sleep(0.001)
        quit_soon()
    threading.Thread(target=quits).start()

begun = []
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HEAD + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **environment},
    )


def assert_dumped(done: subprocess.CompletedProcess[str], main: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("SIGQUIT: quit\n\n")
    blocks = done.stderr.removeprefix("SIGQUIT: quit\n\n").split("\n\n")
    headers = {re.sub(r"^goroutine \d+ ", "", block.splitlines()[0]) for block in blocks}
    assert {"[chan receive]:", "[sleep]:"} <= headers
    assert re.search(main, done.stderr), done.stderr
    assert re.search(r"parked\(\.\.\.\)\n\t<string>:\d+\ncreated by main in goroutine 1\n\t<string>:\d+\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    "wait, parks, main",
    [
        ("gort.current().join()", True, r"goroutine 1 \[.*\]:\nwaiting for goroutine 1\nmain\(\.\.\.\)\n"),
        ("time.sleep(20)", False, r"goroutine 1 \[.*\]:\nmain\(\.\.\.\)\n"),
        ("[None for _ in iter(int, 1)]", False, r"goroutine 1 \[.*\]:\n(<listcomp>|main\.<locals>\.<listcomp>|main)"),
        ("gort.sleep(20)", True, r"goroutine 1 \[sleep.*\]:\nmain\(\.\.\.\)\n"),
    ],
)
def test_it_prints_every_goroutine_and_ends_with_status_2_whatever_main_does(wait, parks, main):
    done = python(
        f"""
        def main():
            waiting = [gort.go(parked), gort.go(sleeper)]
            while any(g.status != "waiting" for g in waiting): gort.gosched()
            quit_once(lambda: begun, *([gort.current()] if {parks} else []))
            begun.append(True); {wait}
        gort.run(main)
        """,
        GORT_DEBUG="sigquit=1",
    )
    assert_dumped(done, main)


def test_a_goroutine_that_computes_is_shown_where_it_is():
    done = python("""
        def busy():
            begun.append(True)
            while True: pass
        def main():
            quit_once(lambda: begun, gort.go(parked), gort.go(sleeper), gort.current())
            gort.go(busy)
            gort.current().join()
        gort.signal.dump_on()
        gort.run(main)
    """)
    assert_dumped(done, r"goroutine \d+ \[run.*\]:\nbusy\(\.\.\.\)\n\t<string>:\d+\n")


def test_another_signal_and_the_program_goes_on():
    done = python("""
        def main():
            g = gort.go(parked)
            while g.status != "waiting": gort.gosched()
            ch = gort.Chan(1)
            gort.signal.notify(ch, signal.SIGUSR1)
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGUSR1)
                ch.recv()
        gort.signal.dump_on(signal.SIGUSR1, exit=False)
        gort.run(main)
    """)
    assert done.returncode == 0
    assert done.stderr.count("SIGUSR1: user defined signal 1\n\ngoroutine ") == 2
    assert done.stderr.count("\nparked(...)\n") == 2


def test_reset_undoes_it():
    done = python("""
        gort.signal.dump_on()
        gort.signal.reset(signal.SIGQUIT)
        os.kill(os.getpid(), signal.SIGQUIT)
        time.sleep(20)
    """)
    assert (done.returncode, done.stderr) == (-3, "")


def test_without_being_asked_gort_leaves_sigquit_alone():
    done = python("""
        gort.run(lambda: (quit_soon(), gort.sleep(20)))
    """)
    assert (done.returncode, done.stderr) == (-3, "")
