"""What watches Python code sees goroutines: tracers, profilers, sys.monitoring, coverage, pdb, faulthandler, tracemalloc.

A goroutine starts with the tracer and profiler of threading.settrace and threading.setprofile, as a thread does, and sys.settrace inside it
concerns nobody else.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import subprocess
import sys
import textwrap
import threading
import time
import trace
import tracemalloc

import gort
import pytest
from interpreter import WITHOUT_GIL


def migrate():
    time.sleep(0.002)
    gort.gosched()


def run_all(*functions):
    def main():
        for g in [gort.go(f) for f in functions]:
            g.join()

    gort.run(main)


@pytest.fixture
def untraced():
    """These tests set the tracer themselves; what was there (a debugger, coverage) comes back."""
    before = sys.gettrace(), threading.gettrace(), sys.getprofile(), threading.getprofile()
    sys.settrace(None)
    yield
    sys.settrace(before[0])
    threading.settrace(before[1])
    sys.setprofile(before[2])
    threading.setprofile(before[3])


def traced_work():
    value = 1
    gort.gosched()
    value += 1
    migrate()
    return value + 1


def lines_of(events, function):
    return [line - function.__code__.co_firstlineno for code, event, line in events if code is function.__code__ and event == "line"]


def test_goroutines_start_with_threadings_tracer(untraced):
    events = []

    def tracer(frame, event, argument):
        events.append((frame.f_code, event, frame.f_lineno))
        return tracer

    threading.settrace(tracer)
    run_all(traced_work, traced_work)
    threading.settrace(None)
    assert sorted(lines_of(events, traced_work)) == sorted([1, 2, 3, 4, 5] * 2)
    count = len(events)
    run_all(traced_work)
    assert len(events) == count
    assert sys.gettrace() is None


def test_goroutines_start_with_threadings_profiler(untraced):
    events = []

    def profiler(frame, event, argument):
        if frame.f_code is traced_work.__code__:
            events.append(event)

    threading.setprofile(profiler)
    run_all(traced_work, traced_work)
    threading.setprofile(None)
    assert events.count("call") == 2 and events.count("return") == 2 and events.count("c_call") >= 2
    count = len(events)
    run_all(traced_work)
    assert len(events) == count
    assert sys.getprofile() is None


def test_a_tracer_that_fails_at_once_ends_tracing_of_its_goroutine_only(untraced):
    events = []

    def tracer(frame, event, argument):
        events.append(event)
        raise ValueError("from the tracer")

    errors = []

    def body():
        errors.append(sys.gettrace())
        return traced_work()

    threading.settrace(tracer)
    with pytest.raises(ValueError, match="from the tracer"):
        run_all(body)
    threading.settrace(None)
    run_all(traced_work)
    assert len(events) == 1


def test_a_tracer_may_park(untraced):
    lines = []

    def tracer(frame, event, argument):
        gort.gosched()
        if event == "line" and frame.f_code is traced_work.__code__:
            gort.sleep(0.0002)
            lines.append(frame.f_lineno)
        return tracer

    threading.settrace(tracer)
    run_all(traced_work, traced_work, traced_work)
    threading.settrace(None)
    assert len(lines) == 15


def test_settrace_and_setprofile_inside_a_goroutine_stay_there(untraced):
    seen = []

    def tracer(frame, event, argument):
        seen.append(gort.current().id)
        return tracer

    def profiler(frame, event, argument):
        seen.append(gort.current().id)

    def traced():
        sys.settrace(tracer)
        sys.setprofile(profiler)
        mine.append(gort.current().id)
        traced_work()
        # Not set back: the next goroutine with this thread state must not inherit them.

    def plain():
        checks.append((sys.gettrace(), sys.getprofile()))
        traced_work()
        checks.append((sys.gettrace(), sys.getprofile()))

    mine: list[int] = []
    checks: list[object] = []
    run_all(traced, plain, plain)
    run_all(plain, plain)
    assert set(seen) == set(mine) and len(mine) == 1
    assert checks == [(None, None)] * 8


@pytest.mark.skipif(WITHOUT_GIL, reason="CPython does not know goroutines that wait: they have no thread state")
@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.settrace for all threads came with 3.12")
def test_the_tracer_for_all_threads_reaches_parked_goroutines(untraced):
    events = []

    def tracer(frame, event, argument):
        events.append((frame.f_code, event, frame.f_lineno))
        return tracer

    def parked():
        ch.recv()
        traced_work()

    ch = gort.Chan()

    def main():
        goroutines = [gort.go(parked) for _ in range(3)]
        while any(g.status != "waiting" for g in goroutines):
            gort.gosched()
        threading.settrace_all_threads(tracer)
        for _ in goroutines:
            ch.send(1)
        for g in goroutines:
            g.join()
        threading.settrace_all_threads(None)
        gort.go(traced_work).join()

    gort.run(main)
    assert sorted(lines_of(events, traced_work)) == sorted([1, 2, 3, 4, 5] * 3)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_sys_monitoring_sees_every_line_of_every_goroutine():
    monitoring = sys.monitoring
    events = monitoring.events
    starts, lines = [], []
    monitoring.use_tool_id(4, "test")
    try:
        monitoring.register_callback(4, events.PY_START, lambda code, offset: starts.append(code))
        monitoring.register_callback(4, events.LINE, lambda code, line: lines.append(line - code.co_firstlineno))
        monitoring.set_local_events(4, traced_work.__code__, events.PY_START | events.LINE)
        run_all(*[traced_work] * 3)
        assert starts == [traced_work.__code__] * 3
        assert sorted(lines) == sorted([1, 2, 3, 4, 5] * 3)
        monitoring.set_local_events(4, traced_work.__code__, 0)
        run_all(traced_work)
        assert len(starts) == 3
    finally:
        monitoring.free_tool_id(4)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring came with 3.12")
def test_monitoring_that_is_switched_on_and_off_while_goroutines_run():
    monitoring = sys.monitoring
    starts = []

    def loops():
        while not stop:
            traced_work()

    stop = []

    def main():
        goroutines = [gort.go(loops) for _ in range(4)]
        rounds = 0
        while rounds < 10 or traced_work.__code__ not in starts:
            rounds += 1
            monitoring.use_tool_id(4, "test")
            monitoring.register_callback(4, monitoring.events.PY_START, lambda code, offset: starts.append(code))
            monitoring.set_events(4, monitoring.events.PY_START)
            gort.sleep(0.005)
            monitoring.set_events(4, 0)
            monitoring.free_tool_id(4)
            gort.sleep(0.001)
        stop.append(True)
        for g in goroutines:
            g.join()

    gort.run(main)
    assert traced_work.__code__ in starts


def called(n):
    gort.gosched()
    return n


def calls():
    for n in range(10):
        called(n)
        migrate()


def test_cprofile_counts_the_calls_of_its_goroutine(untraced):
    outcome = []

    def body():
        profile = cProfile.Profile()
        profile.runcall(calls)
        outcome.append(pstats.Stats(profile, stream=io.StringIO()).stats)

    run_all(body)
    counts = {key[2]: value[0] for key, value in outcome[0].items()}
    assert (counts["called"], counts["calls"]) == (10, 1)


@pytest.mark.skipif(WITHOUT_GIL, reason="cProfile takes the calls of threads that run in parallel for those of one")
def test_cprofile_around_a_run_survives_the_switches(untraced):
    profile = cProfile.Profile()
    profile.enable()
    try:
        run_all(calls, calls, calls)
    finally:
        profile.disable()
    stream = io.StringIO()
    pstats.Stats(profile, stream=stream).print_stats()
    assert "run" in stream.getvalue()


def test_the_trace_module_counts_lines_of_goroutines(untraced):
    tracer = trace.Trace(count=1, trace=0)
    tracer.runctx("run_all(traced_work, traced_work)", globals())
    first = traced_work.__code__.co_firstlineno
    counts = {line - first: n for (file, line), n in tracer.results().counts.items() if file == __file__}
    assert [counts.get(line) for line in range(1, 6)] == [2] * 5


def test_coverage_sees_the_lines_of_goroutines(tmp_path):
    pytest.importorskip("coverage", reason="coverage is not installed")
    program = tmp_path / "covered.py"
    program.write_text(textwrap.dedent("""
        import gort, time
        def body():
            gort.gosched()
            time.sleep(0.002)
            gort.sleep(0.001)
            return 1
        def never():
            return 2
        gort.run(lambda: [g.join() for g in [gort.go(body) for _ in range(4)]])
        """))
    command = [sys.executable, "-m", "coverage", "run", f"--data-file={tmp_path}/data", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    command = [sys.executable, "-m", "coverage", "report", "-m", f"--data-file={tmp_path}/data"]
    report = subprocess.run(command, capture_output=True, text=True, timeout=60)
    row = next(line for line in report.stdout.splitlines() if "covered.py" in line)
    assert row.split()[-1] == "9", report.stdout  # the body of never() alone is missing


def test_pdb_stops_and_steps_in_a_goroutine(tmp_path):
    # From 3.14 on breakpoint() follows an OS thread, and a goroutine stays on one only if it is told to.
    stay = "gort.lock_os_thread()" if sys.version_info >= (3, 14) else ""
    program = tmp_path / "debugged.py"
    program.write_text(textwrap.dedent(f"""
        import gort
        def inner(value):
            gort.sleep(0.001)
            return value * 2
        def body():
            value = 20
            {stay}
            breakpoint()
            value = inner(value)
            gort.gosched()
            done.append(value + 2)
        def others():
            for _ in range(50): gort.sleep(0.0005)
        done = []
        def main():
            goroutines = [gort.go(body)] + [gort.go(others) for _ in range(3)]
            for g in goroutines: g.join()
        gort.run(main)
        print("done", done)
        """))
    script = "break inner\ncontinue\np value + 1\nnext\nreturn\nup\np value + 2\ncontinue\n"
    done = subprocess.run([sys.executable, str(program)], input=script, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for text in ("Breakpoint 1 at", "(Pdb) 21\n", "--Return--", "inner()->40", "(Pdb) 22\n", "done [42]\n"):
        assert text in done.stdout, done.stdout


@pytest.mark.skipif(WITHOUT_GIL, reason="CPython does not know goroutines that wait: they have no thread state")
def test_faulthandler_dumps_parked_blocked_and_running_goroutines():
    program = """
import faulthandler, gort, os, sys
reading, writing = os.pipe()
begun = []
def parked_function(): gort.sleep(30)
def blocked_function():
    begun.append(True)
    os.read(reading, 1)
def running_function(parked):
    while not begun or any(g.status != "waiting" for g in parked): gort.sleep(0.001)
    faulthandler.dump_traceback(sys.stdout, all_threads=True)
    os.write(writing, b"x")
def main():
    parked = [gort.go(parked_function) for _ in range(20)]
    blocked = gort.go(blocked_function)
    gort.go(running_function, parked).join()
    blocked.join()
gort.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    counts = [done.stdout.count(name) for name in ("in parked_function", "in blocked_function", "in running_function")]
    assert counts == [20, 1, 1], done.stdout


def test_faulthandlers_watchdog_dumps_while_goroutines_switch():
    program = """
import faulthandler, gort
def turns():
    while not stop:
        for _ in range(100): gort.gosched()
        gort.sleep(0.0001)
def main():
    goroutines = [gort.go(turns) for _ in range(10)]
    gort.sleep(0.5)
    faulthandler.cancel_dump_traceback_later()   # the watchdog has no GIL: a thread state that goes away meanwhile would be CPython's crash
    stop.append(True)
    for g in goroutines: g.join()
stop = []
faulthandler.dump_traceback_later(0.05, repeat=True, file=open("/dev/null", "w"))
gort.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_current_frames_and_all_stacks_can_be_read_while_goroutines_switch():
    def turns():
        for _ in range(200):
            gort.gosched()
            sum(range(50))

    def watches():
        while not stop:
            for frame in sys._current_frames().values():
                while frame:
                    assert frame.f_code.co_name
                    frame = frame.f_back

    stop: list[int] = []
    thread = threading.Thread(target=watches)
    thread.start()
    run_all(*[turns] * 10)
    stop.append(1)
    thread.join()


def test_tracemalloc_names_the_lines_of_goroutines():
    kept = []

    def allocates():
        for _ in range(100):
            kept.append(bytearray(1000))
            gort.gosched()

    tracemalloc.start(5)
    try:
        run_all(allocates, allocates, migrate)
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    line = allocates.__code__.co_firstlineno + 2
    found = [s for s in snapshot.statistics("lineno") if s.traceback[0].filename == __file__ and s.traceback[0].lineno == line]
    assert len(kept) == 200 and found and found[0].count >= 200
