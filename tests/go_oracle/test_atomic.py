from __future__ import annotations

import itertools
import operator
from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gort import atomic

Play = Callable[..., Any]
BITS = {"Int32": 32, "Int64": 64, "Uint32": 32, "Uint64": 64, "Uintptr": 64}


def bounds(kind: str) -> tuple[int, int]:
    bits = BITS[kind]
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if kind.startswith("Int") else (0, (1 << bits) - 1)


def edges(kind: str) -> list[int]:
    low, high = bounds(kind)
    return sorted({low, low + 1, 0, 1, 5, 1 << 16, high // 2, high // 2 + 1, high - 1, high, *([-1, -5] if low else [])})


class Ours:
    def __call__(self, operation: str, kind: str, *arguments: Any) -> Any:
        if kind in BITS:
            start, *rest = map(int, arguments)
            x = getattr(atomic, kind)(start)
            said = getattr(x, operation)(*rest)
            return [said if said is None or isinstance(said, bool) else str(said), str(x.load())]
        if operation == "new":
            self.x = getattr(atomic, kind)()
            return [None, self.x.load()]
        said = getattr(self.x, operation)(*arguments)
        return [said, self.x.load()]


@pytest.mark.parametrize("kind", BITS)
def test_integers_do_what_gos_do_at_their_edges(kind: str, oracle: Play, ours: Play) -> None:
    steps: list[list[Any]] = []
    for start, other in itertools.product(edges(kind), repeat=2):
        steps += [[operation, kind, str(start), str(other)] for operation in ("store", "swap", "add", "and_", "or_")]
        steps += [["compare_and_swap", kind, str(start), str(other), str(new)] for new in (start, other, 7)]
        steps.append(["load", kind, str(start)])
    assert ours(Ours(), steps) == oracle("atomic", steps)


@given(data=st.data())
@settings(max_examples=20)
def test_integers_do_what_gos_do(data: st.DataObject, oracle: Play, ours: Play) -> None:
    def step() -> st.SearchStrategy[list[Any]]:
        return st.sampled_from(list(BITS)).flatmap(
            lambda kind: st.tuples(
                st.sampled_from(["store", "swap", "add", "and_", "or_"]), st.just(kind), *[st.integers(*bounds(kind)).map(str)] * 2
            ).map(list)
        )

    steps = data.draw(st.lists(step(), min_size=50, max_size=100))
    assert ours(Ours(), steps) == oracle("atomic", steps)


@given(steps=st.lists(st.one_of(
    st.just(["load", "Bool"]),
    st.tuples(st.sampled_from(["store", "swap"]), st.just("Bool"), st.booleans()).map(list),
    st.tuples(st.just("compare_and_swap"), st.just("Bool"), st.booleans(), st.booleans()).map(list),
), max_size=60))  # fmt: skip
@settings(max_examples=20)
def test_a_bool_does_what_gos_does(steps: list[list[Any]], oracle: Play, ours: Play) -> None:
    steps = [["new", "Bool"], *steps]
    assert ours(Ours(), steps) == oracle("atomic", steps)


VALUES = st.sampled_from([None, True, False, 0, 1, 42, "", "a", "foo"])


@given(steps=st.lists(st.one_of(
    st.just(["new", "Value"]),
    st.just(["load", "Value"]),
    st.tuples(st.sampled_from(["store", "swap"]), st.just("Value"), VALUES).map(list),
    st.tuples(st.just("compare_and_swap"), st.just("Value"), VALUES, VALUES).map(list),
), max_size=100))  # fmt: skip
@settings(max_examples=50)
def test_a_value_does_and_panics_as_gos_does(steps: list[list[Any]], oracle: Play, ours: Play) -> None:
    steps = [["new", "Value"], *steps]
    mine, theirs = ours(Ours(), steps), oracle("atomic", steps)
    assert mine == theirs
    assert all(map(operator.is_, map(type, flat(mine)), map(type, flat(theirs))))  # True == 1 in Python


def flat(results: list[Any]) -> list[Any]:
    return [item for result in results for item in (result if isinstance(result, list) else [result])]
