"""The Goroutine object of a plain thread outlives its thread, and the memory of the thread's goroutine, which others have soon."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

import gort
from gort import runtime


def wait_until(done) -> None:
    """A thread can be joined a moment before it leaves gort; a pending call of Python's runs a moment after it was asked for."""
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.0001)


def threads_that(body, n: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=body) for _ in range(n)]
    for thread in threads:
        thread.start()
    return threads


def ended_threads(n: int, look=lambda: None) -> list[gort.Goroutine]:
    """The Goroutine objects of n threads that have come and gone. Each has called look."""
    objects: list[gort.Goroutine] = []

    def body():
        look()
        objects.append(gort.current())

    for thread in threads_that(body, n):
        thread.join()
    wait_until(lambda: all(g.status == "dead" for g in objects))
    return objects


def churn(use) -> None:
    """Calls use() while so many threads live, after so many have ended, that the memory of those before them is theirs."""
    ended_threads(400)
    arrived, stay = threading.Semaphore(0), threading.Event()

    def body():
        gort.current()
        arrived.release()
        stay.wait()

    threads = threads_that(body, 100)
    for _ in threads:
        arrived.acquire()
    try:
        use()
    finally:
        stay.set()
        for thread in threads:
            thread.join()


def test_the_object_of_an_ended_thread_stays_what_it_was():
    ids: list[int] = []
    objects = ended_threads(50, lambda: ids.append(gort.current().id))
    objects[0].name = "named"
    objects[1].labels["k"] = "v"

    def use():
        assert sorted(g.id for g in objects) == sorted(ids)
        for g in objects:
            assert (g.status, g.wait_reason, g.waiting_on, g.wait_since, g.stack(), g.parent_id) == ("dead", "", "", None, "", 0)
            assert repr(g) in (f"<Goroutine {g.id} [dead]>", f"<Goroutine {g.id} 'named' [dead]>")
            assert g.name == ("named" if g is objects[0] else f"goroutine {g.id}")
            assert g.created_at is None
            g.join()
            assert g not in runtime.goroutines()
        assert objects[1].labels == {"k": "v"}

    churn(use)


def test_an_object_that_was_made_during_a_run_has_its_threads_own_id_afterwards():
    objects: list[gort.Goroutine] = []
    outside: list[int] = []

    def body():
        gort.run(lambda: objects.append(gort.current()))
        outside.append(gort.current().id)

    thread = threads_that(body, 1)[0]
    thread.join()
    wait_until(lambda: objects[0].status == "dead")
    assert outside[0] != 1
    assert (objects[0].id, objects[0].name) == (outside[0], f"goroutine {outside[0]}")


@pytest.mark.parametrize("joiner", ["a goroutine", "a plain thread"])
def test_join_waits_for_the_end_of_a_thread(joiner, until_waiting):
    objects: list[gort.Goroutine] = []
    there, stay, joined = threading.Event(), threading.Event(), threading.Event()

    def body():
        objects.append(gort.current())
        there.set()
        stay.wait()

    def joins():
        joiners.append(gort.current())
        objects[0].join()
        assert objects[0].status == "dead"
        joined.set()

    joiners: list[gort.Goroutine] = []
    thread = threads_that(body, 1)[0]
    there.wait()
    waits = gort.go(joins) if joiner == "a goroutine" else threads_that(joins, 1)[0]
    wait_until(lambda: joiners)
    until_waiting(joiners[0])
    assert not joined.is_set()
    stay.set()
    thread.join()
    waits.join()
    assert joined.is_set()


def test_a_run_may_wait_for_nothing_but_the_end_of_a_thread():
    there = gort.Chan(1)

    def body():
        there.send(gort.current())

    def main():
        thread = threads_that(body, 1)[0]
        there.recv().join()
        thread.join()
        return "ended"

    assert gort.run(main) == "ended"


def test_the_object_goes_with_its_thread_and_takes_its_labels_along():
    class Label:
        pass

    kept: list[weakref.ref] = []

    def body():
        g = gort.current()
        label = Label()
        g.labels["label"] = label
        kept.extend([weakref.ref(g), weakref.ref(label)])

    threads_that(body, 1)[0].join()
    wait_until(lambda: (gc.collect(), [r() for r in kept])[1] == [None, None])


def test_goroutines_may_be_listed_while_threads_come_and_go():
    stop = threading.Event()

    def comes_and_goes():
        while not stop.is_set():
            for thread in threads_that(gort.num_goroutine, 4):
                thread.join()

    threads = threads_that(comes_and_goes, 3)
    try:
        seen: list[gort.Goroutine] = []
        for _ in range(200):
            seen.extend(runtime.goroutines())
            assert all(g.id > 0 and repr(g) and g.stack() is not None for g in seen[-20:])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert gort.current() in seen
    wait_until(lambda: all(g.status == "dead" for g in set(seen) - set(runtime.goroutines())))
