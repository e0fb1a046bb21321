"""The commands for gdb, in a real gdb, on a live process and on a core file."""

from __future__ import annotations

import functools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from interpreter import WITHOUT_GIL
from other_process import Program, gort

PARKED = """
from gort import gc

def receives(ch): ch.recv()
def outer(ch): receives(ch)
def computes():
    going.append(True)
    while True: pass
going = []

def main():
    gort.gc.collect()   # the collector's worker: a native goroutine that waits
    while not any(g.wait_reason == "GC worker (idle)" for g in gort.sched.state().goroutines):
        gort.gosched()
    ch = gort.Chan()
    parked = gort.go(outer, ch)
    while parked.status != "waiting":
        gort.gosched()
    busy = gort.go(computes)
    while not going:
        gort.gosched()
    ready(parked.id, busy.id)
    until_told()
    ch.close()
    parked.join()
    os._exit(0)
gort.run(main)
"""


@functools.cache
def why_not() -> str:
    if not shutil.which("gdb"):
        return "gdb is not installed"
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", "python print(2 * 21)"], capture_output=True, text=True)
    if done.stdout.strip() != "42":
        return "this gdb was built without Python"
    with Program("ready(); until_told()") as program:
        done = subprocess.run(["gdb", "-nx", "-batch", "-p", str(program.pid)], capture_output=True, text=True)
        if "ptrace" in done.stderr:
            return f"gdb may not attach to a process of ours here: {done.stderr.strip().splitlines()[-1]}"
    return ""


@pytest.fixture(autouse=True)
def with_gdb():
    if why_not():
        pytest.skip(why_not())


def gdb(target: list[str], *commands: str) -> str:
    script = gort("--gdb").stdout.strip()
    arguments = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-x", script, *target]
    for command in commands:
        arguments += ["-ex", command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=90)
    assert "Python Exception" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def frames(text: str) -> list[str]:
    """The functions of a backtrace."""
    return [re.sub(r"^#\d+ +(0x\S+ in )?", "", line).split(" (")[0] for line in text.splitlines() if re.match(r"#\d+ ", line)]


def assert_shown(target: list[str], parked: str, busy: str) -> None:
    shown = gdb(
        target, "echo --\\n", "info goroutines", "echo --\\n", f"goroutine {parked} bt", "echo --\\n", f"goroutine {parked} python-bt",
        "echo --\\n", "goroutine all bt", "echo --\\n",
    )  # fmt: skip
    _, listed, trace, python, everything, _ = shown.split("--\n")
    assert re.search(rf"^  {parked} +chan receive +python +outer +<string>:\d+$", listed, re.M), listed
    assert re.search(rf"^. {busy} +(running|runnable) +python +computes ", listed, re.M), listed
    worker = re.search(r"^  (\d+) +GC worker \(idle\) +native +a native goroutine$", listed, re.M)
    assert worker, listed

    calls = frames(trace)
    assert calls[-1] == "gort_fiber_start" and "_PyEval_EvalFrameDefault" in calls and any("recv" in call for call in calls), calls
    assert re.fullmatch(
        r"receives\(\.\.\.\)\n\t<string>:\d+\nouter\(\.\.\.\)\n\t<string>:\d+\ncreated by main in goroutine 1\n\t<string>:\d+\n", python
    ), python

    _, *sections = re.split(r"^goroutine (\d+) \[.*\]:\n", everything, flags=re.M)
    traces = {number: frames(text) for number, text in zip(sections[::2], sections[1::2])}
    assert {"1", parked, busy, worker[1]} == set(traces), everything
    assert traces[parked] == calls
    assert traces[worker[1]][-1] == "gort_fiber_start" and any("worker" in call for call in traces[worker[1]])
    assert traces[busy][-1] == "gort_fiber_start" and "_PyEval_EvalFrameDefault" in traces[busy]
    assert "gort_fiber_start" not in traces["1"]


def test_goroutines_of_a_live_process_are_listed_and_unwound_and_it_goes_on():
    with Program(PARKED) as program:
        assert_shown(["-p", str(program.pid)], *program.line.split())
        assert program.end() == 0


def test_goroutines_of_a_core_file_are_listed_and_unwound(tmp_path: Path):
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("core files are forbidden here (ulimit -H -c)")
    allow = "import resource; resource.setrlimit(resource.RLIMIT_CORE, 2 * resource.getrlimit(resource.RLIMIT_CORE)[1:])\n"
    with Program(allow + textwrap.dedent(PARKED), folder=tmp_path) as program:
        program.process.send_signal(signal.SIGABRT)
        program.process.wait(timeout=50)
        ids = program.line.split()
    cores = list(tmp_path.glob("core*"))
    if not cores:
        pytest.skip("core files are not written to the folder of the process here (/proc/sys/kernel/core_pattern)")
    assert_shown([os.path.realpath(sys.executable), str(cores[0])], *ids)


def test_a_command_leaves_the_selected_thread_and_frame_as_they_were():
    with Program(PARKED) as program:
        parked = program.line.split()[0]
        shown = gdb(
            ["-p", str(program.pid)], "thread 2", "bt 1", "echo --\\n", f"goroutine {parked} bt 1", "echo --\\n", "bt 1", "thread",
        )  # fmt: skip
        before, _, after = shown.split("--\n")
        assert frames(before)[:1] == frames(after)[:1]
        assert "[Current thread is 2 " in after


@pytest.mark.skipif(WITHOUT_GIL, reason="nobody can keep them from beginning")
def test_a_goroutine_that_has_not_begun_is_said():
    code = """
    def main():
        sys.setswitchinterval(1000)   # nor does anybody ask for the GIL before that
        libc = ctypes.PyDLL(None)   # keeps the GIL
        line = " ".join(str(gort.go(print).id) for _ in range(2)).encode() + b"\\n"
        libc.write(1, line, len(line))
        libc.sleep(100)
    gort.run(main)
    """
    with Program(code) as program:
        ids = program.line.split()
        shown = gdb(["-p", str(program.pid)], "goroutine all bt 1")
        assert "goroutine 1 [running, locked to thread]:\n#0 " in shown
        for number in ids:
            assert f"goroutine {number} [runnable]:\ngoroutine {number} has not run yet\n" in shown
        assert f"goroutine {ids[0]} has not run yet" in gdb(["-p", str(program.pid)], f"goroutine {ids[0]} bt")


@pytest.mark.skipif(WITHOUT_GIL, reason="threads lend themselves with the GIL only")
def test_goroutine_1_is_unwound_on_its_own_stack_while_its_thread_runs_another_one():
    code = """
    import types
    libc = ctypes.PyDLL(None)   # keeps the GIL, so that the goroutine stays where it is
    home = threading.get_ident()
    def turns(count, stay):
        for _ in range(count): gort.gosched()
        if stay and threading.get_ident() == home:
            libc.write(1, b"in\\n", 3)
            libc.sleep(100)
    def main():
        while True:   # code that was stalled may have looked blocked, and is never trusted then: another try, with another copy
            trusted = types.FunctionType(turns.__code__.replace(), globals())
            others = [gort.go(trusted, 300, False) for _ in range(2)]
            while any(g.status != "dead" for g in others):
                gort.sleep(0.01)   # on other threads meanwhile
            gort.go(trusted, 1, True).join()
    gort.run(main)
    """
    with Program(code) as program:
        rows = json.loads(gort("ps", str(program.pid), "--json").stdout)
        thread = next(m for m in rows["machines"] if m["plain_thread"])
        assert rows["goroutines"][0]["wait_reason"] == "join" and thread["goroutine"] == rows["goroutines"][1]["id"]
        shown = gdb(["-p", str(program.pid)], "echo --\\n", "goroutine 1 bt", "echo --\\n", f"goroutine {thread['goroutine']} bt")
        _, own, guest = shown.split("--\n")
        assert "gort::Lane::execute(gort::M*, gort::G*)" in own and "goroutine_join" in own and "gort_fiber_start" not in own
        assert frames(guest)[-1] == "gort_fiber_start" and "goroutine_join" not in guest


def test_what_is_no_goroutine_is_said():
    with Program(PARKED) as program:
        shown = gdb(["-p", str(program.pid)], "goroutine 999999 bt")
        assert "No such goroutine: 999999" in shown
        assert "usage: goroutine ID|all COMMAND" in gdb(["-p", str(program.pid)], "goroutine")


def test_a_process_without_gort_is_said():
    with subprocess.Popen(["sleep", "100"]) as other:
        try:
            assert "gort: its gort has not been used yet" in gdb(["-p", str(other.pid)], "info goroutines")
        finally:
            other.kill()
