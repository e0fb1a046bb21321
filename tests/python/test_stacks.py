"""Where a goroutine's calls lie: C frames and, beside them, CPython's own frames."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

from interpreter import FREE_THREADED

HEAD = """
import ctypes, os, sys, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of threads beside fork
import gort

def deep(n, at_end):
    return deep(n - 1, at_end) + 1 if n else at_end()

def parked_in(depth, count):
    "Goroutines that wait at this depth of Python calls."
    never = gort.Chan()
    def at_end():
        never.recv_ok()
        return 0
    goroutines = [gort.go(lambda: values.append(deep(depth, at_end))) for _ in range(count)]
    for g in goroutines:
        while g.status != "waiting": gort.gosched()
    return never, goroutines
values = []
"""


def run(body: str, head: str = "") -> str:
    program = head + HEAD + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def strict(tmp_path_factory) -> str:
    """The beginning of a program whose arena allocator ends the process when it gets an address back that it has not given."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "c++", "g++"))), None)
    assert compiler, "these tests need a C compiler, as building gort does"
    library = tmp_path_factory.mktemp("native") / "arenas.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("arenas.c"))], check=True)
    return textwrap.dedent(f"""
        import ctypes
        functions = ctypes.CDLL({str(library)!r})
        class Allocator(ctypes.Structure):
            _fields_ = [(name, ctypes.c_void_p) for name in ("context", "give", "take")]
        address = lambda name: ctypes.cast(getattr(functions, name), ctypes.c_void_p)
        ctypes.pythonapi.PyObject_SetArenaAllocator(ctypes.byref(Allocator(None, address("give_pages"), address("take_pages"))))
        """)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="how large C frames and pages are depends on the processor")
@pytest.mark.skipif(FREE_THREADED or sysconfig.get_config_var("Py_DEBUG"), reason="thread states and C frames of these builds are larger")
def test_a_parked_goroutine_costs_little_more_than_a_page():
    each = run("""
    def resident():
        with open("/proc/self/statm") as file: return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def main():
        parked_in(0, 64)
        before = resident()
        kept = parked_in(0, 10_000)
        print((resident() - before) / 10_000)
        kept[0].close()
    gort.run(main)
    """)
    assert float(each) < 7_000


def test_frames_grow_out_of_the_stack_and_back_again():
    run("""
    def main():
        for depth in (1, 10, 50, 90, 110, 150, 400, 900):
            never, goroutines = parked_in(depth, 20)
            frames = sys._current_frames()  # looks at each
            never.close()
            for g in goroutines: g.join()
            assert values == [depth] * 20
            values.clear()
    gort.run(main)
    gort.run(main)
    """)


@pytest.mark.parametrize("depth", [0, 10, 400])
def test_a_child_deletes_the_states_of_parked_goroutines_and_frees_no_part_of_their_stacks(strict, depth):
    run(
        f"""
    def main():
        never, goroutines = parked_in({depth}, 50)
        gort.go(int).join()
        pid = os.fork()
        if pid == 0:
            again, others = parked_in({depth}, 50)
            again.close()
            for g in others: g.join()
            os._exit(len(values))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 50
        never.close()
        for g in goroutines: g.join()
        assert values == [{depth}] * 50
    gort.run(main)
    """,
        strict,
    )


@pytest.mark.parametrize("depth", [0, 10, 400])
def test_the_end_of_the_interpreter_frees_no_part_of_a_stack(strict, depth):
    run(f"gort.run(lambda: gort.go(int).join())\nkept = parked_in({depth}, 50)", strict)
