"""LockFreeQueue: first in, first out, nothing lost, nothing doubled, bounds, references and cycles."""

from __future__ import annotations

import copy
import doctest
import gc
import sys
import threading
import weakref
from collections import deque
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort import GoExit
from gort.sync import LockFreeQueue

Inside = Callable[[Callable[[], Any]], Any]


class Thing:
    pass


def everything(queue: LockFreeQueue[Any]) -> list[Any]:
    values = []
    while (taken := queue.try_pop()) is not None:
        value, ok = taken
        assert ok is True
        values.append(value)
    return values


def test_values_come_out_in_the_order_in_which_they_went_in(inside: Inside) -> None:
    def body() -> list[Any]:
        queue = LockFreeQueue[Any]()
        for value in (1, None, "a", [2]):
            assert queue.push(value) is None
        assert queue.try_push(3) is True
        return everything(queue)

    assert inside(body) == [1, None, "a", [2], 3]


def test_a_bounded_one_takes_exactly_its_capacity() -> None:
    queue = LockFreeQueue[int](3)
    for _ in range(3):
        assert [queue.try_push(n) for n in range(5)] == [True, True, True, False, False]
        assert len(queue) == queue.capacity == 3
        assert everything(queue) == [0, 1, 2]


@given(st.sampled_from([None, 1, 2, 5]), st.lists(st.one_of(st.none(), st.integers())))
def test_it_behaves_like_a_deque(capacity: int | None, steps: list[int | None]) -> None:
    queue, model = LockFreeQueue[int](capacity), deque[int]()
    for step in steps:
        if step is None:
            assert queue.try_pop() == ((model.popleft(), True) if model else None)
        elif queue.try_push(step):
            model.append(step)
        else:
            assert len(model) == capacity
        assert len(queue) == len(model)
    assert everything(queue) == list(model)


def test_push_waits_while_a_bounded_one_is_full(inside: Inside) -> None:
    def body() -> list[Any]:
        queue, pushed = LockFreeQueue[int](1), []

        def push() -> None:
            queue.push(2)
            pushed.append(2)

        queue.push(1)
        g = gort.go(push)
        gort.sleep(0.001)
        before = list(pushed), queue.try_pop()
        g.join()
        return [before, pushed, queue.try_pop()]

    assert inside(body) == [([], (1, True)), [2], (2, True)]


def test_the_end_of_the_run_ends_a_push_that_waits_and_nothing_is_pushed() -> None:
    queue, thing, ended, began = LockFreeQueue[Any](1), Thing(), [], []

    def push() -> None:
        try:
            began.append(True)
            queue.push(thing)
        except GoExit:
            ended.append("exit")
            raise

    def body() -> None:
        queue.push(1)
        gort.go(push)
        while not began:
            gort.gosched()

    count = sys.getrefcount(thing)
    gort.run(body)
    assert (ended, everything(queue)) == (["exit"], [1])
    assert sys.getrefcount(thing) == count


@pytest.mark.parametrize("capacity", [None, 8])
def test_every_value_arrives_once_and_each_producers_values_in_its_order(capacity: int | None) -> None:
    queue, taken, left, producers, each = LockFreeQueue[tuple[int, int]](capacity), [], gort.atomic.Int64(), 4, 500
    left.store(producers * each)

    def produce(me: int) -> None:
        for n in range(each):
            queue.push((me, n))

    def consume() -> None:
        mine = []
        while left.load() > 0:
            if (value := queue.try_pop()) is not None:
                mine.append(value[0])
                left.add(-1)
            else:
                gort.gosched()
        taken.append(mine)

    def body() -> None:
        goroutines = [gort.go(produce, n) for n in range(2)] + [gort.go(consume) for _ in range(2)]
        for thread in threads:
            thread.join()
        for goroutine in goroutines:
            goroutine.join()

    threads = [threading.Thread(target=produce, args=(n,)) for n in (2, 3)] + [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    gort.run(body)
    assert sorted(sum(taken, [])) == [(me, n) for me in range(producers) for n in range(each)]
    for mine in taken:
        for me in range(producers):
            assert (numbers := [n for producer, n in mine if producer == me]) == sorted(numbers)


def test_it_holds_references_until_they_are_taken_and_gives_up_the_rest_at_its_end() -> None:
    queue = LockFreeQueue[Any]()
    things = [Thing() for _ in range(3)]
    gone = [weakref.ref(thing) for thing in things]
    for thing in things:
        queue.push(thing)
    things.clear()
    del thing
    gc.collect()
    assert all(ref() is not None for ref in gone)
    queue.try_pop()
    gc.collect()
    assert [ref() is None for ref in gone] == [True, False, False]
    del queue
    gc.collect()
    assert all(ref() is None for ref in gone)


@pytest.mark.parametrize("capacity", [None, 3])
def test_cycles_through_it_are_collected(capacity: int | None, collected: Callable[[], None]) -> None:
    thing = Thing()
    thing.queue = queue = LockFreeQueue[Any](capacity)  # type: ignore[attr-defined]
    queue.push(1)
    queue.push(thing)
    queue.push(queue)
    gone = weakref.ref(thing), weakref.ref(queue)
    del thing, queue
    collected()
    assert [ref() for ref in gone] == [None, None]


def test_a_collection_leaves_what_is_in_it_as_it_was() -> None:
    for capacity in (None, 4):
        queue = LockFreeQueue[Any](capacity)
        values: list[Any] = [[1], "b", Thing(), None]
        for value in values:
            queue.push(value)
        gc.collect()
        assert gc.get_referents(queue)[-4:] == values
        gc.collect()
        assert everything(queue) == values


def test_collections_beside_producers_and_consumers_lose_nothing() -> None:
    queue, done, taken = LockFreeQueue[list[int]](), gort.atomic.Bool(), []

    def produce() -> None:
        for n in range(1000):
            queue.push([n])

    def consume() -> None:
        while not done.load() or len(queue):
            if (value := queue.try_pop()) is not None:
                taken.append(value[0][0])

    def body() -> None:
        producers = [gort.go(produce), gort.go(produce)]
        while any(g.status != "dead" for g in producers):
            gc.collect(0)
            gort.gosched()
        done.store(True)
        thread.join()

    thread = threading.Thread(target=consume)
    thread.start()
    gort.run(body)
    assert sorted(taken) == sorted([*range(1000)] * 2)


def test_a_destructor_may_use_the_queue_it_was_in() -> None:
    queue = LockFreeQueue[Any]()
    said = []

    class Last:
        def __del__(self) -> None:
            said.append(queue.try_pop())
            queue.push("from the end")

    queue.push(Last())
    queue.push(2)
    queue.try_pop()
    gc.collect()
    assert (said, everything(queue)) == ([(2, True)], ["from the end"])


def test_queues_in_queues_end_without_deep_recursion() -> None:
    chain = LockFreeQueue[Any]()
    for _ in range(20_000):
        outer = LockFreeQueue[Any]()
        outer.push(chain)
        chain = outer
    del outer, chain


def test_an_explored_run_gets_out_of_a_loop_of_try_pop() -> None:
    def body() -> int:
        queue, turns = LockFreeQueue[int](), 0
        gort.go(queue.push, 1)
        while queue.try_pop() is None:
            turns += 1
        return turns

    took = [gort.run(body, seed=seed) for seed in (1, 1, 2, 3, 4, 5)]
    assert took[0] == took[1] and len(set(took)) > 1


def test_misuse_is_an_exact_error() -> None:
    for bad, text in ((0, "LockFreeQueue: capacity must be at least 1, got 0"), (-5, "LockFreeQueue: capacity must be at least 1, got -5")):
        with pytest.raises(ValueError) as error:
            LockFreeQueue(bad)
        assert str(error.value) == text
    with pytest.raises(TypeError) as type_error:
        LockFreeQueue("3")  # type: ignore[arg-type]
    assert str(type_error.value) == "LockFreeQueue: capacity must be an int or None, got str"
    assert LockFreeQueue(1 << 100).try_push(1)


def test_it_is_an_object_with_identity() -> None:
    queue = LockFreeQueue[int]()
    assert bool(queue) and len(queue) == 0 and queue.capacity is None
    assert queue != LockFreeQueue() and weakref.ref(queue)() is queue
    queue.push(1)
    bounded = LockFreeQueue[int](capacity=4)
    assert (repr(queue), repr(bounded)) == ("<LockFreeQueue 1>", "<LockFreeQueue 0/4>")
    with pytest.raises(TypeError, match="cannot pickle or copy gort.sync.LockFreeQueue objects"):
        copy.copy(queue)


def test_the_example_in_its_documentation_runs() -> None:
    examples = doctest.DocTestParser().get_doctest(LockFreeQueue.__doc__ or "", {}, "LockFreeQueue", None, None)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0
