"""gort ps and gort top: another process is looked into, whatever it does."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from gort import sched
from gort._outside import snapshot as outside
from gort._outside.memory import Ended, Process, Refused, Unreadable
from other_process import Program, gort

EVERY_KIND = """
def receives(): ch.recv()
def sleeps(): gort.sleep(100)
def blocks(): time.sleep(100)
def computes():
    while not over: pass
def started():
    return {g.name: g for g in gort.runtime.goroutines()}

ch, over = gort.Chan(), []
def main():
    for fn in (receives, sleeps, blocks, computes):
        gort.go(fn)
    gort.go(ch.recv)
    gort.go_native(ctypes.CDLL(None).sleep, 100)
    while started()["receives"].status != "waiting" or started()["sleeps"].status != "waiting":
        gort.gosched()
    ready()
    until_told()
    over.append(1)
    os._exit(0)
gort.run(main)
"""


def rows_of(pid: int) -> dict[str, dict]:
    """The goroutines that gort ps --json shows, by name."""
    done = gort("ps", str(pid), "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["goroutines"]}


def until(condition, what):
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline, what
    return value


def rows_of_every_kind(pid: int) -> dict[str, dict]:
    """The rows once all have come to where they stay; when the program is ready, some may not have begun."""

    def settled():
        rows = rows_of(pid)
        native = [row["status"] for row in rows.values() if row["lane"] == "native"]
        if not {"blocks", "computes", "Chan.recv"} <= set(rows) or not native or native == ["runnable"]:
            return None
        begun = rows["blocks"]["stack"] and rows["computes"]["stack"] and rows["Chan.recv"]["status"] == "waiting"
        return rows if begun else None

    return until(settled, "some never began")


def test_every_goroutine_is_shown_with_what_it_does():
    with Program(EVERY_KIND) as program:
        rows = rows_of_every_kind(program.pid)
        assert rows["receives"]["status"] == "waiting" and rows["receives"]["wait_reason"] == "chan receive"
        assert rows["receives"]["waiting_on"] != 0 and rows["receives"]["lane"] == "python"
        assert rows["sleeps"]["wait_reason"] == "sleep"
        assert rows["Chan.recv"]["wait_reason"] == "chan receive"
        assert rows["blocks"]["status"] in ("running", "runnable")
        assert rows["computes"]["status"] in ("running", "runnable")
        assert {row["parent_id"] for name, row in rows.items() if name} == {1}
        native = [row for row in rows.values() if row["lane"] == "native"]
        assert len(native) == 1 and native[0]["status"] in ("running", "syscall")
        assert re.match(r"blocks\(\.\.\.\)\n\t<string>:\d+\n", rows["blocks"]["stack"])
        assert program.end() == 0


def test_the_table_names_states_functions_and_threads():
    with Program(EVERY_KIND) as program:
        rows_of_every_kind(program.pid)
        done = gort("ps", str(program.pid))
        assert done.returncode == 0 and done.stderr == ""
        head, *_ = done.stdout.splitlines()
        assert re.fullmatch(rf"process {program.pid}: gort \d+\.\d+\.\d+, Python {sys.version.split()[0]}; 7 goroutines, \d+ threads", head)
        assert re.search(r"chan receive .* python .* receives +<string>:\d+\n", done.stdout)
        assert re.search(r"\n +1 .* a thread\n", done.stdout)
        threads = {int(line.split()[1]) for line in done.stdout.split("\nThreads\n")[1].splitlines()[1:]}
        threads -= {0}  # one that is just being started
        assert threads == {int(name) for name in os.listdir(f"/proc/{program.pid}/task")} & threads and len(threads) > 2


def test_stacks_are_those_that_the_process_would_print_itself():
    code = """
    import json
    from gort import runtime

    class Box:
        def outer(self, ch):
            '''a docstring, so that lines and instructions differ'''
            x = [1,
                 2]
            self.inner(
                ch,
            )

        def inner(self, ch):
            return [value for value in ch] if x_of() else sorted([1, 2], key=lambda _: ch.recv())

    def x_of(): return False
    def deep(ch, n): return deep(ch, n - 1) if n else ch.recv()
    def café(ch): ch.recv()

    def main():
        ch = gort.Chan()
        for fn, *more in ((Box().outer,), (deep, 5), (deep, 150), (café,)):
            g = gort.go(fn, ch, *more)
            while g.status != "waiting":
                gort.gosched()
        ready(json.dumps(runtime.stack(all=True)))
        until_told()
        os._exit(0)
    gort.run(main)
    """
    with Program(code) as program:
        inside = json.loads(program.line).split("\n\n")
        seen = gort("ps", str(program.pid), "--stacks").stdout.split("\n\n")
        assert len(inside) == len(seen) == 5

        def number(text):
            return int(re.match(r"goroutine (\d+)", text.strip())[1])

        inside.sort(key=number)
        seen.sort(key=number)
        for own, others in zip(inside[1:], seen[1:]):
            own = re.sub(r"\]:\nwaiting for .*\n", "]:\n", own)  # what is waited for is told in other ways
            assert others.strip() == own.strip()
        for told in ("additional frames elided", "café(...)", "Box.inner(...)"):
            assert sum(told in text for text in seen) == 1


@pytest.mark.parametrize("wait", ["ctypes.PyDLL(None).sleep(100)", "sum(iter(int, 1))"])
def test_a_process_whose_gil_is_held_for_ever_is_shown(wait):
    code = f"""
    def holds_the_gil(one):
        while one.wait_reason != "sleep": gort.gosched()
        ready()
        {wait}
    def main():
        gort.go(holds_the_gil, gort.current())
        gort.sleep(1000)
    gort.run(main)
    """
    with Program(code) as program:
        # ctypes has frames of its own before the call.
        until(lambda: rows_of(program.pid)["holds_the_gil"]["stack"].startswith("holds_the_gil(...)\n\t<string>:"), "it never got there")
        rows = rows_of(program.pid)
        assert rows["holds_the_gil"]["status"] == "running"
        assert rows[None]["wait_reason"] == "sleep"


def test_a_stopped_process_is_shown_and_stays_stopped():
    with Program(EVERY_KIND) as program:
        os.kill(program.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, program.pid, os.WSTOPPED | os.WNOWAIT)
        assert "receives" in rows_of(program.pid)
        with open(f"/proc/{program.pid}/stat") as stat:
            assert stat.read().rpartition(")")[2].split()[0] == "T"


CHURN = """
def short(): pass
def parks(ch): ch.recv()
def yields(n):
    for _ in range(n): gort.gosched()
def main():
    ready()
    while True:
        ch, all = gort.Chan(), []
        for n in range(100):
            all += gort.go(short), gort.go(parks, ch), gort.go(yields, n % 5)
        gort.gosched()
        ch.close()
        for g in all:
            g.join()
gort.run(main)
"""


def test_goroutines_that_come_and_go_while_they_are_read_are_never_mixed_up():
    with Program(CHURN) as program, Process(program.pid) as memory:
        reader = outside.Reader(memory)
        shots, seen = 0, set()
        while shots < 200 or not seen >= {"short", "parks", "yields"}:
            shot = reader.snapshot(stacks=True)
            shots += 1
            seen |= {g.name for g in shot.goroutines}
            assert len({g.id for g in shot.goroutines}) == len(shot.goroutines)
            for g in shot.goroutines:
                assert g.name in ("short", "parks", "yields", None) and g.lane == "python"
                names = re.findall(r"(\S+)\(\.\.\.\)", g.stack)
                if g.name and g.status == "waiting":
                    assert g.name == "parks" and g.wait_reason in ("chan receive", "") and names in ([], ["parks"])
                assert set(names) <= {"short", "parks", "yields", "main", "ready", "<module>"}
                assert g.created_at is None or re.fullmatch(r"<string>:\d+", g.created_at)


def test_memory_that_changes_under_the_reader_neither_stops_nor_breaks_it():
    class Noisy:
        """Each tenth read finds random bytes, zeros, or nothing at all."""

        def __init__(self, memory: Process, seed: int) -> None:
            self.memory, self.random = memory, random.Random(seed)
            self.quiet = True

        def symbols(self, library: str, name: str):
            return self.memory.symbols(library, name)

        def read(self, address: int, size: int) -> bytes:
            data = self.memory.read(address, size)
            if self.quiet or not size or self.random.random() > 0.1:
                return data
            kind = self.random.randrange(4)
            if kind == 0:
                raise Unreadable(hex(address))
            if kind == 1:
                return bytes(size)
            spoiled = bytearray(data)
            for _ in range(1 if kind == 2 else size):
                spoiled[self.random.randrange(size)] = self.random.randrange(256)
            return bytes(spoiled)

    with Program(EVERY_KIND) as program, Process(program.pid) as memory:
        shown = 0
        for seed in range(150):
            noisy = Noisy(memory, seed)
            reader = outside.Reader(noisy)
            noisy.quiet = False
            try:
                shown += len(reader.snapshot(stacks=True).goroutines)
            except (Unreadable, Refused):
                pass
        assert shown > 100


def test_rows_have_the_names_and_values_of_sched_state():
    with Program(EVERY_KIND) as program:
        data = json.loads(gort("ps", str(program.pid), "--json").stdout)
    assert data["pid"] == program.pid
    own = sched.state().to_dict()
    for part in ("machines", "processors", "lanes"):
        assert set(data[part][0]) >= set(own[part][0])
    assert set(data["goroutines"][0]) >= set(own["goroutines"][0]) - {"waits_for"}
    assert [(p["lane"], p["id"]) for p in data["processors"]] == [(p["lane"], p["id"]) for p in own["processors"]]


@pytest.mark.parametrize(("kind", "lock", "reason"), [("Mutex", "lock", "sync.Mutex.Lock"), ("RWMutex", "rlock", "sync.RWMutex.RLock")])
def test_who_has_the_mutex_is_shown(kind, lock, reason):
    code = f"""
    mutex = gort.{kind}()
    def has_it():
        with mutex: gort.sleep(100)
    def wants_it():
        mutex.{lock}()
    def main():
        for fn, reason in ((has_it, "sleep"), (wants_it, "{reason}")):
            g = gort.go(fn)
            while g.wait_reason != reason: gort.gosched()
        ready()
        until_told()
        os._exit(0)
    gort.run(main)
    """
    with Program(code) as program:
        rows = rows_of(program.pid)
        assert rows["wants_it"]["held_by"] == rows["has_it"]["id"] and rows["has_it"]["held_by"] is None
        assert f"{reason}, held by {rows['has_it']['id']}" in gort("ps", str(program.pid)).stdout


def test_the_child_of_a_fork_is_a_process_of_its_own():
    code = """
    def main():
        gort.go(gort.sleep, 100)
        child = os.fork()
        if child == 0:
            gort.go(gort.sleep, 200)
            gort.gosched()
            ready(os.getpid())
        until_told()
        os._exit(0)
    gort.run(main)
    """
    with Program(code) as program:
        child = int(program.line)
        try:
            data = json.loads(gort("ps", str(child), "--json").stdout)
            assert [row["name"] for row in data["goroutines"]] == [None, "sleep"]
            assert data["machines"][0]["os_thread"] == child
        finally:
            os.kill(child, signal.SIGKILL)


# --- what cannot be shown


def assert_refused(done: subprocess.CompletedProcess[str], text: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(text, done.stderr.rstrip("\n")), done.stderr


def ended_process() -> int:
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


@pytest.mark.parametrize("command", ["ps", "top"])
def test_a_process_that_is_not_there_is_said(command):
    pid = ended_process()
    assert_refused(gort(command, str(pid)), rf"gort {command}: no process {pid}")


def test_a_process_without_gort_is_said():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        try:
            assert_refused(gort("ps", str(other.pid)), rf"gort ps: process {other.pid} does not use gort")
        finally:
            other.kill()


def test_a_zombie_is_said():
    other = subprocess.Popen(["true"])
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert_refused(gort("ps", str(other.pid)), rf"gort ps: process {other.pid} has no memory: .*")
    finally:
        other.wait()


@pytest.mark.parametrize("pid", ["0", "-5", "x", "", "1.5", str(1 << 40)])
def test_what_is_no_process_id_is_a_wrong_argument(pid):
    done = gort("ps", "--", pid)
    assert done.returncode == 2 and f"PID must be the number of a process, got {pid!r}" in done.stderr


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_a_process_of_somebody_else_is_said():
    if os.geteuid() != 0:
        with pytest.raises(Refused, match="belongs to user 0: only that user or root"):
            Process(1)
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            Process(os.getppid())
            text = "it was opened"
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == f"Refused: process {os.getpid()} belongs to user 0: only that user or root may read its memory"
    os.waitpid(child, 0)


def test_another_layout_is_refused_by_its_version():
    class Newer:
        def __init__(self, memory: Process) -> None:
            self.memory = memory

        def symbols(self, library: str, name: str):
            return self.memory.symbols(library, name)

        def read(self, address: int, size: int) -> bytes:
            data = self.memory.read(address, size)
            if data[:8] == b"gortmap\n":
                data = data[:8] + (outside.VERSION + 1).to_bytes(4, "little") + data[12:16] + b"9.9.9".ljust(16, b"\0")
            return data

    with Process(os.getpid()) as memory:
        with pytest.raises(Refused, match=rf"it uses gort 9\.9\.9, whose layout {outside.VERSION + 1} this gort does not know"):
            outside.Reader(Newer(memory))


def test_a_process_that_ends_while_it_is_read_is_said():
    with Program(EVERY_KIND) as program, Process(program.pid) as memory:
        reader = outside.Reader(memory)
        reader.snapshot()
        assert program.end() == 0
        with pytest.raises(Ended, match=f"process {program.pid} has ended"):
            reader.snapshot()


# --- top

TURNS = """
def turns():
    while True: gort.gosched()
def waits(): gort.sleep(100)
def main():
    goroutines = [gort.go(fn) for fn in (turns, turns, waits)]
    while goroutines[2].status != "waiting":
        gort.gosched()
    ready()
    until_told()
    os._exit(0)
gort.run(main)
"""


def test_top_shows_states_rates_and_the_busiest_goroutines():
    with Program(TURNS) as program:
        done = gort("top", str(program.pid), "-n", "2", "--interval", "0.3")
        assert done.returncode == 0, done.stderr
        looks = done.stdout.count(f"process {program.pid}: gort")
        assert looks == 2
        last = done.stdout[done.stdout.rindex("process ") :]
        assert re.search(r"python  sleep +1\n", last)

        def busy(text):
            first_two = text.partition("Busiest goroutines\n")[2].splitlines()[1:3]
            turns = [re.search(r"\d+ +[1-9][\d,]* .* turns +<string>:\d+", line) for line in first_two]
            return re.search(r"\n  yield +[\d,]+\n", text) and len(turns) == 2 and all(turns)

        # The process may have stood still between the two looks.
        until(lambda: busy(last) or busy(gort("top", str(program.pid), "--once", "--interval", "0.3").stdout), last)


def test_top_once_looks_once():
    with Program(TURNS) as program:
        assert gort("top", str(program.pid), "--once", "--interval", "0.1").stdout.count("Ends of time slices") == 1


def top(pid: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gort", "top", str(pid), "--interval", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(f"process {pid}: gort")
    return process


def test_top_ends_well_with_ctrl_c():
    with Program(TURNS) as program:
        process = top(program.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (0, "")


def test_top_ends_well_with_the_process():
    with Program(TURNS) as program:
        process = top(program.pid)
        assert program.end() == 0
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (0, f"gort top: process {program.pid} has ended\n")


@pytest.mark.parametrize("arguments", [["--interval", "0"], ["--interval", "nan"], ["-n", "0"], ["-n", "2", "--once"]])
def test_wrong_arguments_of_top_are_named(arguments):
    done = gort("top", "1", *arguments)
    assert done.returncode == 2 and arguments[0] in done.stderr


@pytest.mark.parametrize("command, seen", [(["ps"], r"receives.*<string>:\d+"), (["top", "--once", "--interval", "0.1"], "chan receive")])
def test_on_a_terminal_the_same_is_shown_in_tables(command, seen):
    pytest.importorskip("rich")
    with Program(EVERY_KIND) as program:
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gort", *command, str(program.pid)],
            stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "100"},
        )  # fmt: skip
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (0, b"")
        assert re.search(seen, text.decode()) and "\x1b[" in text.decode()
