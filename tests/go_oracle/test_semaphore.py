from __future__ import annotations

from typing import Any, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

import gort
from gort import Semaphore, context
from resting import rest

OVER = "semaphore: released more than held"


def play(size: int, steps: list[tuple[str, int]]) -> list[Any]:
    semaphore, said = Semaphore(size), list[Any]()
    states: list[str] = []
    cancels: list[Callable[[], None]] = []

    def one(operation: str, n: int) -> str:
        if operation == "acquire":
            ctx, cancel = context.with_cancel(context.background())
            cancels.append(cancel)
            states.append("waits")
            gort.go(wait, len(states) - 1, n, ctx)
        elif operation == "try":
            return str(semaphore.try_acquire(n)).lower()
        elif operation == "release":
            semaphore.release(n)
        elif n < len(cancels):
            cancels[n]()
        return ""

    def wait(i: int, n: int, ctx: context.Context) -> None:
        try:
            semaphore.acquire(n, ctx)
            states[i] = "has"
        except context.Canceled as error:
            states[i] = str(error)

    for step in steps:
        try:
            answer = one(*step)
        except gort.PanicError as error:
            answer = str(error)
        rest()
        said.append([answer, list(states)])
        if answer == OVER:
            break
    for cancel in cancels:
        cancel()
    return said


def do(_: str, size: int, steps: list[tuple[str, int]]) -> Any:
    return gort.run(play, size, steps)


OPERATIONS = ["acquire"] * 3 + ["release"] * 2 + ["try", "cancel"]
STEPS = st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 4)), max_size=15)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.just("play"), st.integers(0, 5), STEPS), max_size=15))
def test_who_gets_tokens_waits_or_gives_up_is_as_in_go(oracle: Callable[..., Any], ours: Callable[..., Any], steps: list[Any]) -> None:
    assert ours(do, steps) == oracle("x/semaphore", steps)
