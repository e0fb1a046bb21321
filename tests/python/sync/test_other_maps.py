"""ShardedMap and OrderedMap: what they have beside Map's methods (test_map.py)."""

from __future__ import annotations

import copy
import doctest
import gc
import weakref
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort.sync import OrderedMap, ShardedMap


@given(st.lists(st.tuples(st.sampled_from(["store", "delete", "swap", "load_or_store", "clear"]), st.integers(0, 8)), max_size=60))
def test_an_ordered_map_ranges_in_the_order_of_a_dict(steps: list[tuple[str, int]]) -> None:
    m, model = OrderedMap[int, int](), dict[int, int]()
    for n, (operation, k) in enumerate(steps):
        if operation == "clear":
            m.clear()
            model.clear()
        elif operation == "delete":
            m.delete(k)
            model.pop(k, None)
        elif operation == "load_or_store":
            m.load_or_store(k, n)
            model.setdefault(k, n)
        else:
            getattr(m, operation)(k, n)
            model[k] = n
        assert list(m.range()) == list(model.items())


def test_a_key_that_was_deleted_and_comes_again_does_not_come_twice_in_one_range() -> None:
    m = OrderedMap[str, int]()
    for k in "abc":
        m.store(k, 0)
    seen = []
    for k, _ in m.range():
        seen.append(k)
        m.delete(k)
        m.store(k, 1)
        m.delete("b")
    assert seen == ["a", "c"]
    assert list(m.range()) == [("a", 1), ("c", 1)]


def test_an_ordered_map_keeps_the_order_of_each_goroutines_keys() -> None:
    m = OrderedMap[tuple[int, int], None]()

    def store(me: int) -> None:
        for n in range(200):
            m.store((me, n), None)

    def body() -> None:
        for g in [gort.go(store, me) for me in range(4)]:
            g.join()

    gort.run(body)
    keys = [k for k, _ in m.range()]
    assert len(keys) == 800
    for me in range(4):
        assert [n for who, n in keys if who == me] == [*range(200)]


@pytest.mark.parametrize("asked, made", [(1, 1), (2, 2), (3, 4), (100, 128)])
def test_shards_are_rounded_up_to_a_power_of_two(asked: int, made: int) -> None:
    m = ShardedMap[int, int](asked)
    assert m.shards == made
    for n in range(1000):
        m.store(n, n)
    assert sorted(m.range()) == [(n, n) for n in range(1000)]


def test_there_are_four_shards_a_processor() -> None:
    assert ShardedMap().shards >= 4 * gort.gomaxprocs()


def test_misuse_is_an_exact_error() -> None:
    with pytest.raises(ValueError) as value:
        ShardedMap(0)
    assert str(value.value) == "ShardedMap: shards must be at least 1, got 0"
    with pytest.raises(ValueError) as value:
        ShardedMap(2**32)  # took all memory
    assert str(value.value) == "ShardedMap: shards must be at most 65536, got 4294967296"
    with pytest.raises(TypeError) as kind:
        ShardedMap("3")  # type: ignore[arg-type]
    assert str(kind.value) == "ShardedMap: shards must be an int, got str"


@pytest.mark.parametrize("kind", [ShardedMap, OrderedMap])
def test_they_are_objects_with_identity(kind: Callable[[], Any]) -> None:
    m = kind()
    assert bool(m) and m != kind() and weakref.ref(m)() is m
    with pytest.raises(TypeError, match="cannot pickle or copy gort"):
        copy.copy(m)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (kind,), {})


def test_a_map_that_dies_gives_up_its_values_without_a_collection() -> None:
    class Thing:
        pass

    gc.collect()
    gc.disable()
    try:
        for kind in (ShardedMap, OrderedMap):
            m: Any = kind()
            thing = Thing()
            gone = weakref.ref(thing)
            m.store(1, thing)
            del thing, m
            assert gone() is None
    finally:
        gc.enable()


def test_how_they_show_themselves() -> None:
    assert (repr(ShardedMap(4)), repr(OrderedMap())) == ("<ShardedMap of 4>", "<OrderedMap>")


@pytest.mark.parametrize("kind", [ShardedMap, OrderedMap])
def test_the_examples_in_their_documentation_run(kind: type) -> None:
    examples = doctest.DocTestParser().get_doctest(kind.__doc__ or "", {}, kind.__name__, None, None)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0
