"""Pool: values come back, or vanish; what it holds is not leaked."""

from __future__ import annotations

import sys
import weakref

import pytest

from gort import Pool


class Thing:
    """Something with a weak reference."""


def test_what_was_put_in_comes_out(inside):
    def body():
        pool, thing = Pool(), Thing()
        pool.put(thing)
        return pool.get() is thing, pool.get()

    assert inside(body) == (True, None)


def test_an_empty_pool_makes_a_new_one_or_gives_none():
    assert Pool().get() is None
    assert Pool(new=lambda: "made").get() == "made"


def test_none_is_not_put_in():
    pool = Pool(lambda: "made")
    pool.put(None)
    assert pool.get() == "made"


def test_what_new_raises_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        Pool(lambda: 1 / 0).get()


def test_every_value_comes_out_once():
    pool, things = Pool(), [Thing() for _ in range(100)]
    for thing in things:
        pool.put(thing)
    out = [pool.get() for _ in things]
    assert set(map(id, out)) == set(map(id, things))
    assert pool.get() is None


def test_references_are_counted():
    thing, pool = Thing(), Pool()
    before = sys.getrefcount(thing)
    pool.put(thing)
    assert sys.getrefcount(thing) == before + 1
    del pool
    assert sys.getrefcount(thing) == before


def test_a_cycle_through_a_pool_is_collected(collected):
    pool = Pool()
    seen = weakref.ref(pool)
    pool.put([pool])
    del pool
    collected()
    assert seen() is None


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError) as error:
        Pool(3)
    assert str(error.value) == "Pool: new must be callable, got int"
