"""Go's lines about the scheduler: sched.schedtrace, sched.trace, GORT_DEBUG=schedtrace=N,scheddetail=1."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gort
from gort import sched
from interpreter import WITHOUT_GIL

SUMMARY = (
    r"SCHED \d+ms: gomaxprocs=\d+ idleprocs=\d+ threads=\d+ spinningthreads=\d+ needspinning=[01] idlethreads=\d+ runqueue=\d+"
)
SHORT = SUMMARY + r" \[ (\d+ )+\] schedticks=\[ (\d+ )+\]"
DETAILED = SUMMARY + r" gcwaiting=(true|false) nmidlelocked=\d+ stopwait=\d+ sysmonwait=(true|false)"
PROCESSOR = r"  P\d+: status=\d schedtick=\d+ syscalltick=\d+ m=(\d+|nil) runqsize=\d+ gfreecnt=\d+ timerslen=\d+"
MACHINE = (
    r"  M\d+: p=(\d+|nil) curg=(\d+|nil) mallocing=\d+ throwing=\d+ preemptoff=\S* locks=\d+ dying=\d+ "
    r"spinning=(true|false) blocked=(true|false) lockedg=(\d+|nil)"
)
GOROUTINE = r"  G\d+: status=\d+\([^)]*(\([^)]*\))?\) m=(\d+|nil) lockedm=(\d+|nil)"
LANE = r" lane=python"


def check(text: str, detail: bool) -> None:
    """Every line is one of Go's, in Go's order, for the native lane and then for the Python one."""
    kinds = []
    for line in text.splitlines():
        named = {"S": DETAILED if detail else SHORT, "P": PROCESSOR, "M": MACHINE, "G": GOROUTINE}
        native = [kind for kind, pattern in named.items() if re.fullmatch(pattern, line)]
        python = ["L"] if re.fullmatch(named["S"] + LANE, line) else []
        assert native + python, line
        kinds += native + python
    lanes = r"(SP+M*G*LP+M*G*)+" if detail else r"(SL)+"
    assert re.fullmatch(lanes, "".join(kinds)), kinds


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GORT_", "GOMAXPROCS"))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, env={**kept, **environment})


def test_the_short_form_is_gos_line_for_each_lane():
    check(gort.run(sched.schedtrace), detail=False)


def test_the_detailed_form_has_a_line_for_each_p_m_and_g():
    def main():
        g = gort.go(ch.recv)
        while g.status != "waiting":
            gort.gosched()
        text = sched.schedtrace(detail=True)
        ch.close()
        return g.id, text

    ch = gort.Chan()
    waiting, text = gort.run(main)
    check(text, detail=True)
    native, of_python = text.split(" lane=python\n")
    assert native.count("\n  P") == gort.gomaxprocs()
    assert f"  G{waiting}: status=4(chan receive) m=nil lockedm=nil" in of_python
    assert re.search(r"^  G1: status=2\(.*\) m=(\d+) lockedm=\1$", of_python, re.M)
    processor = r"\S+" if WITHOUT_GIL else "0"  # goroutine 1 goes on beside those who have one
    assert re.search(rf"^  M\d+: p={processor} curg=1 .* lockedg=1$", of_python, re.M)


COMPUTE = """
import gort, select, time
def main():
    end = time.monotonic() + 0.2
    while time.monotonic() < end or not told(): gort.gosched()
def told(): return select.select([0], [], [], 0)[0]
gort.run(main)
"""


def until_written(enough: Callable[[str], object], code: str, **environment: str) -> str:
    """What a program writes to standard error that is told to end when that is enough."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GORT_", "GOMAXPROCS"))}
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": {**kept, **environment}}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        text = ""
        while not enough(text) and (line := process.stderr.readline()):
            text += line
        process.stdin.write("\n")
        process.stdin.close()
        text += process.stderr.read()
        assert process.wait(timeout=50) == 0
    return text


def test_the_environment_makes_the_watching_thread_write_lines():
    text = until_written(lambda text: text.count("\n") >= 4, COMPUTE, GORT_DEBUG="schedtrace=5")
    check(text, detail=False)


def test_the_environments_detail_may_stand_before_the_period():
    text = until_written(lambda text: "  G1: " in text, COMPUTE, GORT_DEBUG="scheddetail=1,schedtrace=20")
    check(text, detail=True)
    assert "  G1: " in text


def test_detail_alone_writes_nothing():
    assert until_written(lambda text: True, COMPUTE, GORT_DEBUG="scheddetail=1") == ""


def test_trace_writes_until_it_is_told_to_stop():
    code = """
import gort, select, sys, time
from gort import sched
def main():
    sched.trace(0.005)
    while not select.select([0], [], [], 0)[0]: gort.sleep(0.01)
    sched.trace(None)
    time.sleep(0.05)
    sys.stderr.write("stopped\\n"); sys.stderr.flush()
    end = time.monotonic() + 0.2
    while time.monotonic() < end: gort.sleep(0.01)
gort.run(main)
"""
    lines, after = until_written(lambda text: text.count("\n") >= 4, code).split("stopped\n")
    check(lines + after, detail=False)
    assert after.count("SCHED") in (0, 2)   # the watching thread may have been held up in the middle of its last report


def test_a_program_that_only_sleeps_is_traced_too():
    done = python("import gort\nfrom gort import sched\nsched.trace(0.01, detail=True)\ngort.run(gort.sleep, 1)\nsched.trace(None)")
    check(done.stderr, detail=True)
    assert "  G1: status=4(sleep) m=nil" in done.stderr


@pytest.mark.parametrize(("period", "error"), [("1", TypeError), (True, TypeError), (0, ValueError), (float("nan"), ValueError), (-1.0, ValueError)])
def test_a_bad_period_is_refused_by_name(period, error):
    with pytest.raises(error, match="^trace: period must be "):
        sched.trace(period)


GO_PROGRAM = """
package main

import "time"

func main() {
	ch := make(chan int)
	go func() { <-ch }()
	for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); {
	}
}
"""


@pytest.mark.skipif(shutil.which("go") is None, reason="Go's own lines are compared where Go is installed")
@pytest.mark.parametrize("detail", [False, True])
def test_go_itself_writes_the_same_lines(tmp_path: Path, detail: bool):
    (tmp_path / "main.go").write_text(GO_PROGRAM)
    subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=tmp_path, check=True, timeout=240, env={**os.environ, "GOFLAGS": "-mod=mod"})
    settings = f"schedtrace=20,scheddetail={int(detail)}"
    lines = subprocess.run(
        [tmp_path / "program"], env={**os.environ, "GODEBUG": settings}, capture_output=True, text=True, timeout=30
    ).stderr.splitlines()

    def shapes(text: list[str]) -> set[str]:
        """The lines with what varies taken out: numbers, truth values, wait reasons, how many Ps there are."""
        blank = ((r"\([^=]*\) m=", "() m="), (r"\b(true|false)\b", "B"), (r"-?\b\d+(ms)?\b|\bnil\b", "N"), (r"(?<=[PMG])\d+", "N"), (r"(N )+\]", "N ]"))
        found = set()
        for line in text:
            for pattern, shape in blank:
                line = re.sub(pattern, shape, line)
            found.add(line)
        return found

    ours = gort.run(sched.schedtrace, detail).replace(" lane=python", "").splitlines()
    last = max(n for n, line in enumerate(lines) if line.startswith("SCHED"))  # Go's program may end in the middle of this report
    assert last > 0
    assert shapes(ours) == shapes([line for line in lines[:last] if line])
