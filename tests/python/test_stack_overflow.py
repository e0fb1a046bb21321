"""A goroutine whose C stack overflows is reported as Go words it, and the process ends as Go's does."""

from __future__ import annotations

import platform
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from interpreter import WITHOUT_GIL

# A C function that calls itself for ever, in machine code: no compiler is needed.
HEAD = """
import ctypes, faulthandler, mmap, platform, threading, types
import gort

CODE = {"x86_64": bytes.fromhex("e8fbffffff"), "aarch64": bytes.fromhex("fd7bbfa9ffffff97")}[platform.machine()]
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(CODE)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
overflow = ctypes.CFUNCTYPE(None)(address)           # lets go of the GIL
overflow_with_gil = ctypes.PYFUNCTYPE(None)(address)
"""

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the test's machine code is for other processors")


def run(body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HEAD + textwrap.dedent(body)], capture_output=True, text=True, timeout=50)


def assert_reported(done: subprocess.CompletedProcess[str], function: str) -> None:
    assert done.returncode == 2, done.stderr
    number = done.stdout.strip()
    assert re.match(
        r"runtime: goroutine stack exceeds \d+-byte limit\n"
        r"runtime: sp=0x[0-9a-f]+ stack=\[0x[0-9a-f]+, 0x[0-9a-f]+\]\n"
        r"fatal error: stack overflow\n\n"
        rf"goroutine {number} \[running\]:\n"
        rf"(?:(?s:.)* in {function}\n|{function}\(\.\.\.\)\n\t<string>:\d+\n$)",
        done.stderr,
    ), done.stderr


@pytest.mark.parametrize("function", ["overflow", "overflow_with_gil"])
def test_a_goroutine_that_overflows_is_named_with_its_python_frames(function):
    done = run(f"""
        def sink():
            print(gort.current().id, flush=True)
            {function}()
        gort.run(lambda: gort.go(sink).join())
    """)
    assert_reported(done, "sink")


@pytest.mark.skipif(WITHOUT_GIL, reason="threads lend themselves with the GIL only")
def test_one_that_runs_on_a_lent_plain_thread_is_named_too():
    done = run("""
        def sink():
            for _ in ch:   # it is never seen blocked, so some time the main thread runs it itself while it waits
                if threading.get_ident() == main:
                    print(gort.current().id, flush=True)
                    overflow()
        def sinks():       # one whose thread gets no CPU for a while looks as if blocked: so another code now and then
            while True:
                gort.go(types.FunctionType(sink.__code__.replace(), globals()))
                for _ in range(10_000): ticks.recv()
        def feed():
            while True:
                ch.send(None)
                ticks.send(None)   # the main thread is the last one that went idle, and the first one asked
        main, ch, ticks = threading.get_ident(), gort.Chan(), gort.Chan()
        threading.Thread(target=feed, daemon=True).start()
        gort.run(sinks)
    """)
    assert_reported(done, "sink")


def test_other_faults_go_to_faulthandler_as_before():
    done = run("""
        faulthandler.enable()
        gort.run(lambda: gort.go(ctypes.string_at, 0).join())
    """)
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr.startswith("Fatal Python error: Segmentation fault\n")


def test_without_a_handler_a_fault_ends_the_process_by_its_signal():
    done = run("gort.run(lambda: gort.go(ctypes.string_at, 0).join())")
    assert (done.returncode, done.stderr) == (-signal.SIGSEGV, "")


def test_the_main_threads_own_stack_is_left_to_others():
    done = run("""
        faulthandler.enable()
        gort.run(overflow)
    """)
    assert done.returncode == -signal.SIGSEGV
    assert done.stderr.startswith("Fatal Python error: Segmentation fault\n")
