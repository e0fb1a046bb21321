from __future__ import annotations

from typing import Any, Callable

import pytest

import gort
from gort.sync import once_value


class Broken(Exception):
    pass


def do(operation: str, how: str, times: int) -> Any:
    calls = 0

    def work() -> int:
        nonlocal calls
        calls += 1
        if how == "panic":
            raise Broken("broken")
        return 7

    once = once_value(work)
    said: list[Any] = []
    for _ in range(times):
        try:
            said.append(once())
        except Broken as error:
            said.append(str(error))
    return [said, calls]


@pytest.mark.go("sync/oncefunc_test.go TestOnceValue, TestOncePanic")
def test_the_first_call_works_and_all_say_the_same(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    steps = [["once", how, times] for how in ("value", "panic") for times in (1, 2, 5)]
    assert ours(do, steps) == oracle("once", steps)


@pytest.mark.go("sync/oncefunc_test.go TestOnceFuncGoexit")
def test_after_a_goexit_every_call_panics_with_nil() -> None:
    once = once_value(gort.goexit)
    gort.go(once).join()
    for _ in range(2):
        with pytest.raises(gort.PanicError, match="^panic called with nil argument$"):
            once()
