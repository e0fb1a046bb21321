"""Tasks of several loops, goroutines and threads on the same channels: every value once, in its producer's order."""

from __future__ import annotations

import asyncio
import pathlib
import random
import re
import threading

import pytest

import gort
from async_waiting import NEW_LOOP
from gort import aio


def run_loop(new_loop, coroutine):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(coroutine)


@pytest.mark.parametrize("new_loop", NEW_LOOP)
@pytest.mark.parametrize("capacity", [0, 5])
def test_everybody_sends_and_receives(new_loop, capacity):
    each = 200
    channels = [gort.Chan(capacity), gort.Chan(capacity)]
    producers, got = gort.WaitGroup(), gort.Chan(1000)
    waits = []

    def numbers(who):
        return range(who * each, (who + 1) * each)

    async def task_sends(who):
        for n in numbers(who):
            if n % 3:
                await channels[n % 2].asend(n)
            else:
                await aio.select(*[gort.send(ch, n) for ch in channels])
        producers.done()

    async def task_receives():
        values = [n async for n in channels[0]]
        await got.asend(values)

    async def task_selects():
        values, is_open = [], list(channels)
        while any(is_open):
            index, value, ok = await aio.select(*is_open)
            if ok:
                values.append(value)
            else:
                is_open[index] = None
        await got.asend(values)

    def sends(who):
        for n in numbers(who):
            channels[n % 2].send(n)
        producers.done()

    def receives():
        got.send([n for n in channels[1]])

    async def loop(first):
        await asyncio.gather(task_sends(first), task_sends(first + 1), task_receives(), task_selects())

    producers.add(6)
    for first in (0, 2):   # two loops, each in a thread of its own
        thread = threading.Thread(target=run_loop, args=(new_loop, loop(first)))
        thread.start()
        waits.append(thread.join)
    thread = threading.Thread(target=sends, args=(4,))
    thread.start()
    waits.append(thread.join)
    waits += [gort.go(sends, 5).join, gort.go(receives).join]
    producers.wait()
    for ch in channels:
        ch.close()
    for wait in waits:
        wait()
    received = [got.try_recv()[0] for _ in range(5)]
    assert sorted(n for values in received for n in values) == list(range(6 * each))
    for values in received:
        for who in range(6):
            for parity in (0, 1):   # one channel of one producer; a select of three chooses either
                mine = [n for n in values if n // each == who and n % 3 and n % 2 == parity]
                assert mine == sorted(mine)


@pytest.mark.parametrize("new_loop", NEW_LOOP)
@pytest.mark.parametrize("seed", range(3))
def test_with_tasks_that_are_cancelled_all_the_time(new_loop, seed):
    count, random_ = 200, random.Random(seed)
    ch, got, over = gort.Chan(), [], gort.Chan()

    async def receives():
        async for n in ch:
            got.append(n)

    async def consume():
        while True:
            task = asyncio.create_task(receives())
            for _ in range(random_.randrange(8)):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await task
                return
            except asyncio.CancelledError:
                pass

    async def produce():
        for n in range(count):
            await ch.asend(n)
        ch.close()
        over.close()

    thread = threading.Thread(target=run_loop, args=(new_loop, produce()))
    thread.start()
    run_loop(new_loop, consume())
    thread.join()
    assert got == list(range(count))


@pytest.mark.parametrize("new_loop", NEW_LOOP)
def test_goroutines_wait_for_tasks_that_wait_for_goroutines(new_loop):
    async def main():
        work, done = gort.Chan(), gort.Chan()

        async def double(n):
            back = gort.Chan()
            gort.go(lambda: back.send(2 * n))
            return await back.arecv()

        def worker():
            for n in work:
                done.send(aio.wait(double(n)))

        async with aio.session():
            for _ in range(4):
                gort.go(worker)
            total = 0
            for n in range(50):
                chosen = await aio.select(gort.send(work, n), done)
                while chosen.index == 1:
                    total += chosen.value
                    chosen = await aio.select(gort.send(work, n), done)
            work.close()
            while total < 2 * sum(range(50)):
                total += await done.arecv()
            return total

    assert run_loop(new_loop, main()) == 2450


def test_one_loop_after_the_other_in_one_thread():
    ch = gort.Chan()

    async def main(n):
        task = asyncio.create_task(ch.arecv())
        await ch.asend(n)
        return await task

    assert [asyncio.run(main(n)) for n in range(20)] == list(range(20))


PAGE = pathlib.Path(__file__).parents[2] / "docs" / "async.md"
PROGRAMS = re.findall(r"```python\n(.*?)```\n```text\n(.*?)```\n", PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize(("program", "output"), PROGRAMS)
def test_the_programs_of_the_docs_print_what_stands_below_them(program, output, capsys):
    exec(compile(program, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == output
