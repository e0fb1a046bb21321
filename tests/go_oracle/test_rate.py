from __future__ import annotations

import datetime
import math
from typing import Any, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gort import Limiter
from gort.sync import every

SECOND = 1_000_000_000


def rate(r: Any) -> float:
    return math.inf if r == "inf" else float(r)


def finite(r: float) -> Any:
    return "inf" if r == math.inf else r


def delay(ns: int) -> int:
    return ns if ns < 1 << 62 else -1


def do(operation: str, *arguments: Any) -> Any:
    if operation == "every":
        return finite(every(arguments[0] / SECOND))
    first_rate, burst, steps = arguments
    limiter, made, said = Limiter(rate(first_rate), burst), list[Any](), list[Any]()
    for name, at, argument in steps:
        if name == "allow":
            said.append(limiter._allow_n(at, argument))
        elif name == "reserve":
            made.append(limiter._reserve_n(at, argument))
            said.append([made[-1].ok, delay(made[-1]._delay_from(at))])
        elif name == "limit":
            said.append(limiter._set_limit_at(at, Limiter(rate(argument), 0)._rate))
        elif name == "burst":
            said.append(limiter._set_burst_at(at, argument))
        elif argument >= len(made):
            said.append(None)
        elif name == "cancel":
            said.append(made[argument]._cancel_at(at))
        else:
            said.append(delay(made[argument]._delay_from(at)))
        said.append(limiter._tokens_at(at))
    return [*said, finite(limiter.limit), limiter.burst]


RATES = st.one_of(st.sampled_from([0, 0.1, 1, 3, 10, 0.7692307692307693, 1e-10, "inf"]), st.floats(0, 1e6))
TIMES = st.one_of(st.integers(0, 50).map(lambda tenths: SECOND + tenths * SECOND // 10), st.integers(0, 1 << 60))
STEP = st.one_of(
    st.tuples(st.sampled_from(["allow", "reserve", "reserve", "burst"]), TIMES, st.integers(0, 6)),
    st.tuples(st.sampled_from(["delay", "cancel", "cancel"]), TIMES, st.integers(0, 6)),
    st.tuples(st.just("limit"), TIMES, RATES),
)
LIMITERS = st.tuples(st.just("play"), RATES, st.integers(0, 6), st.lists(STEP, max_size=15))


@settings(max_examples=60, deadline=None)
@given(st.lists(LIMITERS, max_size=40))
def test_the_same_calls_at_the_same_times_give_the_same_answers(oracle: Callable[..., Any], ours: Callable[..., Any], steps: list[Any]) -> None:
    assert ours(do, steps) == oracle("x/rate", steps)


def test_every_is_the_same_rate(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    steps = [["every", ns] for ns in (-1, 0, SECOND // 1000, SECOND // 10, SECOND, 2 * SECOND, 5 * SECOND // 2, 1 << 62)]
    assert ours(do, steps) == oracle("x/rate", steps)
    assert every(datetime.timedelta(seconds=4)) == 0.25
