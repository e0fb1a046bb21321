from __future__ import annotations

import re
from typing import Any, Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gort import Chan, context


class Wrap:
    """Hands everything on."""

    def __init__(self, ctx: Any):
        self.ctx = ctx

    def __str__(self) -> str:
        return f"{self.ctx}.wrap"

    def done(self) -> Chan[None] | None:
        return self.ctx.done()

    def err(self) -> Exception | None:
        return self.ctx.err()

    def deadline(self) -> float | None:
        return self.ctx.deadline()

    def value(self, key: Any) -> Any:
        return self.ctx.value(key)


class Own(Wrap):
    """Has a done channel and an error of its own, and calls those who want to know."""

    def __init__(self, ctx: Any):
        super().__init__(ctx)
        self.channel: Chan[None] = Chan()
        self.error: Exception | None = None
        self.functions: dict[object, Callable[[], None]] = {}

    def __str__(self) -> str:
        return f"{self.ctx}.own"

    def done(self) -> Chan[None]:
        return self.channel

    def err(self) -> Exception | None:
        return self.error

    def after_func(self, fn: Callable[[], None]) -> Callable[[], bool]:
        key = object()
        self.functions[key] = fn
        return lambda: self.functions.pop(key, None) is not None

    def end(self, _: object) -> None:
        if self.error is not None:
            return
        self.error = context.Canceled()
        self.channel.close()
        while self.functions:
            self.functions.popitem()[1]()


def reason(text: str | None) -> Exception | None:
    return None if text is None else RuntimeError(text)


def do(_: str, *operations: list[Any]) -> Any:
    contexts: list[Any] = [context.background()]
    parents, said, stops = [0], [], []
    cancels: dict[int, Callable[[Any], object]] = {}

    def add(parent: int, ctx: Any, cancel: Callable[[Any], object] | None = None) -> None:
        contexts.append(ctx)
        parents.append(parent)
        if cancel is not None:
            cancels[len(contexts) - 1] = cancel

    def play(name: str, index: int, *arguments: Any) -> None:
        i = index % len(contexts)
        parent = contexts[i]
        match name:
            case "cancel":
                ctx, cancel = context.with_cancel(parent)
                add(i, ctx, lambda _: cancel())
            case "cancel_cause":
                add(i, *context.with_cancel_cause(parent))
            case "timeout":
                ctx, cancel = context.with_timeout_cause(parent, arguments[0], reason(arguments[1]))
                add(i, ctx, lambda _: cancel())
            case "value":
                add(i, context.with_value(parent, *arguments))
            case "without":
                add(i, context.without_cancel(parent))
            case "wrap":
                add(i, Wrap(parent))
            case "own":
                own = Own(parent)
                add(i, own, own.end)
            case "end":
                if i in cancels:
                    cancels[i](reason(arguments[0]))
            case "after":
                stops.append(context.after_func(parent, lambda: None))
            case "stop":
                if stops:
                    said.append(stops[index % len(stops)]())

    for operation in operations:
        play(*operation)
        for i, ctx in enumerate(contexts):
            if not isinstance(ctx, Own) and (channel := ctx.done()) is not None and contexts[parents[i]].err() is not None:
                channel.recv()
    for ctx in contexts:
        text = re.sub(r"WithDeadline\([^)]*\)", "WithDeadline()", str(ctx))
        text = re.sub(r"^.*\.own(?=\.WithCancel|\.WithDeadline)", "own", text)
        error, cause = ctx.err(), context.cause(ctx)
        said.append(
            [
                None if error is None else str(error),
                None if cause is None else str(cause),
                ctx.deadline() is not None,
                ctx.done() is not None,
                ctx.value("a"),
                ctx.value("b"),
                text,
            ]
        )
    for cancel in cancels.values():
        cancel(None)
    return said


INDEX = st.integers(0, 11)
CAUSE = st.sampled_from([None, "first", "second"])
OPERATION = st.one_of(
    st.tuples(st.sampled_from(["cancel", "cancel_cause", "without", "wrap", "own", "after", "stop"]), INDEX),
    st.tuples(st.just("timeout"), INDEX, st.sampled_from([0, 1000, 2000, 3000]), CAUSE),
    st.tuples(st.just("value"), INDEX, st.sampled_from("ab"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("end"), INDEX, CAUSE),
    st.tuples(st.just("end"), INDEX, CAUSE),
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(OPERATION, max_size=15), min_size=1, max_size=30))
def test_trees_of_contexts_say_the_same(oracle: Callable[..., Any], ours: Callable[..., Any], trees: list[list[Any]]) -> None:
    steps = [["tree", *map(list, operations)] for operations in trees]
    for step, said, expected in zip(steps, ours(do, steps), oracle("context", steps), strict=True):
        assert said == expected, step
