"""Pool: values come back, or vanish; what it holds is not leaked."""

from __future__ import annotations

import sys
import threading
import weakref

import pytest

import gort
from gort import Chan, Pool, WaitGroup


class Thing:
    """Something with a weak reference."""


def test_what_was_put_in_comes_out(inside):
    def body():
        pool, thing = Pool(), Thing()
        pool.put(thing)
        return pool.get() is thing, pool.get()

    assert inside(body) == (True, None)


@pytest.mark.go("sync/pool_test.go TestPool")
def test_the_first_one_put_in_comes_out_first_then_the_newest():
    def main():
        pool = Pool()
        assert pool.get() is None
        for value in "abc":
            pool.put(value)
        return [pool.get() for _ in range(4)]

    assert gort.run(main, procs=1) == ["a", "c", "b", None]


@pytest.mark.go("sync/pool_test.go TestPoolNew")
def test_new_is_called_when_nothing_is_there():
    made = []
    pool = Pool(lambda: made.append(1) or len(made))
    assert (pool.get(), pool.get()) == (1, 2)
    pool.put(42)
    assert (pool.get(), pool.get()) == (42, 3)


# --- collections


@pytest.mark.go("sync/pool_test.go TestPool")
def test_values_live_through_one_collection_and_not_two(inside):
    def body():
        pool = Pool()
        for _ in range(100):
            pool.put("c")
        gort.gc.collect()
        after_one = pool.get()
        gort.gc.collect()
        return after_one, pool.get()

    assert inside(body) == ("c", None)


@pytest.mark.go("sync/pool_test.go TestPoolRelease")
def test_two_collections_give_up_what_is_in_it(inside):
    def body():
        pool = Pool()
        for _ in range(3):
            things = [Thing() for _ in range(100)]
            for thing in things:
                pool.put(thing)
            seen = [weakref.ref(thing) for thing in things]
            del things, thing
            gort.gc.collect()
            assert all(ref() is not None for ref in seen)
            gort.gc.collect()
            assert all(ref() is None for ref in seen)

    inside(body)


@pytest.mark.go("sync/pool_test.go TestPoolGC")
def test_it_keeps_nothing_that_was_taken_out():
    def main():
        pool = Pool()
        for _ in range(3):
            seen = []
            for _ in range(100):
                thing = Thing()
                seen.append(weakref.ref(thing))
                pool.put(thing)
            del thing
            for _ in range(100):
                pool.get()
            assert all(ref() is None for ref in seen)

    gort.run(main, procs=1)


def test_what_a_destructor_puts_in_while_values_are_given_up_stays():
    pool = Pool()

    class PutsItselfBack:
        def __del__(self):
            pool.put("the will")

    pool.put(PutsItselfBack())
    gort.gc.collect()
    gort.gc.collect()
    assert pool.get() == "the will"


# --- many at once


@pytest.mark.go("sync/pool_test.go TestPoolStress")
def test_no_value_is_handed_out_twice_while_collections_go_on():
    def main():
        pool, wg, wrong = Pool(), WaitGroup(), []

        def work():
            value = [0]
            for i in range(500):
                pool.put(value)
                value = pool.get() or [0]
                value[0] += 1
                if value != [1]:
                    wrong.append(value)
                if i % 8 == 0:
                    gort.gosched()
                value[0] -= 1

        for _ in range(10):
            wg.go(work)
        for _ in range(10):
            gort.gc.collect()
        wg.wait()
        return wrong

    assert gort.run(main) == []


@pytest.mark.go("sync/pool_test.go TestPoolDequeue, TestPoolChain")
@pytest.mark.parametrize("where", ["goroutines", "threads", "both"])
def test_what_one_puts_in_others_take_out_each_value_once(where):
    n, consumers = 2000, 6
    pool, taken, over = Pool(), [[] for _ in range(consumers + 1)], Chan()
    gort.gc.collect()  # so that none is due before ours, which would be the second

    def take(who):
        value = pool.get()
        if value is not None:
            taken[who].append(value)
        return value is not None

    def consume(who):
        while over.try_recv() is None:
            if not take(who):
                gort.gosched()

    def main():
        wg, threads = WaitGroup(), []
        for who in range(consumers):
            if where == "threads" or where == "both" and who % 2:
                threads.append(threading.Thread(target=consume, args=(who,)))
                threads[-1].start()
            else:
                wg.go(consume, who)
        for value in range(1, n + 1):
            pool.put(value)
            if value % 10 == 0:
                take(consumers)
                gort.gosched()
        gort.gc.collect()  # private ones are for their P alone; as victims they are for everybody
        while sum(map(len, taken)) < n:
            if not take(consumers):
                gort.gosched()
        over.close()
        for t in threads:
            t.join()
        wg.wait()

    gort.run(main)
    assert sorted(sum(taken, [])) == list(range(1, n + 1))


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


def test_a_cycle_through_values_of_every_processor_is_collected(collected):
    def main():
        pool, wg = Pool(), WaitGroup()
        seen = weakref.ref(pool)
        for _ in range(20):
            wg.go(pool.put, [pool])
        wg.wait()
        return seen

    seen = gort.run(main)
    collected()
    assert seen() is None


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
