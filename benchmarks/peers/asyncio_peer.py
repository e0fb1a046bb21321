"""The subject "asyncio": a task for a goroutine, ``Queue(1)`` for an unbuffered channel, ``sleep(0)`` for a yield.

A wait group is ``await`` of the task, or ``gather`` for many. asyncio has no select;
the usual stand-in is ``asyncio.wait(FIRST_COMPLETED)`` over a pending ``get()`` per queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from time import perf_counter_ns

from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.progress import PAUSE, START, Progress
from benchmarks.protocol import Answer, per_operation, serve


async def together(*bodies: Awaitable[None]) -> int:
    """Runs each body as a task; nanoseconds until all have ended."""
    start = perf_counter_ns()
    await asyncio.gather(*bodies)
    return perf_counter_ns() - start


async def nothing() -> None:
    """The task that ends at once."""


async def yield_(n: int) -> Answer:
    each = max(1, n // 2)

    async def body() -> None:
        sleep = asyncio.sleep
        for _ in range(each):
            await sleep(0)

    return per_operation(await together(body(), body()), 2 * each)


async def spawn_wait(n: int) -> Answer:
    create_task = asyncio.create_task
    start = perf_counter_ns()
    for _ in range(n):
        await create_task(nothing())
    return per_operation(perf_counter_ns() - start, n)


async def spawn_batch(n: int) -> Answer:
    batches = max(1, n // 1000)
    start = perf_counter_ns()
    for _ in range(batches):
        await asyncio.gather(*[nothing() for _ in range(1000)])
    return per_operation(perf_counter_ns() - start, 1000 * batches)


async def round_trip(n: int) -> Answer:
    there: asyncio.Queue[int] = asyncio.Queue(1)
    back: asyncio.Queue[int] = asyncio.Queue(1)

    async def ping() -> None:
        put, get = there.put, back.get
        for i in range(n):
            await put(i)
            await get()

    async def pong() -> None:
        put, get = back.put, there.get
        for _ in range(n):
            await put(await get())

    return per_operation(await together(ping(), pong()), n)


async def buffered(n: int) -> Answer:
    queue: asyncio.Queue[int] = asyncio.Queue(128)

    async def produce() -> None:
        put = queue.put
        for i in range(n):
            await put(i)

    async def consume() -> None:
        get = queue.get
        for _ in range(n):
            await get()

    return per_operation(await together(produce(), consume()), n)


async def select2(n: int) -> Answer:
    each = max(1, n // 2)
    left: asyncio.Queue[int] = asyncio.Queue(1)
    right: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce(queue: asyncio.Queue[int]) -> None:
        for i in range(each):
            await queue.put(i)

    async def consume() -> None:
        gets = {asyncio.create_task(queue.get()): queue for queue in (left, right)}
        received = 0
        while received < 2 * each:
            ready, _ = await asyncio.wait(gets, return_when=asyncio.FIRST_COMPLETED)
            for get in ready:
                get.result()
                received += 1
                queue = gets.pop(get)
                gets[asyncio.create_task(queue.get())] = queue
        for get in gets:
            get.cancel()

    return per_operation(await together(produce(left), produce(right), consume()), 2 * each)


async def mutex(n: int) -> Answer:
    free = asyncio.Lock()
    acquire, release = free.acquire, free.release
    start = perf_counter_ns()
    for _ in range(n):
        await acquire()
        release()
    return per_operation(perf_counter_ns() - start, n)


async def mutex_contended(n: int) -> Answer:
    each, shared = max(1, n // 4), asyncio.Lock()
    counter = 0

    async def body() -> None:
        nonlocal counter
        acquire, release = shared.acquire, shared.release
        for _ in range(each):
            await acquire()
            counter += 1
            release()

    return per_operation(await together(body(), body(), body(), body()), 4 * each)


async def mutex_handoff(n: int) -> Answer:
    each, shared = max(1, n // 4), asyncio.Lock()
    counter = 0

    async def body() -> None:
        nonlocal counter
        acquire, release, sleep = shared.acquire, shared.release, asyncio.sleep
        for _ in range(each):
            await acquire()
            counter += 1
            await sleep(0)
            release()

    return per_operation(await together(body(), body(), body(), body()), 4 * each)


async def parked(n: int) -> Answer:
    gate, all_started = asyncio.Event(), asyncio.Event()
    started = 0

    async def body() -> None:
        nonlocal started
        started += 1
        if started == n:
            all_started.set()
        await gate.wait()

    before = resident_bytes()
    start = perf_counter_ns()
    tasks = [asyncio.create_task(body()) for _ in range(n)]
    await all_started.wait()
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    gate.set()
    await asyncio.wait(tasks)
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


async def blocked_progress(n: int) -> Answer:
    progress = Progress()

    async def count(index: int) -> None:
        counts, sleep = progress.counts, asyncio.sleep
        while progress.going:
            counts[index] += 1
            await sleep(0)

    counters = [asyncio.create_task(count(index)) for index in range(2)]
    await asyncio.sleep(START)
    for _ in range(n):
        with progress.cooperative():
            await asyncio.sleep(PAUSE)
        with progress.blocked():
            time.sleep(PAUSE)  # noqa: ASYNC251 - blocking the loop is what is measured
    progress.going = False
    await asyncio.wait(counters)
    return progress.answer()


async def skynet(n: int) -> Answer:
    leaves = 1
    while leaves * 10 <= n:
        leaves *= 10

    async def grow(parent: asyncio.Queue[int], number: int, size: int) -> None:
        if size == 1:
            await parent.put(number)
            return
        children: asyncio.Queue[int] = asyncio.Queue(1)
        tasks = [asyncio.create_task(grow(children, number + i * (size // 10), size // 10)) for i in range(10)]
        await parent.put(sum([await children.get() for _ in tasks]))

    root: asyncio.Queue[int] = asyncio.Queue(1)
    elapsed = await together(grow(root, 0, leaves))
    assert root.get_nowait() == leaves * (leaves - 1) // 2
    return per_operation(elapsed, leaves)


async def ring(n: int) -> Answer:
    size, laps = 1000, max(1, n // 1000)
    queues: list[asyncio.Queue[int]] = [asyncio.Queue(1) for _ in range(size)]

    async def member(source: asyncio.Queue[int], sink: asyncio.Queue[int]) -> None:
        while True:
            await sink.put(await source.get() + 1)

    members = [asyncio.create_task(member(*pair)) for pair in zip(queues, queues[1:])]

    async def first() -> None:
        for _ in range(laps):
            await queues[0].put(0)
            assert await queues[-1].get() == size - 1

    elapsed = await together(first())
    for task in members:
        task.cancel()
    return per_operation(elapsed, size * laps)


async def sleep_late(n: int) -> Answer:
    late = 0
    for _ in range(n):
        start = perf_counter_ns()
        await asyncio.sleep(0.0002)
        late += perf_counter_ns() - start - 200_000
    return per_operation(late, n)


def serve_in(new_loop: Callable[[], asyncio.AbstractEventLoop], without: str = "", lacking: str = "asyncio has no managed heap") -> None:
    """Answers the order in an event loop that ``new_loop`` makes, but not the case ``without``."""
    cases = {
        "yield": yield_,
        "spawn_wait": spawn_wait,
        "spawn_batch": spawn_batch,
        "round_trip": round_trip,
        "buffered": buffered,
        "select2": select2,
        "mutex": mutex,
        "mutex_contended": mutex_contended,
        "mutex_handoff": mutex_handoff,
        "skynet": skynet,
        "ring": ring,
        "sleep_late": sleep_late,
        "parked": parked,
        "blocked_progress": blocked_progress,
    }
    cases.pop(without, None)
    with asyncio.Runner(loop_factory=new_loop) as runner:

        def blocking(work: Callable[[int], Coroutine[object, object, Answer]]) -> Callable[[int], Answer]:
            return lambda operations: runner.run(work(operations))

        serve({name: blocking(work) for name, work in cases.items()}, lacking)


if __name__ == "__main__":
    serve_in(asyncio.new_event_loop)
