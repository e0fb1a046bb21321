"""gort's goroutines that are coroutines: asyncio's cases with ``gort.go(async def)`` for its tasks and channels for its queues."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter_ns, process_time_ns

import gort
from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.protocol import Answer, per_operation, serve
from gort import aio


async def together(*bodies: Callable[[], Awaitable[object]]) -> int:
    """Runs each body in a goroutine of its own; nanoseconds until all have ended."""
    start = perf_counter_ns()
    for goroutine in [gort.go(body) for body in bodies]:
        await goroutine
    return perf_counter_ns() - start


async def nothing() -> None:
    """The goroutine that ends at once."""


async def spawn_wait(n: int) -> Answer:
    go = gort.go
    start = perf_counter_ns()
    for _ in range(n):
        await go(nothing)
    return per_operation(perf_counter_ns() - start, n)


async def spawn_batch(n: int) -> Answer:
    go, batches = gort.go, max(1, n // 1000)
    start = perf_counter_ns()
    for _ in range(batches):
        for goroutine in [go(nothing) for _ in range(1000)]:
            await goroutine
    return per_operation(perf_counter_ns() - start, 1000 * batches)


async def round_trip(n: int) -> Answer:
    there: gort.Chan[int] = gort.Chan()
    back: gort.Chan[int] = gort.Chan()

    async def ping() -> None:
        send, recv = there.asend, back.arecv
        for i in range(n):
            await send(i)
            await recv()

    async def pong() -> None:
        send, recv = back.asend, there.arecv
        for _ in range(n):
            await send(await recv())

    return per_operation(await together(ping, pong), n)


async def buffered(n: int) -> Answer:
    channel: gort.Chan[int] = gort.Chan(128)

    async def produce() -> None:
        send = channel.asend
        for i in range(n):
            await send(i)

    async def consume() -> None:
        recv = channel.arecv
        for _ in range(n):
            await recv()

    return per_operation(await together(produce, consume), n)


async def select2(n: int) -> Answer:
    each = max(1, n // 2)
    left: gort.Chan[int] = gort.Chan()
    right: gort.Chan[int] = gort.Chan()

    def produce(channel: gort.Chan[int]) -> Callable[[], Awaitable[None]]:
        async def body() -> None:
            for i in range(each):
                await channel.asend(i)

        return body

    async def consume() -> None:
        select = aio.select
        for _ in range(2 * each):
            await select(left, right)

    return per_operation(await together(produce(left), produce(right), consume), 2 * each)


async def mutex(n: int) -> Answer:
    free = gort.Mutex()
    lock, unlock = free.alock, free.unlock
    start = perf_counter_ns()
    for _ in range(n):
        await lock()
        unlock()
    return per_operation(perf_counter_ns() - start, n)


async def skynet(n: int) -> Answer:
    leaves = 1
    while leaves * 10 <= n:
        leaves *= 10

    async def grow(parent: gort.Chan[int], number: int, size: int) -> None:
        if size == 1:
            await parent.asend(number)
            return
        children: gort.Chan[int] = gort.Chan()
        for i in range(10):
            gort.go(grow, children, number + i * (size // 10), size // 10)
        await parent.asend(sum([await children.arecv() for _ in range(10)]))

    async def from_the_root() -> None:
        await grow(root, 0, leaves)

    root: gort.Chan[int] = gort.Chan(1)
    elapsed = await together(from_the_root)
    assert root.recv() == leaves * (leaves - 1) // 2
    return per_operation(elapsed, leaves)


async def ring(n: int) -> Answer:
    size, laps = 1000, max(1, n // 1000)
    channels: list[gort.Chan[int]] = [gort.Chan() for _ in range(size)]

    async def member(source: gort.Chan[int], sink: gort.Chan[int]) -> None:
        async for token in source:
            await sink.asend(token + 1)
        sink.close()

    members = [gort.go(member, *pair) for pair in zip(channels, channels[1:])]

    async def first() -> None:
        for _ in range(laps):
            await channels[0].asend(0)
            assert await channels[-1].arecv() == size - 1

    elapsed = await together(first)
    channels[0].close()
    for goroutine in members:
        await goroutine
    return per_operation(elapsed, size * laps)


async def sleepers(n: int) -> Answer:
    async def body() -> None:
        await aio.sleep(0.1)

    start = process_time_ns()
    for goroutine in [gort.go(body) for _ in range(n)]:
        await goroutine
    return per_operation(process_time_ns() - start, n)


async def parked(n: int) -> Answer:
    gate: gort.Chan[None] = gort.Chan()
    started, ended = gort.WaitGroup(), gort.WaitGroup()

    async def body() -> None:
        started.done()
        await gate.arecv()
        ended.done()

    before = resident_bytes()
    start = perf_counter_ns()
    started.add(n)
    ended.add(n)
    for _ in range(n):
        gort.go(body)
    await started
    gort.gosched()  # lets the last one reach its await
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    gate.close()
    await ended
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


if __name__ == "__main__":
    cases = {
        "spawn_wait": spawn_wait,
        "spawn_batch": spawn_batch,
        "round_trip": round_trip,
        "buffered": buffered,
        "select2": select2,
        "mutex": mutex,
        "skynet": skynet,
        "ring": ring,
        "sleepers": sleepers,
        "parked": parked,
    }

    def in_a_run(work: Callable[[int], Awaitable[Answer]]) -> Callable[[int], Answer]:
        async def main(operations: int) -> Answer:
            answers: list[Answer] = []

            async def goroutine() -> None:
                answers.append(await work(operations))

            await gort.go(goroutine)
            return answers[0]

        return lambda operations: gort.run(main, operations)

    serve({name: in_a_run(work) for name, work in cases.items()}, "the same as without async")
