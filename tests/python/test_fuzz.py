"""Whatever one gives to gort, the process lives on, and the errors are those that api.md names.

Random calls of all public callables, in processes of their own (fuzz_program.py). ``pytest tests/python/test_fuzz.py --fuzz-calls 100000`` for the long
run, ``tools/asan_python`` for the same with _gort and libgort built with ASan and UBSan. GORT_FUZZ_SEED chooses the seed of the first process; the
failure of a process names its seed. What it has found stands below, each with a test of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gort
from gort import contention, context, sched, sync

PROGRAM = Path(__file__).with_name("fuzz_program.py")
CALLS_OF_A_PROCESS = 1000
SECONDS = 300  # for one process; it takes some


def fuzz(seed: int, calls: int, log: Path) -> str:
    """Runs one process and gives its last lines; fails with what tells most of what went wrong."""
    environment = {**os.environ, "GORT_FUZZ_SECONDS": str(SECONDS)}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(PROGRAM), str(seed), str(calls), str(log)],
        capture_output=True, text=True, errors="replace", timeout=SECONDS + 60, env=environment,
    )  # fmt: skip
    if done.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        pytest.fail(f"seed {seed}: status {done.returncode}\n{done.stdout[-5000:]}\n{done.stderr[-8000:]}\nlast calls:\n{last}")
    return next(line for line in done.stdout.splitlines() if " calls: " in line)


def test_random_calls_of_everything_raise_what_is_documented_and_do_no_harm(request, tmp_path):
    calls = int(request.config.getoption("--fuzz-calls"))
    first = int(os.environ.get("GORT_FUZZ_SEED", "1"))
    for n in range(-(-calls // CALLS_OF_A_PROCESS)):
        print(f"seed {first + n}:", fuzz(first + n, min(CALLS_OF_A_PROCESS, calls - n * CALLS_OF_A_PROCESS), tmp_path / "log"), flush=True)


# ---------------------------------------------------------------- what it has found


@pytest.mark.parametrize("arguments, text", [
    ((5, ValueError()), "panichook: goroutine must be a Goroutine, got int"),
    ((gort.current(), "x"), "panichook: error must be an exception, got str"),
])  # fmt: skip
def test_panichook_said_that_an_int_has_no_attribute_stack(arguments, text, capsys):
    with pytest.raises(TypeError) as error:
        gort.panichook(*arguments)
    assert str(error.value) == text
    assert capsys.readouterr().err == ""


def test_a_deadlock_made_with_a_dump_that_is_no_text_said_that_it_has_no_attribute_split():
    with pytest.raises(TypeError) as error:
        gort.Deadlock("x", 5)
    assert str(error.value) == "Deadlock: goroutines must be a str, got int"


def test_a_reservation_could_be_made_of_anything_and_failed_when_it_was_used():
    with pytest.raises(TypeError) as error:
        sync.Reservation(b"x", True, 1, 0, 1.0)
    assert str(error.value) == "cannot create 'gort.Reservation' instances: Limiter.reserve() makes them"
    assert sync.Limiter(1, 1).reserve().ok


@pytest.mark.parametrize("measure", [contention.measure, sched.measure])
def test_a_measurement_could_end_twice_or_before_it_began_and_left_the_others_switched_off(measure):
    for times in (0, 1):
        measurement = measure()
        for _ in range(times):
            with measurement:
                pass
        with pytest.raises(RuntimeError) as error:
            measurement.__exit__(None, None, None)
        assert str(error.value) == "measure: __exit__ without __enter__"
    with measurement:
        with pytest.raises(RuntimeError) as error:
            measurement.__enter__()
        assert str(error.value) == "measure: it is measuring a block already; call measure() once for each"
    # The errors above neither began a measurement nor ended one of somebody else's.
    with contention.measure() as report:
        ch = gort.Chan()
        gort.go(lambda: (gort.sleep(0.01), ch.send(1)))
        ch.recv()
    assert any(wait.reason == "chan receive" for wait in report.rows)


def test_the_stats_and_the_repr_of_a_measurement_that_had_not_begun_said_attribute_error():
    with pytest.raises(RuntimeError) as error:
        sched.measure().stats  # noqa: B018
    assert str(error.value) == "measure: nothing is measured yet; use it in a with statement"
    assert repr(sched.measure()) == "<measure of nothing yet>"


def test_a_context_with_a_lone_surrogate_had_no_text():
    ctx = context.with_value(context.background(), "\ud800", "\udfff")
    assert str(ctx) == "context.Background.WithValue(\\ud800, \\udfff)"


@pytest.mark.parametrize("figures", [sched.Histogram((0, 0, 3, 1)), sched.stats()])
def test_taking_something_else_from_figures_of_the_scheduler_said_attribute_error(figures):
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for -: '\w+' and 'str'"):
        figures - "x"  # noqa: B018
