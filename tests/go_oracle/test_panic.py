from __future__ import annotations

import itertools
import sys
from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import gort

CRASHES = {
    "RecursivePanic": [["call", [["defer", [["recover"]]], ["call", [["defer", [["recover"], ["panic", "wrap"]]], ["panic", "bad"]]]]], ["panic", "again"]],
    "RecursivePanic3": [["defer", [["defer", [["recover"]]], ["panic", "second"]]], ["panic", "first"]],
    "RecursivePanic4": [["defer", [["recover"], ["panic", "second"]]], ["panic", "first"]],
    "RecursivePanic5": [
        ["call", [["defer", []], ["call", [["defer", []], ["defer", [["recover"]]], ["defer", [["recover"], ["panic", "2"]]], ["panic", "1"]]]]],
        ["panic", "3"],
    ],
    "GoexitInPanic": [["defer", [["goexit"]]], ["panic", "hello"]],
    "PanicAfterGoexit": [["defer", [["panic", "hello"]]], ["goexit"]],
    "RecoveredPanicAfterGoexit": [["defer", [["defer", [["recover"]]], ["panic", "hello"]]], ["goexit"]],
    "RecoverBeforePanicAfterGoexit": [["defer", [["recover"]]], ["defer", [["panic", "hello"]]], ["goexit"]],
    "PanicTraceback": [["defer", [["panic", "pt1"]]], ["call", [["defer", [["panic", "pt2"]]], ["panic", "hello"]]]],
    "RepanickedPanic": [["defer", [["repanic"]]], ["panic", "message"]],
    "RepanickedMiddlePanic": [
        ["defer", [["recover"], ["panic", "outer"]]],
        ["call", [["defer", [["repanic"]]], ["call", [["defer", [["recover"], ["panic", "middle"]]], ["panic", "inner"]]]]],
    ],
    "AbortedPanic": [["defer", [["recover"]]], ["defer", [["recover"]]], ["defer", [["panic", "panic2"]]], ["panic", "panic1"]],
    "RecoverMatching": [["defer", [["recover"]]], ["defer", [["defer", [["recover"]]]]], ["panic", "panic1"]],
    "GoexitAbortsPanicAndPanicsAgain": [["defer", [["panic", "b"]]], ["defer", [["goexit"]]], ["panic", "a"]],
}

SIMPLE = st.sampled_from([["say"], ["panic"], ["recover"], ["repanic"], ["goexit"], ["panic"], ["recover"]])
FUNCTIONS = st.recursive(
    st.lists(SIMPLE, max_size=3),
    lambda inner: st.lists(st.one_of(SIMPLE, st.tuples(st.sampled_from(["call", "defer", "defer"]), inner).map(list)), min_size=1, max_size=5),
    max_leaves=25,
)


def numbered(function: list[Any], numbers: Any) -> list[Any]:
    """The same with a value of its own for everything that says or panics."""
    result = []
    for statement in function:
        name = statement[0]
        if name in ("say", "panic"):
            result.append([name, f"{name}{next(numbers)}"])
        elif name in ("call", "defer"):
            result.append([name, numbered(statement[1], numbers)])
        else:
            result.append([name])
    return result


def do(operation: str, program: list[Any]) -> Any:
    said: list[str] = []
    reports: list[str] = []

    @gort.func
    def function(statements: list[Any]) -> None:
        for statement in statements:
            match statement:
                case ["say", text]:
                    said.append(text)
                case ["panic", value]:
                    gort.panic(value)
                case ["recover"]:
                    value = gort.recover()
                    said.append("nil" if value is None else value)
                case ["repanic"]:
                    if (value := gort.recover()) is not None:
                        gort.panic(value)
                case ["goexit"]:
                    gort.goexit()
                case ["call", inner]:
                    function(inner)
                case ["defer", inner]:
                    gort.defer(function, inner)

    hook = gort.panichook
    gort.panichook = lambda goroutine, error: reports.append(panic_text(error))  # type: ignore[assignment]
    try:
        gort.go(function, program).join()
    finally:
        gort.panichook = hook  # type: ignore[assignment]
    return [said, reports[0] if reports else ""]


def panic_text(error: BaseException) -> str:
    return sys.modules["gort._report"].panic_text(error)  # type: ignore[no-any-return]


@pytest.mark.go("runtime/crash_test.go TestRecursivePanic and the tests after it; runtime/defer_test.go TestAbortedPanic, TestRecoverMatching")
@pytest.mark.parametrize("name", CRASHES)
def test_programs_that_crash_say_the_same(oracle: Callable[..., Any], ours: Callable[..., Any], name: str) -> None:
    steps = [["run", CRASHES[name]]]
    assert ours(do, steps) == oracle("panic", steps)


@settings(deadline=None, max_examples=20, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(functions=st.lists(FUNCTIONS, min_size=15, max_size=15))
def test_any_program_of_defer_panic_recover_and_goexit_says_the_same(
    oracle: Callable[..., Any], ours: Callable[..., Any], functions: list[list[Any]]
) -> None:
    steps = [["run", numbered(function, itertools.count(1))] for function in functions]
    for step, we, go in zip(steps, ours(do, steps), oracle("panic", steps), strict=True):
        assert we == go, step
