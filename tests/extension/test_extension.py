"""What an extension module of somebody else can do: built against the installed package, with C++ and with plain C."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gort

PRIMES_BELOW_20000 = 2262


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    goroutines = gort.num_goroutine()
    yield
    deadline = time.monotonic() + 5
    while gort.num_goroutine() > goroutines:
        assert time.monotonic() < deadline, f"the test left {gort.num_goroutine() - goroutines} goroutines"
        time.sleep(0.0001)


@pytest.fixture
def meeting(site: Path) -> Any:
    import meeting

    return meeting


@pytest.fixture
def plain(site: Path) -> Any:
    from meeting import _plain

    return _plain


def receive_all(ch: gort.Chan[int]) -> list[int]:
    return list(ch)


# --- C++


def test_two_native_goroutines_compute_at_the_same_time_while_python_goes_on(meeting):
    out = gort.Chan(2, dtype="i64")

    def main():
        both = meeting.Meeting(out, 20_000)

        def tick():
            while len(out) == 0 and not both.met:
                both.tick()
                gort.gosched()

        gort.go(tick)
        found = receive_all(out)
        return both.met, sorted(found)

    met, found = gort.run(main, procs=2)
    assert met, "neither of them, nor Python, may wait for another one to end"
    assert len(found) == 2
    assert sum(found) == PRIMES_BELOW_20000


def test_a_channel_of_another_type_or_direction_is_a_type_error_that_names_it(meeting, plain):
    for start in (lambda ch: meeting.Meeting(ch, 10), lambda ch: plain.put(ch, 1)):
        for wrong, text in [
            (7, "got int"),
            (gort.Chan(), "got one of objects"),
            (gort.Chan(dtype="f64"), "got f64"),
            (gort.Chan(dtype="u64"), "got u64"),
            (gort.nil_chan, "got nil_chan"),
            (gort.Chan(dtype="i64").receiver(), "got a receive-only one"),
        ]:
            with pytest.raises(TypeError, match=f"must be a Chan of dtype i64, {text}"):
                start(wrong)
    with pytest.raises(TypeError, match="got that of a timer"):
        meeting.Meeting(gort.after(0), 10)


@pytest.mark.parametrize("capacity", [0, 3])
def test_blocks_of_bytes_are_shared_with_native_goroutines(meeting, capacity):
    sent = [bytes((n + k) % 256 for k in range(24)) for n in range(100)]

    def main():
        blocks, results = gort.Chan(capacity, dtype="bytes24"), gort.Chan(capacity, dtype="bytes24")
        assert meeting.reverse(blocks, results).dtype == "bytes24"

        def produce():
            for block in sent:
                blocks.send(block)
            blocks.close()

        gort.go(produce)
        with pytest.raises(TypeError, match="reverse: blocks must be a Chan of dtype bytes24, got bytes23"):
            meeting.reverse(gort.Chan(dtype="bytes23"), results)
        return list(results)

    assert gort.run(main) == [block[::-1] for block in sent]


@pytest.fixture(params=["goroutine 1", "goroutine", "plain thread"])
def inside(request):
    def call(fn):
        if request.param == "plain thread":
            return fn()
        if request.param == "goroutine 1":
            return gort.run(fn)
        got = []

        def body():
            try:
                got.append((fn(), None))
            except Exception as error:
                got.append((None, error))

        gort.run(lambda: gort.go(body).join())
        value, error = got[0]
        if error is not None:
            raise error
        return value

    return call


def test_values_go_through_hops_and_channels_on_both_sides(meeting, inside):
    def main():
        numbers, results = gort.Chan(dtype="i64"), gort.Chan(dtype="i64")
        seen = []

        def feed():
            with numbers:
                for n in range(200):
                    numbers.send(n)

        def callback(n):
            seen.append(gort.current())
            if n % 20 == 0:
                gort.sleep(0.0001)
            elif n % 20 == 1:
                time.sleep(0.0001)
            return n * 10

        def drain():
            got.extend(results.recv() for _ in range(200))

        got: list[int] = []
        feeder, drainer = gort.go(feed), gort.go(drain)
        count = meeting.relay(numbers, results, callback)
        drainer.join()
        feeder.join()
        assert all(g is gort.current() for g in seen), "it is one and the same goroutine on both sides"
        return count, got

    assert inside(main) == (200, [n * 10 for n in range(200)])


def test_an_exception_of_a_callback_leaves_through_all_scopes(meeting, inside):
    def main():
        numbers = gort.Chan(1, dtype="i64")
        numbers.send(4)

        def callback(n):
            raise LookupError(f"no {n}")

        meeting.relay(numbers, gort.Chan(dtype="i64"), callback)

    with pytest.raises(LookupError, match="^no 4$"):
        inside(main)
    assert inside(lambda: meeting.batch(100)) == 25


def test_a_panic_in_the_native_lane_is_raised_in_python(meeting, inside):
    def main():
        numbers, results = gort.Chan(1, dtype="i64"), gort.Chan(dtype="i64")
        numbers.send(4)
        results.close()
        meeting.relay(numbers, results, lambda n: n)

    with pytest.raises(gort.PanicError, match="send on closed channel"):
        inside(main)


def test_fifty_goroutines_hop_ten_thousand_times_beside_blocking_calls(meeting):
    def main():
        group = gort.WaitGroup()
        totals = []

        def one(i):
            numbers, results = gort.Chan(dtype="i64"), gort.Chan(3, dtype="i64")

            def feed():
                with numbers:
                    for n in range(33):  # six hops for each number, and two more
                        numbers.send(n)

            def callback(n):
                if (n + i) % 16 == 0:
                    time.sleep(0.0002)
                elif (n + i) % 8 == 1:
                    gort.gosched()
                return n

            gort.go(feed)
            group.go(lambda: totals.append(sum(results.recv() for _ in range(33))))
            totals.append(meeting.relay(numbers, results, callback))

        for i in range(50):
            group.go(one, i)
        group.wait()
        return sorted(totals)

    assert gort.run(main) == [33] * 50 + [sum(range(33))] * 50


def test_context_variables_and_thread_locals_are_the_callers_own(meeting):
    import contextvars
    import threading

    variable, local = contextvars.ContextVar("variable"), threading.local()

    def main():
        def one(i):
            variable.set(i)
            local.i = i
            numbers, results = gort.Chan(1, dtype="i64"), gort.Chan(1, dtype="i64")
            numbers.send(0)
            numbers.close()
            meeting.relay(numbers, results, lambda n: variable.get() * 100 + local.i)
            seen.append(results.recv())

        seen: list[int] = []
        group = gort.WaitGroup()
        for i in range(8):
            group.go(one, i)
        group.wait()
        return sorted(seen)

    assert gort.run(main) == [i * 101 for i in range(8)]


def test_the_end_of_a_run_ends_a_wait_in_the_native_lane(meeting):
    ended = []

    def main():
        def waits():
            try:
                meeting.relay(gort.Chan(dtype="i64"), gort.Chan(dtype="i64"), abs)
            finally:
                ended.append(True)

        goroutine = gort.go(waits)
        while goroutine.wait_reason != "chan receive":
            gort.gosched()
        assert "waits" in goroutine.stack() and goroutine.status == "waiting"

    gort.run(main)
    assert ended == [True]


def test_a_wait_in_the_native_lane_shows_its_python_frames_and_is_no_leak(meeting):
    numbers, results = gort.Chan(dtype="i64"), gort.Chan(dtype="i64")

    def goes_abroad():
        meeting.relay(numbers, results, int)

    def main():
        goroutine = gort.go(goes_abroad)
        while goroutine.wait_reason != "chan receive":
            gort.gosched()
        (row,) = [row for row in gort.sched.state().goroutines if row.id == goroutine.id]
        leaked = gort.runtime.goroutines(leaked=True)
        numbers.close()
        goroutine.join()
        return row, leaked

    row, leaked = gort.run(main)
    assert (row.lane, row.status, row.wait_reason) == ("native", "waiting", "chan receive")
    assert "goes_abroad" in row.stack
    assert leaked == []


def test_a_panic_elsewhere_ends_the_wait_of_goroutine_1_in_the_native_lane(meeting):
    def main():
        def fails():
            gort.sleep(0.01)
            raise LookupError("elsewhere")

        gort.go(fails)
        meeting.relay(gort.Chan(dtype="i64"), gort.Chan(dtype="i64"), abs)

    with pytest.raises(LookupError, match="elsewhere"):
        gort.run(main)


def test_others_go_on_while_goroutine_1_computes_in_the_native_lane(meeting):
    def main():
        turns = 0
        computed = []

        def count():
            nonlocal turns
            while not computed:
                turns += 1
                gort.gosched()

        counter = gort.go(count)
        while turns == 0:
            gort.gosched()
        for _ in range(50):  # the counter may have no CPU for a while
            before = turns
            meeting.batch(200_000)
            during = turns - before
            if during > 100:
                break
        computed.append(True)
        counter.join()
        return during

    assert gort.run(main) > 100


def test_ctrl_c_ends_a_wait_of_goroutine_1_in_the_native_lane(meeting):
    import signal
    import threading

    def main():
        def interrupts():
            while me.wait_reason != "chan receive":
                time.sleep(0.001)
            signal.raise_signal(signal.SIGINT)

        me = gort.current()
        thread = threading.Thread(target=interrupts)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            meeting.relay(gort.Chan(dtype="i64"), gort.Chan(dtype="i64"), abs)
        thread.join()  # a thread that might wake somebody hides deadlocks from later tests
        return meeting.batch(100)  # and all is as before

    assert gort.run(main) == 25


def test_a_deadlock_is_seen_when_goroutine_1_waits_in_the_native_lane(meeting):
    with pytest.raises(gort.Deadlock):
        gort.run(lambda: meeting.relay(gort.Chan(dtype="i64"), gort.Chan(dtype="i64"), abs))


def test_a_native_goroutine_calls_python_and_can_be_joined(meeting):
    def main():
        found: list[int] = []
        goroutines = [meeting.start_batch(20_000, found.append) for _ in range(4)]
        assert len({g.id for g in goroutines}) == 4
        for g in goroutines:
            g.join()
        assert [g.status for g in goroutines] == ["dead"] * 4
        return found

    assert gort.run(main) == [PRIMES_BELOW_20000] * 4


def test_what_a_native_goroutine_throws_ends_the_run(meeting):
    with pytest.raises(RuntimeError, match="a negative limit"):
        gort.run(lambda: meeting.start_batch(-1, abs).join())
    with pytest.raises(ZeroDivisionError):
        gort.run(lambda: meeting.start_batch(10, lambda n: n / 0).join())


def test_the_module_finds_libgort_beside_its_package_without_gort_being_imported(site, tmp_path):
    (tmp_path / "gort").symlink_to(Path(gort.get_include()).parent)
    (tmp_path / "meeting").mkdir()
    for module in (site / "meeting").glob("_meeting*.so"):
        (tmp_path / "meeting" / module.name).write_bytes(module.read_bytes())
    code = "import meeting._meeting, gort; print(meeting._meeting.batch(100))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("25\n", "")


# --- C


def test_a_c_goroutine_talks_over_typed_channels(plain, inside):
    def main():
        numbers = gort.Chan(dtype="i64")
        squares = plain.start(numbers)

        def feed():
            with numbers:
                for n in range(1, 101):
                    plain.put(numbers, n)

        gort.go(feed)
        *rest, last = receive_all(squares)
        assert last == -2, "GORT_CLOSED"
        return rest

    assert inside(main) == [n * n for n in range(1, 101)]


def test_a_c_function_called_from_python_parks_its_caller_only(plain, inside):
    def main():
        numbers = gort.Chan(dtype="i64")

        def feed():
            with numbers:
                for n in range(100):
                    gort.gosched()
                    numbers.send(n)

        gort.go(feed)
        return plain.total(numbers, 2**63 - 1)

    assert inside(main) == sum(range(100))


def test_results_of_c_calls_are_raised_as_the_exceptions_of_the_methods(plain, inside):
    def main():
        closed = gort.Chan(dtype="i64")
        closed.close()
        with pytest.raises(gort.PanicError, match="send on closed channel"):
            plain.put(closed, 1)
        with pytest.raises(TimeoutError):
            plain.total(gort.Chan(dtype="i64"), 1_000_000)
        with pytest.raises(TimeoutError):
            plain.total(gort.Chan(dtype="i64"), 0)
        return plain.describe()

    version, size, built, goroutine = inside(main)
    assert (version, size) == (1, built)
    assert goroutine >= 1


def test_a_c_goroutine_hears_of_the_end_of_its_run(plain):
    numbers = gort.Chan(dtype="i64")
    squares: list[gort.Chan[int]] = []

    def main():
        squares.append(plain.start(numbers))
        numbers.send(3)
        return squares[0].recv()

    assert gort.run(main) == 9
    assert receive_all(squares[0])[-1:] in ([], [-4]), "GORT_EXIT; that send may end with the run too"


ENDS = """
import sys, time, gort, meeting

begun = []
def busy():
    while True: pass
def turns():
    while True: gort.gosched()
def sleeps(): time.sleep(60)
def parks(): gort.Chan().recv()
def callback(n):
    begun.append(n)
    {kind}()

numbers, results = (gort.Chan(10, dtype="i64") for _ in range(2))
numbers.send(1)
numbers.send(2)
for _ in range(2):
    meeting.start_batch(100, callback)
    gort.go(meeting.relay, numbers, results, callback)
# Without the GIL a goroutine stays on its thread, and may stand there behind one that keeps it.
least = 4 if getattr(sys, "_is_gil_enabled", lambda: True)() else 2
while len(begun) < least: time.sleep(0.001)
"""


# CPython before 3.14 ends their threads by unwinding their stacks, through the scopes and handlers of the extension.
@pytest.mark.parametrize("kind", ["busy", "turns", "sleeps", "parks"])
def test_the_interpreter_may_end_while_native_goroutines_are_in_python(site, kind):
    program = [sys.executable, "-c", ENDS.replace("{kind}", kind)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([*sys.path, str(site)]))
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
