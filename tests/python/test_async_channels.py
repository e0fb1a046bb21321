"""asyncio tasks on channels, locks, wait groups and goroutines."""

from __future__ import annotations

import asyncio
import datetime

import pytest

import gort
from async_waiting import goroutine_of, waiting
from gort import aio


def test_a_task_receives_what_a_goroutine_sends_and_the_reverse():
    async def main():
        numbers, squares = gort.Chan(), gort.Chan(2)

        def square():
            with squares:
                for n in numbers:
                    squares.send(n * n)

        async def produce():
            for n in range(100):
                await numbers.asend(n)
            numbers.close()

        gort.go(square)
        producer = asyncio.create_task(produce())
        got = [n async for n in squares]
        await producer
        return got

    assert asyncio.run(main()) == [n * n for n in range(100)]


def test_works_where_the_loop_runs_in_any_kind_of_caller(inside):
    async def main():
        ch = gort.Chan()
        task = asyncio.create_task(ch.arecv())
        await ch.asend("hello")
        return await task

    assert inside(lambda: asyncio.run(main())) == "hello"


def test_the_loop_goes_on_while_a_task_waits():
    async def main():
        ch = gort.Chan()
        task = await waiting(ch.arecv())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        ch.send(1)
        return await task

    assert asyncio.run(main()) == 1


def test_tasks_get_values_in_the_order_in_which_they_wait():
    async def main():
        ch = gort.Chan()
        tasks = [await waiting(ch.arecv()) for _ in range(20)]
        for n in range(20):
            ch.send(n)
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == list(range(20))


def test_values_of_tasks_are_taken_in_the_order_in_which_they_wait():
    async def main():
        ch = gort.Chan()
        tasks = [await waiting(ch.asend(n)) for n in range(20)]
        got = [ch.recv() for _ in range(20)]
        await asyncio.gather(*tasks)
        return got

    assert asyncio.run(main()) == list(range(20))


def test_closing_ends_async_for_and_gives_receivers_the_zero_value():
    async def main():
        ch = gort.Chan(zero="nothing")

        async def values():
            return [v async for v in ch]

        tasks = [await waiting(values()), await waiting(ch.arecv())]
        ch.close()
        assert await asyncio.gather(*tasks) == [[], "nothing"]
        assert await ch.arecv() == "nothing"

    asyncio.run(main())


def test_what_is_buffered_comes_before_the_end():
    async def main():
        ch = gort.Chan(3)
        for n in range(3):
            await ch.asend(n)
        ch.close()
        return [v async for v in ch]

    assert asyncio.run(main()) == [0, 1, 2]


def test_sending_on_a_closed_channel_panics_also_when_it_is_closed_meanwhile():
    async def main():
        ch = gort.Chan()
        task = await waiting(ch.asend(1))
        ch.close()
        with pytest.raises(gort.PanicError, match="^send on closed channel$"):
            await task
        with pytest.raises(gort.PanicError, match="^send on closed channel$"):
            await ch.asend(2)

    asyncio.run(main())


def test_typed_channels_and_their_errors():
    async def main():
        ch = gort.Chan(dtype="i64")
        task = await waiting(ch.arecv())
        await ch.asend(7)
        with pytest.raises(TypeError, match="must be"):
            await ch.asend("seven")
        return await task

    assert asyncio.run(main()) == 7


def test_a_directional_channel_refuses_the_other_way():
    ch = gort.Chan()
    with pytest.raises(TypeError, match=r"^Chan\.asend: the channel is receive-only$"):
        ch.receiver().asend(1)
    with pytest.raises(TypeError, match=r"^Chan\.arecv: the channel is send-only$"):
        ch.sender().arecv()
    with pytest.raises(TypeError, match=r"^Chan\.__aiter__: the channel is send-only$"):
        aiter(ch.sender())


def test_the_channel_of_a_timer():
    async def main():
        return await gort.after(0.001).arecv()

    assert isinstance(asyncio.run(main()), float)


@pytest.mark.parametrize(
    "begin", [lambda: gort.Chan(1).asend(1), lambda: gort.Chan(1).arecv(), lambda: gort.Mutex().alock(), lambda: aio.sleep(0), lambda: aio.select()]
)
def test_without_a_loop_the_error_says_so(begin):
    with pytest.raises(RuntimeError, match="^[a-z]+: no asyncio event loop is running in this thread"):
        begin().send(None)


# --- select and sleep


def test_select_does_exactly_one_case():
    async def main():
        a, b, c = gort.Chan(), gort.Chan(), gort.Chan()
        task = await waiting(aio.select(a, gort.send(b, "v"), None, c))
        assert b.recv() == "v"
        assert await task == (1, None, False)
        assert not a.try_send(1) and not c.try_send(1)
        task = await waiting(aio.select(a, gort.send(b, "v"), None, c))
        a.send("x")
        assert await task == (0, "x", True)
        assert b.try_recv() is None
        task = await waiting(aio.select(a, c))
        c.close()
        assert await task == (1, None, False)

    asyncio.run(main())


def test_select_has_the_default_and_the_timeout_of_select():
    async def main():
        ch = gort.Chan()
        assert (await aio.select(ch, default=True)).index == -1
        for timeout in (0, 0.001, datetime.timedelta(milliseconds=1)):
            with pytest.raises(TimeoutError):
                await aio.select(ch, timeout=timeout)
        with pytest.raises(TypeError, match="timeout"):
            await aio.select(ch, timeout="1")
        with pytest.raises(TypeError, match="select"):
            await aio.select(1)

    asyncio.run(main())


def test_sleep_takes_what_the_other_sleep_takes():
    async def main():
        for s in (0, -1, 0.001, datetime.timedelta(milliseconds=1), float("-inf")):
            await aio.sleep(s)
        with pytest.raises(ValueError, match="^sleep: s must be a number of seconds, got nan$"):
            await aio.sleep(float("nan"))
        with pytest.raises(TypeError, match="^sleep: s must be a number of seconds or a timedelta, got str$"):
            await aio.sleep("1")
        task = asyncio.create_task(aio.sleep(float("inf")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


# --- locks, wait groups, goroutines


@pytest.mark.parametrize("make", [gort.Mutex, gort.RWMutex])
def test_a_lock_excludes_tasks_goroutines_and_threads(make):
    lock, count, inside = make(), 0, 0

    def step():
        nonlocal count, inside
        inside += 1
        assert inside == 1
        gort.gosched()
        count += 1
        inside -= 1

    async def task():
        nonlocal count, inside
        for _ in range(50):
            async with lock as entered:
                assert entered is lock
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                count += 1
                inside -= 1

    def goroutine():
        for _ in range(50):
            with lock:
                step()

    async def main():
        goroutines = [gort.go(goroutine) for _ in range(3)]
        await asyncio.gather(task(), task(), task())
        for g in goroutines:
            await g

    asyncio.run(main())
    assert count == 300


def test_alock_waits_and_unlock_gives_it_back():
    async def main():
        mu = gort.Mutex()
        await mu.alock()
        task = await waiting(mu.alock())
        mu.unlock()
        await task
        assert mu.state.locked
        mu.unlock()
        assert not mu.state.locked

    asyncio.run(main())


def test_arlock_lets_readers_in_together():
    async def main():
        rw = gort.RWMutex()
        await rw.arlock()
        await rw.arlock()
        writer = await waiting(rw.alock())
        rw.runlock()
        rw.runlock()
        await writer
        reader = await waiting(rw.arlock())
        rw.unlock()
        await reader
        rw.runlock()

    asyncio.run(main())


def test_awaiting_a_wait_group_waits_for_its_goroutines():
    async def main():
        wg, ch = gort.WaitGroup(), gort.Chan()
        await wg   # zero
        for _ in range(3):
            wg.go(ch.recv)

        async def wait():
            await wg

        task = await waiting(wait())
        for n in range(3):
            assert not task.done()
            await ch.asend(n)
        await task

    asyncio.run(main())


def test_awaiting_a_goroutine_waits_for_its_end():
    async def main():
        ch = gort.Chan()
        g = gort.go(ch.recv)

        async def wait():
            await g

        task = await waiting(wait())
        ch.send(1)
        await task
        assert g.status == "dead"
        await g

    asyncio.run(main())


# --- to be seen


def test_dumps_show_which_task_waits_and_for_what():
    async def main():
        ch = gort.Chan(name="answers")
        task = await waiting(ch.arecv())
        g = goroutine_of(task)
        assert g.wait_reason == "chan receive" and "answers" in g.waiting_on
        assert f"await in {task.get_name()}" in repr(g)
        ch.send(1)
        await task

    asyncio.run(main())


def test_what_waits_for_a_task_is_not_called_leaked_as_the_task_can_be_cancelled():
    async def main():
        task = await waiting(gort.Chan().arecv())
        assert goroutine_of(task) not in gort.runtime.goroutines(leaked=True)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())


def test_the_holder_of_a_mutex_is_one_that_lives():
    async def main():
        mu = gort.Mutex()
        mu.lock()
        task = await waiting(mu.alock())
        mu.unlock()
        await task
        other = gort.go(mu.lock)
        while other.status != "waiting":
            await asyncio.sleep(0)
        assert f"held by goroutine {gort.current().id}" in other.stack()
        mu.unlock()
        await other
        mu.unlock()

    asyncio.run(main())
