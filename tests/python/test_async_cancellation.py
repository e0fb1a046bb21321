"""A task that is cancelled while it waits loses no value and leaves nothing behind."""

from __future__ import annotations

import asyncio
import random

import pytest

import gort
from async_waiting import NEW_LOOP, until_waiting, waiting
from gort import aio


def test_a_cancelled_receive_takes_nothing():
    async def main():
        ch = gort.Chan()
        task = await waiting(ch.arecv())
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task
        assert not ch.try_send(1)

    asyncio.run(main())


def test_a_cancelled_send_sends_nothing():
    async def main():
        ch = gort.Chan()
        task = await waiting(ch.asend(1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ch.try_recv() is None

    asyncio.run(main())


def test_a_cancelled_select_leaves_every_channel():
    async def main():
        a, b = gort.Chan(), gort.Chan()
        task = await waiting(aio.select(a, gort.send(b, 1), a))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not a.try_send(1) and b.try_recv() is None

    asyncio.run(main())


def test_a_cancelled_wait_for_a_lock_a_wait_group_or_a_goroutine_ends():
    async def main():
        mu, wg, ch = gort.Mutex(), gort.WaitGroup(), gort.Chan()
        mu.lock()
        wg.add(1)
        g = gort.go(ch.recv)

        async def wait(what):
            await what

        for begin in (mu.alock, lambda: wait(wg), lambda: wait(g)):
            task = await waiting(begin())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        wg.done()
        mu.unlock()
        assert mu.state == (False, False, False, 0)
        ch.send(1)
        await g

    asyncio.run(main())


def test_cancelled_before_its_goroutine_has_begun():
    async def main():
        ch = gort.Chan()
        for _ in range(50):
            task = asyncio.create_task(ch.arecv())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert not ch.try_send(1)

    asyncio.run(main())


# --- the wait was won already


def test_a_value_that_was_won_is_delivered_and_the_next_await_is_cancelled():
    async def main():
        ch, got = gort.Chan(), []

        async def body():
            got.append(await ch.arecv())
            await asyncio.sleep(3600)

        task = await waiting(body())
        assert ch.try_send("v")   # hands it to the waiting goroutine
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task
        assert got == ["v"]
        assert task.cancelling() == 1

    asyncio.run(main())


def test_a_value_that_was_sent_counts_as_sent():
    async def main():
        ch, sent = gort.Chan(), []

        async def body():
            await ch.asend("v")
            sent.append("v")
            await asyncio.sleep(3600)

        task = await waiting(body())
        assert ch.try_recv() == ("v", True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sent == ["v"]

    asyncio.run(main())


def test_several_cancellations_count_once_each():
    async def main():
        ch, got = gort.Chan(), []

        async def body():
            got.append(await ch.arecv())
            await asyncio.sleep(3600)

        task = await waiting(body())
        assert ch.try_send(1)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert got == [1] and task.cancelling() == 2

    asyncio.run(main())


def test_a_task_that_waits_no_more_returns_what_it_got():
    async def main():
        ch = gort.Chan()
        task = await waiting(ch.arecv())
        assert ch.try_send("v")
        task.cancel()
        return await task

    assert asyncio.run(main()) == "v"


def test_a_timeout_that_was_left_with_the_value_cancels_nothing_later():
    async def main():
        ch, loop = gort.Chan(), asyncio.get_running_loop()
        limits: list[asyncio.Timeout] = []

        async def body():
            async with asyncio.timeout(None) as limit:
                limits.append(limit)
                value = await ch.arecv()
            for _ in range(5):
                await asyncio.sleep(0)   # nothing comes any more
            return value, asyncio.current_task().cancelling()

        task = await waiting(body())
        assert ch.try_send("v")
        limits[0].reschedule(loop.time() - 1)
        return await task

    assert asyncio.run(main()) == ("v", 0)


def test_a_timeout_whose_block_waits_on_after_the_value_is_a_timeout():
    async def main():
        ch, loop, got = gort.Chan(), asyncio.get_running_loop(), []
        limits: list[asyncio.Timeout] = []

        async def body():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(None) as limit:
                    limits.append(limit)
                    got.append(await ch.arecv())
                    await ch.arecv()
            return asyncio.current_task().cancelling()

        task = await waiting(body())
        assert ch.try_send("v")
        limits[0].reschedule(loop.time() - 1)
        assert await task == 0
        assert got == ["v"]

    asyncio.run(main())


def test_a_task_group_that_fails_takes_no_value_from_its_tasks():
    async def main():
        ch, got = gort.Chan(), []

        async def receive():
            got.append(await ch.arecv())
            await asyncio.sleep(3600)

        async def fail():
            assert ch.try_send("v")
            raise ValueError("no")

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                await until_waiting(group.create_task(receive()))
                group.create_task(fail())
        assert [type(e) for e in caught.value.exceptions] == [ValueError]
        assert got == ["v"]

    asyncio.run(main())


def test_a_lock_that_was_won_is_unlocked_by_its_block():
    async def main():
        mu = gort.Mutex()
        mu.lock()

        async def body():
            async with mu:
                await asyncio.sleep(3600)

        task = await waiting(body())
        mu.unlock()
        while not mu.state.locked:   # its goroutine has it
            gort.gosched()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not mu.state.locked

    asyncio.run(main())


# --- nobody is there any more


def test_a_coroutine_that_is_closed_withdraws():
    async def main():
        ch, before = gort.Chan(), gort.num_goroutine()
        coroutine = ch.arecv()
        coroutine.send(None)
        assert gort.num_goroutine() == before + 1
        coroutine.close()
        while gort.num_goroutine() > before:
            await asyncio.sleep(0)
        assert not ch.try_send(1)

    asyncio.run(main())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lock_that_nobody_takes_is_given_back(when):
    async def main():
        mu, before = gort.Mutex(), gort.num_goroutine()
        mu.lock()
        coroutine = mu.alock()
        coroutine.send(None)
        while not mu.state.waiters:
            gort.gosched()
        mu.unlock()
        if when == "after":
            while gort.num_goroutine() > before:   # it has the lock, and has told
                gort.gosched()
            assert mu.state.locked
        coroutine.close()
        while gort.num_goroutine() > before:
            gort.gosched()
        assert not mu.state.locked

    asyncio.run(main())


@pytest.mark.parametrize("new_loop", NEW_LOOP)
def test_a_loop_that_is_closed_withdraws_its_tasks(new_loop):
    ch, mu, before = gort.Chan(), gort.Mutex(), gort.num_goroutine()
    mu.lock()
    loop = new_loop()
    tasks = []

    async def begin():
        tasks.append(await waiting(ch.arecv()))
        tasks.append(await waiting(mu.alock()))

    loop.run_until_complete(begin())
    for task in tasks:
        task._log_destroy_pending = False
    assert gort.num_goroutine() == before + 2
    loop.close()
    while gort.num_goroutine() > before:
        gort.gosched()
    assert not ch.try_send(1)
    mu.unlock()
    assert not mu.state.locked


def test_asyncio_run_ends_with_tasks_that_wait():
    ch = gort.Chan()

    async def main():
        for _ in range(10):
            await waiting(ch.arecv())

    asyncio.run(main())
    assert not ch.try_send(1)


def test_the_end_of_a_run_ends_the_waits_of_its_loops():
    ch = gort.Chan()

    async def wait():
        await waiting(ch.arecv())
        await ch.arecv()

    def main():
        g = gort.go(lambda: asyncio.run(wait()))
        while sum(g.name.startswith("await in") for g in gort.runtime.goroutines()) < 2:
            gort.gosched()
        return g

    assert gort.run(main).status == "dead"
    assert not ch.try_send(1)


# --- races


@pytest.mark.parametrize("seed", range(5))
def test_receivers_cancelled_at_any_time_get_every_value_once(seed):
    count, random_ = 300, random.Random(seed)
    ch, got = gort.Chan(random_.choice([0, 0, 3])), []

    def produce():
        with ch:
            for n in range(count):
                ch.send(n)

    async def consume():
        async for n in ch:
            got.append(n)

    async def main():
        gort.go(produce)
        while True:
            task = asyncio.create_task(consume())
            for _ in range(random_.randrange(12)):
                await asyncio.sleep(0)
            if random_.randrange(4) == 0:
                await asyncio.sleep(random_.random() * 0.0005)
            task.cancel()
            try:
                await task
                return
            except asyncio.CancelledError:
                pass

    asyncio.run(main())
    assert got == list(range(count))


@pytest.mark.parametrize("seed", range(5))
def test_senders_cancelled_at_any_time_know_what_was_sent(seed):
    random_ = random.Random(seed)
    ch, sent, got = gort.Chan(random_.choice([0, 0, 3])), [], []

    def consume():
        for n in ch:
            got.append(n)
            if n % 7 == 0:
                gort.sleep(0.0001)

    async def send(n):
        await ch.asend(n)
        sent.append(n)

    async def main():
        consumer = gort.go(consume)
        for n in range(300):
            task = asyncio.create_task(send(n))
            for _ in range(random_.randrange(6)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
        ch.close()
        await consumer

    asyncio.run(main())
    assert got == sent


@pytest.mark.parametrize("seed", range(3))
def test_timeouts_at_any_time_lose_no_value_and_leave_no_cancellation(seed):
    count, random_ = 200, random.Random(seed)
    ch, got = gort.Chan(), []

    def produce():
        with ch:
            for n in range(count):
                ch.send(n)
                if n % 5 == 0:
                    gort.sleep(0.0002)

    async def main():
        gort.go(produce)
        ended = False
        while not ended:
            try:
                async with asyncio.timeout(random_.random() * 0.0004):
                    async for n in ch:
                        got.append(n)
                    ended = True
            except TimeoutError:
                pass
            assert asyncio.current_task().cancelling() == 0

    asyncio.run(main())
    assert got == list(range(count))


@pytest.mark.parametrize("seed", range(3))
def test_a_lock_under_cancellation_is_never_lost_nor_held_twice(seed):
    random_, mu, inside = random.Random(seed), gort.Mutex(), 0
    over = gort.Chan()

    async def hold():
        nonlocal inside
        async with mu:
            inside += 1
            assert inside == 1
            try:
                await asyncio.sleep(0)
            finally:
                inside -= 1

    def hold_too():
        nonlocal inside
        while over.try_recv() is None:
            with mu:
                inside += 1
                assert inside == 1
                gort.gosched()
                inside -= 1
            gort.gosched()

    async def main():
        g = gort.go(hold_too)
        for _ in range(60):
            tasks = [asyncio.create_task(hold()) for _ in range(4)]
            for _ in range(random_.randrange(6)):
                await asyncio.sleep(0)
            for task in random_.sample(tasks, 2):
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, asyncio.CancelledError)
        over.close()
        await g

    asyncio.run(main())
    assert mu.state == (False, False, False, 0)
