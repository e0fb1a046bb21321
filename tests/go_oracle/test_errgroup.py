from __future__ import annotations

from typing import Any, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

import gort
from gort import Group, context
from resting import rest


class Failed(Exception):
    pass


def wait(*texts: str) -> list[str]:
    def fails(text: str) -> None:
        if text:
            raise Failed(text)

    group, ctx = Group.with_context(context.background())
    for text in texts:
        group.go(fails, text)
        rest()
    said = ""
    try:
        group.wait()
    except ExceptionGroup as errors:
        said = str(errors.exceptions[0])
    return [said, str(context.cause(ctx)), str(ctx.err())]


def limit(*numbers: int) -> list[Any]:
    group, end, said = Group(), gort.Chan[None](), list[Any]()
    for n in numbers:
        if n >= 0:
            said.append(sum(group.try_go(end.recv) is not None for _ in range(n)))
            continue
        try:
            group.set_limit(-n - 1)
            said.append("")
        except gort.PanicError as error:
            said.append(str(error))
    end.close()
    return said


def do(operation: str, *arguments: Any) -> Any:
    return gort.run(wait if operation == "errors" else limit, *arguments)


STEPS = st.one_of(
    st.lists(st.sampled_from(["", "one", "two", "three"]), max_size=5).map(lambda texts: ["errors", *texts]),
    st.lists(st.integers(-6, 6), max_size=8).map(lambda numbers: ["limit", *numbers]),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_errors_causes_and_limits_are_those_of_go(oracle: Callable[..., Any], ours: Callable[..., Any], steps: list[list[Any]]) -> None:
    assert ours(do, steps) == oracle("x/errgroup", steps)
