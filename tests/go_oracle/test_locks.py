"""Mutex, RWMutex and WaitGroup in the hands of one caller, by random steps of which none waits and none is fatal."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gort.sync import Mutex, RWMutex, WaitGroup


class Ours:
    def __init__(self) -> None:
        mutex, self.table = Mutex(), RWMutex()
        rlocker = self.table.rlocker()
        self.operations: dict[str, Callable[..., Any]] = {
            "try_lock": mutex.try_lock, "unlock": mutex.unlock, "try_write": self.table.try_lock, "end_write": self.table.unlock,
            "try_read": self.table.try_rlock, "end_read": self.table.runlock, "read": rlocker.lock, "end": rlocker.unlock,
        }  # fmt: skip
        self.group()

    def group(self) -> None:
        group = WaitGroup()
        self.operations.update(add=group.add, wait=group.wait, group=self.group)

    def __call__(self, operation: str, *arguments: Any) -> Any:
        return self.operations[operation](*arguments)


@st.composite
def of_locks(draw: st.DrawFn) -> list[list[Any]]:
    locked, writer, readers, steps = False, False, 0, []
    for _ in range(draw(st.integers(1, 40))):
        allowed = ["try_lock", "try_write", "try_read"]
        allowed += ["unlock"] * locked + ["end_write"] * writer + ["end_read", "end"] * (readers > 0) + ["read"] * (not writer)
        step = draw(st.sampled_from(allowed))
        writer, readers = (
            step == "try_write" and not readers or writer and step != "end_write",
            readers + (step in ("try_read", "read") and not writer) - (step in ("end_read", "end")),
        )
        locked = step == "try_lock" or locked and step != "unlock"
        steps.append([step])
    return steps


@pytest.mark.go("sync/mutex_test.go TestMutex; sync/rwmutex_test.go TestRWMutex, TestRLocker")
def test_whoever_tries_a_lock_gets_it_when_go_gives_it(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    @settings(max_examples=50)
    @given(of_locks())
    def check(steps: list[list[Any]]) -> None:
        assert ours(Ours(), steps) == oracle("locks", steps)

    check()


@st.composite
def of_groups(draw: st.DrawFn) -> list[list[Any]]:
    """A counter that has become negative is the end of a group: Go leaves it so, ours stays as it was."""
    steps, count = [], 0
    for delta in draw(st.lists(st.integers(-4, 4), min_size=1, max_size=40)):
        steps.append(["add", delta])
        count += delta
        if count < 0:
            steps.append(["group"])
            count = 0
        elif count == 0:
            steps.append(["wait"])
    return steps


@pytest.mark.go("sync/waitgroup_test.go TestWaitGroupMisuse")
def test_a_counter_panics_where_gos_does(oracle: Callable[..., Any], ours: Callable[..., Any]) -> None:
    @settings(max_examples=50)
    @given(of_groups())
    def check(steps: list[list[Any]]) -> None:
        assert ours(Ours(), steps) == oracle("locks", steps)

    check()
