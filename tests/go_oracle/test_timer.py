from __future__ import annotations

import time
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gort import Ticker, Timer

LONG = 3600


def wait(s: float) -> None:
    until = time.monotonic() + s
    while time.monotonic() < until:
        time.sleep(s)


def do(kind: str, *operations: str) -> Any:
    timer = Timer(LONG) if kind == "timer" else Ticker(LONG)
    said = []
    for operation in operations:
        said.append(one(operation, timer, kind == "ticker"))
    timer.stop()
    return said


def one(operation: str, timer: Timer | Ticker, ticks: bool) -> Any:
    c = timer.c
    assert c is not None
    match operation:
        case "stop":
            result = timer.stop()
        case "later":
            result = timer.reset(LONG)
        case "now":
            result = timer.reset(1e-9)
            wait(50e-6)
        case "zero":
            result = timer.reset(0)
        case "look":
            return c.try_recv() is not None
        case "length":
            return [len(c), c.cap]
        case "old":
            timer.reset(0.001)
            wait(0.1)
            return time.monotonic() - c.recv() > 0.05
    return None if ticks else result  # a Go Ticker's methods give nothing


OPERATIONS = ["stop", "later", "now", "look", "length"]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(["timer", "ticker"]), st.lists(st.sampled_from(OPERATIONS), max_size=12)), min_size=1, max_size=30))
def test_stop_reset_and_looks_say_the_same(
    oracle: Callable[..., Any], ours: Callable[..., Any], lives: list[tuple[str, list[str]]]
) -> None:
    steps = [[kind, *operations] for kind, operations in lives]
    assert ours(do, steps) == oracle("timer", steps)


def test_every_pair_of_operations_says_the_same(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    steps = [
        [kind, first, "look", second, "look", third, "look"]
        for kind in ("timer", "ticker")
        for first in OPERATIONS
        for second in OPERATIONS
        for third in OPERATIONS
    ]
    assert ours(do, steps) == oracle("timer", steps)


def test_a_ticker_that_is_reset_to_nothing_panics(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    assert ours(do, [["ticker", "zero"]]) == oracle("timer", [["ticker", "zero"]])


@pytest.mark.parametrize("kind", ["timer", "ticker"])
def test_the_time_that_is_received_is_that_of_the_timer(kind: str, oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    assert ours(do, [[kind, "old"]]) == oracle("timer", [[kind, "old"]]) == [[True]]
