"""run(): goroutine 1, the end of a run, its errors."""

from __future__ import annotations

import contextvars
import os
import select
import subprocess
import sys
import threading
import time
import warnings

import gort
import pytest


def test_run_returns_the_value_of_main():
    assert gort.run(lambda a, b=0: a + b, 40, b=2) == 42


def test_main_is_goroutine_1_on_the_calling_thread():
    def main():
        return gort.current().id, threading.get_ident(), threading.current_thread()

    assert gort.run(main) == (1, threading.get_ident(), threading.current_thread())


def test_exception_of_main_is_raised_from_run():
    def main():
        raise KeyError("k")

    with pytest.raises(KeyError):
        gort.run(main)


def test_parked_goroutines_run_their_finally_when_main_returns():
    ended = []

    def waits():
        try:
            gort.current().join()
        finally:
            ended.append("finally")

    def main():
        for _ in range(5):
            gort.go(waits)
        gort.gosched()
        while sum(g.wait_reason == "join" for g in gort.runtime.goroutines()) < 5:
            gort.gosched()

    gort.run(main)
    assert ended == ["finally"] * 5


def test_goroutine_that_never_started_is_dropped():
    started = []

    def main():
        gort.go(started.append, 1)

    gort.run(main)
    assert started == [] or started == [1]
    assert gort.num_goroutine() == 1


def test_busy_goroutine_gets_goexit_at_its_next_bytecode():
    seen, started = [], []

    def busy():
        try:
            started.append(True)
            while True:
                pass
        except gort.GoExit:
            seen.append("exit")
            raise

    def main():
        gort.go(busy)
        while not started:
            gort.gosched()

    gort.run(main)
    assert seen == ["exit"]


def test_goroutine_in_foreign_code_is_abandoned_with_a_warning_and_ends_later():
    ended = threading.Event()
    reading, writing = os.pipe()
    data = bytes(1 << 20)   # more than a pipe takes: the call returns when all is read

    def blocks():
        try:
            os.write(writing, data)
        except gort.GoExit:
            ended.set()
            raise

    def main():
        gort.go(blocks)
        while not select.select([reading], [], [], 0)[0]:   # until it is inside the call
            gort.gosched()

    with pytest.warns(ResourceWarning, match="1 goroutine did not end within grace and is abandoned"):
        gort.run(main, grace=0.05)
    assert gort.run(lambda: "again") == "again"
    left = len(data)
    while left:
        left -= len(os.read(reading, left))
    assert ended.wait(20)
    os.close(reading)
    os.close(writing)


def test_uncaught_exception_of_a_goroutine_ends_the_run_with_a_note():
    def bad():
        raise ValueError("boom")

    def main():
        gort.go(bad)
        gort.current().join()

    with pytest.raises(ValueError, match="boom") as caught:
        gort.run(main)
    note = caught.value.__notes__[0]
    assert note.startswith("goroutine ") and "[running], created by" in note and "in goroutine 1" in note


def test_uncaught_exception_ends_a_run_whose_main_computes():
    def bad():
        raise ValueError("boom")

    def main():
        gort.go(bad)
        while True:
            gort.gosched()

    with pytest.raises(ValueError):
        gort.run(main)


def test_system_exit_in_a_goroutine_is_raised_from_run():
    def main():
        gort.go(sys.exit, 3)
        gort.current().join()

    with pytest.raises(SystemExit) as caught:
        gort.run(main)
    assert caught.value.code == 3


# A timer or a thread that another test left behind could wake somebody, and then there is no deadlock: so these have a process of their own.


def in_a_process_of_its_own(program: str) -> str:
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    return result.stdout


def test_deadlock_is_raised_from_run_after_every_finally():
    shown = in_a_process_of_its_own("""
import gort

def waits():
    try:
        gort.current().join()
    finally:
        print("finally")

def main():
    gort.go(waits)
    gort.current().join()

try:
    gort.run(main)
except gort.Deadlock as error:
    print(error)
    print(error.goroutines)
""")
    lines = shown.splitlines()
    assert lines[:3] == ["finally", "all goroutines are asleep - deadlock!", "goroutine 1 [join, locked to thread]:"]
    assert "waits(...)" in lines and "created by main in goroutine 1" in lines


def test_deadlock_that_main_swallows_is_still_raised():
    shown = in_a_process_of_its_own("""
import gort

def main():
    try:
        gort.Chan().recv()
    except gort.Deadlock:
        print("swallowed")

try:
    gort.run(main)
except gort.Deadlock:
    print("raised")
""")
    assert shown == "swallowed\nraised\n"


def test_deadlock_among_goroutines_that_main_waits_for_is_found():
    shown = in_a_process_of_its_own("""
import gort

def main():
    a, b = gort.Chan(), gort.Chan()
    wg = gort.WaitGroup()
    wg.go(lambda: (a.recv(), b.send(1)))
    wg.go(lambda: (b.recv(), a.send(1)))
    wg.wait()

try:
    gort.run(main)
except gort.Deadlock as error:
    print(error.goroutines.count("[chan receive]:"), error.goroutines.count("[sync.WaitGroup.Wait, locked to thread]:"))
""")
    assert shown == "2 1\n"


def test_sleeping_goroutine_is_no_deadlock():
    def main():
        g = gort.go(gort.sleep, 0.05)
        g.join()
        return "woke"

    assert gort.run(main) == "woke"


def test_foreign_thread_that_may_wake_us_is_no_deadlock():
    def main():
        done = gort.go(lambda: release.wait())
        threading.Timer(0.1, release.set).start()
        done.join()
        return True

    release = threading.Event()
    assert gort.run(main)


def test_goexit_in_main_lets_the_others_go_on_and_then_is_a_fatal_error():
    done = []

    def worker():
        gort.sleep(0.02)
        done.append(1)

    def main():
        gort.go(worker)
        gort.goexit()

    with pytest.raises(gort.FatalError, match=r"^no goroutines \(main called runtime.Goexit\) - deadlock!$"):
        gort.run(main)
    assert done == [1]


def test_run_inside_a_goroutine_is_a_fatal_error():
    def main():
        with pytest.raises(gort.FatalError, match="inside a goroutine"):
            gort.run(lambda: None)
        return True

    assert gort.run(main)


def test_run_while_another_thread_runs_is_a_fatal_error():
    caught = []

    def other():
        try:
            gort.run(lambda: None)
        except gort.FatalError as error:
            caught.append(str(error))

    def main():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    gort.run(main)
    assert caught == ["gort.run called while another thread's run is going on"]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"procs": 0}, ValueError, "run: procs must be from 1 to 1024, got 0"),
        ({"procs": "2"}, TypeError, "run: procs must be an int, got str"),
        ({"procs": 10**30}, ValueError, "run: procs must be from 1 to 1024, got 1000000000000000000000000000000"),
        ({"seed": 1.5}, TypeError, "run: seed must be an int, got float"),
        ({"grace": float("nan")}, ValueError, "run: grace must be a number of seconds, got nan"),
        ({"grace": "1"}, TypeError, "run: grace must be a number of seconds or a timedelta, got str"),
    ],
)
def test_bad_options_are_named(arguments, error, text):
    with pytest.raises(error) as caught:
        gort.run(lambda: None, **arguments)
    assert str(caught.value) == text


def test_run_of_something_not_callable_is_a_type_error():
    with pytest.raises(TypeError, match="run: main must be callable, got int"):
        gort.run(3)


def test_procs_holds_for_the_run_alone():
    before = gort.gomaxprocs()
    assert gort.run(gort.gomaxprocs, procs=before + 1) == before + 1
    assert gort.gomaxprocs() == before


def test_context_variables_are_copied_at_go():
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    def child():
        seen.append(variable.get())
        variable.set(99)

    def main():
        variable.set(7)
        gort.go(child).join()
        return variable.get()

    assert gort.run(main) == 7
    assert seen == [7]


def test_hundred_runs_leave_no_threads_files_or_memory_behind():
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def main():
        joined = [gort.go(lambda: gort.sleep(0.001)) for _ in range(20)]
        for _ in range(20):
            gort.go(gort.current)
        for g in joined:
            g.join()

    def counts():
        return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

    for _ in range(10):
        gort.run(main)
    before, memory = counts(), resident()
    for _ in range(100):
        gort.run(main)
    deadline = time.monotonic() + 20
    while any(now > then for now, then in zip(counts(), before)):  # a thread that was joined may be listed for a while
        assert time.monotonic() < deadline, (before, counts())
        time.sleep(0.001)
    assert resident() - memory < 4 << 20


def test_exit_with_parked_sleeping_and_busy_goroutines_has_status_0():
    program = """
import gort, time
def parked(): gort.current().join()
def busy():
    while True: pass
def foreign(): time.sleep(30)
for f in (parked, busy, foreign, lambda: gort.sleep(30)): gort.go(f)
time.sleep(0.1)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_import_starts_no_thread():
    program = "import os, gort; print(len(os.listdir('/proc/self/task')))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "1"


def test_import_brings_in_no_slow_modules():
    program = "import sys; before = set(sys.modules); import gort; print(*sorted(set(sys.modules) - before))"
    brought = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert "gort._gort" in brought
    assert not {"re", "typing", "traceback", "dataclasses", "asyncio", "rich", "logging"} & set(brought)


def test_run_works_with_warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gort.run(lambda: 1) == 1


def test_a_pair_that_plays_ping_pong_shares_its_turns_with_one_that_is_queued():
    def main():
        ball, back, ran = gort.Chan(), gort.Chan(), []

        def pong():
            while ball.recv():
                back.send(True)

        player = gort.go(pong)
        gort.go(ran.append, True)
        while not ran:
            ball.send(True)
            back.recv()
        ball.send(False)
        player.join()

    gort.run(main)


def test_the_report_of_a_panic_is_not_cut_short_by_the_end_of_the_run(monkeypatch):
    told = []

    def tell(goroutine, error):
        end = time.monotonic() + 0.2   # for longer than a slice: goroutine 1 ends the run meanwhile
        while time.monotonic() < end:
            pass
        told.append(error.args[0])

    def fail(n):
        raise ValueError(n)

    def main():
        for n in range(2):
            gort.go(fail, n)
        gort.Chan().recv()

    monkeypatch.setattr(gort, "panichook", tell)
    with pytest.raises(ValueError) as caught:
        gort.run(main)
    assert sorted([caught.value.args[0], *told]) == [0, 1]


def test_the_end_of_a_run_raises_goexit_once_in_a_goroutine_that_is_about_to_wait():
    entered, ended = [], []

    def waits():
        try:
            entered.append(None)
            gort.Chan().recv()
        except gort.GoExit:
            for _ in range(100):   # time for a second one
                pass
            ended.append(None)
            raise

    def main():
        gort.go(waits)
        while not entered:
            gort.gosched()

    for _ in range(500):
        entered.clear(), ended.clear()
        gort.run(main)
        assert len(ended) == 1


def test_a_goexit_that_came_too_late_is_not_left_to_the_next_goroutine():
    release, ended = gort.Chan(), []
    kept = gort.go(release.recv)   # so that what the run's goroutines had is kept for the next ones

    def ends():
        ch = gort.Chan()
        for g in [gort.go(ch.recv) for _ in range(8)]:
            while g.status != "waiting":
                gort.gosched()
        ch.close()   # they need not run a line of Python any more

    def sleeps():
        time.sleep(0.001)
        ended.append(None)

    def sleep():
        gs = [gort.go(sleeps) for _ in range(8)]
        while any(g.status != "dead" for g in gs):
            gort.gosched()

    for _ in range(5):
        ended.clear()
        gort.run(ends)
        gort.run(sleep)
        assert len(ended) == 8
    release.close()
    kept.join()
