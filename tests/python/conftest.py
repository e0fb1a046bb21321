"""Shared by the Python tests: every test runs on a plain thread, in ambient mode, unless it calls gort.run itself."""

from __future__ import annotations

import gc
import math
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest

import gort
from interpreter import FREE_THREADED, WITHOUT_GIL

# A job that a shell starts in the background ignores these, and so would all programs that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Programs that the tests start run as the tests do, and CPython does not warn of the GIL that it brings back for gort.
if FREE_THREADED:
    os.environ.setdefault("PYTHON_GIL", "0" if WITHOUT_GIL else "1")


def armed_timers() -> int:
    return sum(p.timers for p in gort.sched.state().processors)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """A goroutine left behind is counted by later tests; an armed timer may wake somebody, so it hides deadlocks from them."""
    before, goroutines = armed_timers(), gort.num_goroutine()
    yield
    deadline = time.monotonic() + 30
    while gort.num_goroutine() > goroutines:
        assert time.monotonic() < deadline, f"the test left {gort.num_goroutine() - goroutines} goroutines"
        time.sleep(0.0001)
    if armed_timers() > before:
        gc.collect()
        assert armed_timers() <= before, "the test left timers armed"


@pytest.fixture(autouse=True)
def locks_are_used_well(request: pytest.FixtureRequest) -> Iterator[None]:
    """The whole suite runs under the check of locks. Without patience for waits, so that a machine that stands still makes no fault."""
    with gort.sync.check(hook=lambda fault: None, patience=math.inf) as checking:
        yield
    if not request.node.get_closest_marker("lock_faults"):
        assert not checking.faults, "\n\n".join(map(str, checking.faults))


@pytest.fixture
def collected() -> Iterator[Callable[[], None]]:
    """A function that collects garbage; before and after, so that a test sees its own garbage only."""
    gc.collect()
    yield lambda: (gc.collect(), None)[1]
    gc.collect()


@pytest.fixture(params=["goroutine 1", "goroutine", "plain thread"])
def inside(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], Any]:
    """Calls a function in each kind of caller that a primitive must work for, and gives its result or exception."""
    kind = request.param

    def call(fn: Callable[[], Any]) -> Any:
        if kind == "goroutine 1":
            return gort.run(fn)
        if kind == "plain thread":
            return fn()
        outcome: list[Any] = []

        def body() -> None:
            try:
                outcome.append((fn(), None))
            except Exception as error:
                outcome.append((None, error))

        gort.run(lambda: gort.go(body).join())
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    return call


@pytest.fixture
def until_waiting() -> Callable[[gort.Goroutine], None]:
    """A function that lets others run until a goroutine is parked."""

    def wait(goroutine: gort.Goroutine) -> None:
        while (status := goroutine.status) != "waiting":
            assert status != "dead", "it ended instead of waiting"
            gort.gosched()

    return wait
