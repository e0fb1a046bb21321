"""gort.atomic.Value: a value of one type for ever, compared by ==."""

from __future__ import annotations

import copy
import gc
import math
import random
import weakref
from typing import Any, Callable

import pytest

import gort
from gort import PanicError
from gort.atomic import Uint64, Value


def holding(value: Any) -> Value[Any]:
    x: Value[Any] = Value()
    if value is not None:
        x.store(value)
    return x


@pytest.mark.go("sync/atomic/value_test.go TestValue")
@pytest.mark.go("sync/atomic/value_test.go TestValueLarge")
def test_load_returns_the_latest_value_and_none_before_the_first() -> None:
    for first, second in ((42, 84), ("foo", "barbaz")):
        x = holding(None)
        assert x.load() is None
        x.store(first)
        assert x.load() == first
        x.store(second)
        assert x.load() == second


@pytest.mark.go("sync/atomic/value_test.go TestValuePanic")
def test_neither_none_nor_another_type_is_stored() -> None:
    x = holding(None)
    with pytest.raises(PanicError, match="^sync/atomic: store of nil value into Value$"):
        x.store(None)
    x.store(42)
    for other in ("foo", True, 4.2):
        with pytest.raises(PanicError, match="^sync/atomic: store of inconsistently typed value into Value$"):
            x.store(other)
    with pytest.raises(PanicError, match="^sync/atomic: store of nil value into Value$"):
        x.store(None)
    assert x.load() == 42


@pytest.mark.go("sync/atomic/value_test.go TestValue_Swap")
@pytest.mark.parametrize(
    "before, new, text",
    [
        (None, None, "sync/atomic: swap of nil value into Value"),
        (None, True, None),
        (True, "", "sync/atomic: swap of inconsistently typed value into Value"),
        (True, False, None),
    ],
)
def test_swap(before: Any, new: Any, text: str | None) -> None:
    x = holding(before)
    if text is None:
        assert x.swap(new) is before and x.load() is new
        return
    with pytest.raises(PanicError) as error:
        x.swap(new)
    assert str(error.value) == text and x.load() is before


@pytest.mark.go("sync/atomic/value_test.go TestValue_CompareAndSwap")
@pytest.mark.parametrize(
    "before, new, old, result",
    [
        (None, None, None, "sync/atomic: compare and swap of nil value into Value"),
        (None, True, "", "sync/atomic: compare and swap of inconsistently typed values"),
        (None, True, True, False),
        (None, True, None, True),
        (True, "", None, "sync/atomic: compare and swap of inconsistently typed value into Value"),
        (True, True, False, False),
        (True, True, None, False),
        (True, False, True, True),
        ((0, "a"), (1, "b"), (0, "a"), True),
    ],
)
def test_compare_and_swap(before: Any, new: Any, old: Any, result: Any) -> None:
    x = holding(before)
    if isinstance(result, bool):
        assert x.compare_and_swap(old, new) is result
        assert x.load() == (new if result else before)
        return
    with pytest.raises(PanicError) as error:
        x.compare_and_swap(old, new)
    assert str(error.value) == result and x.load() is before


def test_values_without_a_hash_cannot_be_compared_as_in_go() -> None:
    x = holding([1])
    with pytest.raises(PanicError, match="^runtime error: comparing uncomparable type list$"):
        x.compare_and_swap([1], [2])
    assert not x.compare_and_swap(None, [2])
    assert x.load() == [1]


def test_nan_is_equal_to_nothing_not_even_to_itself() -> None:
    x = holding(math.nan)
    assert not x.compare_and_swap(math.nan, 1.0)


def test_what_a_comparison_raises_is_raised_and_nothing_is_changed() -> None:
    class Broken:
        __hash__ = object.__hash__

        def __eq__(self, other: object) -> bool:
            raise KeyError("broken")

    x = holding(first := Broken())
    with pytest.raises(KeyError):
        x.compare_and_swap(Broken(), Broken())
    assert x.load() is first


def test_what_changes_during_a_comparison_is_compared_again() -> None:
    x: Value[Any] = Value()

    class Meddler:
        def __init__(self, n: int) -> None:
            self.n = n

        __hash__ = object.__hash__

        def __eq__(self, other: object) -> bool:
            if self.n == 1:
                x.store(Meddler(2))
            assert isinstance(other, Meddler)
            return self.n in (1, other.n)

    x.store(Meddler(1))
    assert not x.compare_and_swap(Meddler(7), Meddler(8))
    assert x.load().n == 2
    x.store(Meddler(1))
    assert x.compare_and_swap(Meddler(2), Meddler(8))
    assert x.load().n == 8


@pytest.mark.go("sync/atomic/value_test.go TestValueConcurrent")
@pytest.mark.parametrize("values", [[0, 65535, 513, 1027], [0, 1 << 32, 1 << 63], [0j, 1 + 2j, 3 + 4j], ["", "a", "b" * 99]])
def test_what_is_loaded_was_stored(values: list[Any]) -> None:
    x, wrong = holding(values[0]), []

    def work() -> None:
        for _ in range(500):
            x.store(random.choice(values))
            if (seen := x.load()) not in values:
                wrong.append(seen)

    def body() -> None:
        for goroutine in [gort.go(work) for _ in range(8)]:
            goroutine.join()

    gort.run(body)
    assert wrong == []


@pytest.mark.go("sync/atomic/value_test.go TestValueSwapConcurrent")
def test_every_value_swapped_in_comes_out_once() -> None:
    x, total, goroutines, each = Value[int](), Uint64(), 20, 200

    def work(first: int) -> None:
        mine = 0
        for new in range(first, first + each):
            if (old := x.swap(new)) is not None:
                mine += old
        total.add(mine)

    def body() -> None:
        for goroutine in [gort.go(work, n * each) for n in range(goroutines)]:
            goroutine.join()

    gort.run(body)
    assert total.load() + (x.load() or 0) == sum(range(goroutines * each))


@pytest.mark.go("sync/atomic/value_test.go TestValueCompareAndSwapConcurrent")
def test_goroutines_count_in_turn_by_compare_and_swap() -> None:
    x, goroutines, each = holding(0), 20, 20

    def work(mine: int) -> None:
        while mine < goroutines * each:
            if x.compare_and_swap(mine, mine + 1):
                mine += goroutines
            gort.gosched()

    def body() -> None:
        for goroutine in [gort.go(work, n) for n in range(goroutines)]:
            goroutine.join()

    gort.run(body)
    assert x.load() == goroutines * each


def test_a_cycle_through_a_value_is_collected(collected: Callable[[], None]) -> None:
    class Thing:
        pass

    thing = Thing()
    thing.value = holding(thing)  # type: ignore[attr-defined]
    gone = weakref.ref(thing)
    del thing
    collected()
    assert gone() is None


def test_it_is_an_object_with_identity() -> None:
    x = holding(5)
    assert x != holding(5) and weakref.ref(x)() is x
    assert repr(x) == "<Value of int>" and repr(Value()) == "<Value None>"
    with pytest.raises(TypeError, match="cannot pickle or copy gort.atomic.Value objects"):
        copy.copy(x)
    with pytest.raises(TypeError):
        Value(5)  # type: ignore[call-arg]
    gc.collect()
    assert x.load() == 5
