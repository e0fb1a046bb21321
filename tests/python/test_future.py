"""Future: concurrent.futures' interface, whose waiters park."""

from __future__ import annotations

import asyncio
import concurrent.futures
import copy
import gc
import threading
import weakref

import pytest

import gort
from gort.sync import Future, Group
from interpreter import WITHOUT_GIL


def begun() -> tuple[Group, Future[object], gort.Chan[object]]:
    group, channel = Group(), gort.Chan()
    return group, group.go(channel.recv), channel


def test_result_parks_and_gives_the_value(inside):
    def body():
        group, future, channel = begun()
        before = future.done(), repr(future)
        gort.go(channel.send, "v")
        assert future.result() == "v"
        group.wait()
        return before, future.done(), future.running(), future.cancelled(), future.exception(), repr(future)

    before, *after = inside(body)
    assert before == (False, "<Future running>")
    assert after == [True, False, False, None, "<Future returned str>"]


def test_only_the_goroutine_that_waits_stands_still(until_waiting):
    def body():
        _, future, channel = begun()
        got = []
        waiter = gort.go(lambda: got.append(future.result()))
        until_waiting(waiter)
        assert waiter.wait_reason == "chan receive"
        channel.send(7)
        waiter.join()
        return got

    assert gort.run(body, procs=1) == [7]


def test_every_waiter_gets_the_result(inside):
    def body():
        group, future, channel = begun()
        waiters = Group()
        results = [waiters.go(future.result) for _ in range(10)]
        channel.send(3)
        waiters.wait()
        group.wait()
        return [r.result() for r in results]

    assert inside(body) == [3] * 10


def test_what_the_call_raised_is_raised_from_result_and_returned_by_exception(inside):
    def body():
        group = Group()
        future = group.go(lambda: 1 / 0)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError) as caught:
                future.result()
        return caught.value is future.exception(), repr(future)

    assert inside(body) == (True, "<Future raised ZeroDivisionError>")


def test_a_timeout_raises_and_leaves_the_future_as_it_was(inside):
    def body():
        group, future, channel = begun()
        for timeout in (0, -1, 0.001):
            with pytest.raises(TimeoutError):
                future.result(timeout)
            with pytest.raises(TimeoutError):
                future.exception(timeout)
        channel.send(1)
        return future.result(60)

    assert inside(body) == 1


def test_a_call_that_goes_on_cannot_be_cancelled():
    group, future, channel = begun()
    assert not future.cancel()
    channel.send(None)
    group.wait()


@pytest.mark.parametrize("end", [gort.goexit, lambda: None], ids=["goexit", "end of the run"])
def test_a_call_that_ends_without_a_result_counts_as_cancelled(end):
    futures = []

    def body():
        group = Group()
        futures.append(group.go(lambda: (end(), gort.nil_chan.recv())))
        futures[0].add_done_callback(futures.append)
        gort.gosched()

    gort.run(body)
    assert futures[0].cancelled()
    assert futures[1] is futures[0]
    assert repr(futures[0]) == "<Future cancelled>"
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].result()
    with pytest.raises(concurrent.futures.CancelledError):
        futures[0].exception()


def test_a_call_that_a_run_never_began_counts_as_cancelled():
    """Should it have begun because the machine stood still, its end looks the same."""

    def body():
        group = Group()
        group.set_limit(1)
        return group, group.go(gort.nil_chan.recv)

    for _ in range(20):
        group, future = gort.run(body)
        with pytest.raises(concurrent.futures.CancelledError):
            future.result()
        assert group.go(int).result() == 0


def test_callbacks_are_called_with_the_future(inside):
    def body():
        group, future, channel = begun()
        called = []
        future.add_done_callback(called.append)
        channel.send(None)
        group.wait()
        future.add_done_callback(called.append)
        return [c is future for c in called]

    assert inside(body) == [True, True]


@pytest.mark.parametrize("when", [concurrent.futures.FIRST_COMPLETED, concurrent.futures.FIRST_EXCEPTION, concurrent.futures.ALL_COMPLETED])
def test_concurrent_futures_wait_waits(inside, when):
    def body():
        group, go_on = Group(), gort.Chan()
        futures = [group.go(go_on.recv) for _ in range(3)]

        def fails():
            go_on.recv()
            raise ValueError

        futures.append(group.go(fails))
        assert concurrent.futures.wait(futures, timeout=0).done == set()
        go_on.close()
        done, not_done = concurrent.futures.wait(futures, return_when=when)
        again = concurrent.futures.wait(list(done), return_when=when)
        with pytest.raises(ExceptionGroup):
            group.wait()
        return len(done) > 0, len(done) + len(not_done), again.not_done

    assert inside(body) == (True, 4, set())


def test_concurrent_futures_as_completed_gives_them_as_they_end(inside):
    def body():
        group, channels = Group(), [gort.Chan() for _ in range(4)]
        futures = [group.go(c.recv) for c in channels]
        order, seen = [2, 0, 3, 1], []
        completed = concurrent.futures.as_completed(futures, timeout=60)
        for n in order:
            gort.go(channels[n].send, n)
            seen.append(next(completed).result())
        return seen, list(completed)

    assert inside(body) == ([2, 0, 3, 1], [])


def test_asyncio_awaits_it():
    async def main():
        group, future, channel = begun()
        failing = group.go(lambda: 1 / 0)
        wrapped = asyncio.wrap_future(future)
        await asyncio.sleep(0)
        assert not wrapped.done()
        gort.go(channel.send, "v")
        with pytest.raises(ZeroDivisionError):
            await asyncio.wrap_future(failing)
        return await wrapped

    assert asyncio.run(main()) == "v"
    assert gort.run(lambda: asyncio.run(main())) == "v"


def test_an_asyncio_waiter_is_cancelled_with_a_call_that_exits():
    async def main():
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wrap_future(Group().go(gort.goexit))

    asyncio.run(main())


def test_threads_and_goroutines_wait_for_the_same_future():
    group, future, channel = begun()
    got = []
    waiters = Group()
    threads = [threading.Thread(target=lambda: got.append(future.result())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        waiters.go(lambda: got.append(future.result()))
    channel.send("v")
    waiters.wait()
    for thread in threads:
        thread.join()
    assert got == ["v"] * 8


def test_a_result_cannot_be_set_twice():
    future = Group().go(int)
    future.result()
    with pytest.raises(concurrent.futures.InvalidStateError, match="FINISHED: <Future returned int>"):
        future.set_result(1)


def test_it_cannot_be_copied():
    with pytest.raises(TypeError, match=r"^cannot pickle or copy gort.Future objects$"):
        copy.copy(Future())


@pytest.mark.skipif(WITHOUT_GIL, reason="an object of another thread is freed when that thread comes to it")
def test_an_error_makes_no_cycle():
    gc.collect()
    gc.disable()
    try:
        group = Group()
        future = group.go(lambda: 1 / 0)
        with pytest.raises(ExceptionGroup):
            group.wait()
        seen = weakref.ref(future)
        del future
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("seed", range(20))
def test_under_every_schedule_no_waiter_misses_the_end(seed):
    def body():
        group, waiters = Group(), Group()
        futures = [group.go(gort.gosched), group.go(int)]
        got = [waiters.go(f.exception) for f in futures * 3]
        waiters.wait()
        return [g.result() for g in got]

    assert gort.run(body, seed=seed) == [None] * 6
