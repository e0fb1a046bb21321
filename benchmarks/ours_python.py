"""The subject "gort python": the cases with goroutines written in Python.

Everything is measured inside a goroutine that main starts; main only waits, because goroutine 1 stays on its thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter_ns

import gort
from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.progress import PAUSE, START, Progress
from benchmarks.protocol import Answer, Order, per_operation, serve
from benchmarks.spinning import native_pair

def in_goroutine(whole: Callable[[], Answer], order: Order) -> Answer:
    """Does the work in a goroutine of a run of its own."""
    answers: list[Answer] = []

    def main() -> None:
        done = gort.WaitGroup()
        done.go(lambda: answers.append(whole()))
        done.wait()

    gort.run(main, procs=order.procs)
    return answers[0]


def together(*bodies: Callable[[], object]) -> int:
    """Runs each body in a goroutine of its own; nanoseconds until all have ended."""
    done = gort.WaitGroup()
    start = perf_counter_ns()
    for body in bodies:
        done.go(body)
    done.wait()
    return perf_counter_ns() - start


def yield_(n: int) -> Answer:
    each = max(1, n // 2)

    def body() -> None:
        gosched = gort.gosched
        for _ in range(each):
            gosched()

    return per_operation(together(body, body), 2 * each)


def spawn_wait(n: int) -> Answer:
    go, group = gort.go, gort.WaitGroup()
    add, done, wait = group.add, group.done, group.wait
    start = perf_counter_ns()
    for _ in range(n):
        add(1)
        go(done)
        wait()
    return per_operation(perf_counter_ns() - start, n)


def spawn_batch(n: int) -> Answer:
    go, group, batches = gort.go, gort.WaitGroup(), max(1, n // 1000)
    add, done, wait = group.add, group.done, group.wait
    start = perf_counter_ns()
    for _ in range(batches):
        add(1000)
        for _ in range(1000):
            go(done)
        wait()
    return per_operation(perf_counter_ns() - start, 1000 * batches)


def round_trip(n: int) -> Answer:
    there: gort.Chan[int] = gort.Chan()
    back: gort.Chan[int] = gort.Chan()

    def ping() -> None:
        send, recv = there.send, back.recv
        for i in range(n):
            send(i)
            recv()

    def pong() -> None:
        send, recv = back.send, there.recv
        for _ in range(n):
            send(recv())

    return per_operation(together(ping, pong), n)


def buffered(n: int) -> Answer:
    channel: gort.Chan[int] = gort.Chan(128)

    def produce() -> None:
        send = channel.send
        for i in range(n):
            send(i)

    def consume() -> None:
        recv = channel.recv
        for _ in range(n):
            recv()

    return per_operation(together(produce, consume), n)


def select2(n: int) -> Answer:
    each = max(1, n // 2)
    left: gort.Chan[int] = gort.Chan()
    right: gort.Chan[int] = gort.Chan()

    def produce(channel: gort.Chan[int]) -> None:
        send = channel.send
        for i in range(each):
            send(i)

    def consume() -> None:
        select = gort.select
        for _ in range(2 * each):
            select(left, right)

    return per_operation(together(lambda: produce(left), lambda: produce(right), consume), 2 * each)


def mutex(n: int) -> Answer:
    free = gort.Mutex()
    lock, unlock = free.lock, free.unlock
    start = perf_counter_ns()
    for _ in range(n):
        lock()
        unlock()
    return per_operation(perf_counter_ns() - start, n)


def mutex_contended(n: int) -> Answer:
    each, shared = max(1, n // 4), gort.Mutex()
    counter = 0

    def body() -> None:
        nonlocal counter
        lock, unlock = shared.lock, shared.unlock
        for _ in range(each):
            lock()
            counter += 1
            unlock()

    return per_operation(together(body, body, body, body), 4 * each)


def mutex_handoff(n: int) -> Answer:
    each, shared = max(1, n // 4), gort.Mutex()
    counter = 0

    def body() -> None:
        nonlocal counter
        lock, unlock, gosched = shared.lock, shared.unlock, gort.gosched
        for _ in range(each):
            lock()
            counter += 1
            gosched()
            unlock()

    return per_operation(together(body, body, body, body), 4 * each)


def parked(n: int) -> Answer:
    gate: gort.Chan[None] = gort.Chan()
    started, ended = gort.WaitGroup(), gort.WaitGroup()

    def body() -> None:
        started.done()
        gate.recv()
        ended.done()

    before = resident_bytes()
    start = perf_counter_ns()
    started.add(n)
    ended.add(n)
    for _ in range(n):
        gort.go(body)
    started.wait()
    gort.gosched()  # lets the last one reach its recv
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    gate.close()
    ended.wait()
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


def blocked_progress(n: int) -> Answer:
    progress, counters = Progress(), gort.WaitGroup()

    def count(index: int) -> None:
        counts, gosched = progress.counts, gort.gosched
        while progress.going:
            counts[index] += 1
            gosched()

    counters.go(count, 0)
    counters.go(count, 1)
    gort.sleep(START)
    for _ in range(n):
        with progress.cooperative():
            gort.sleep(PAUSE)
        with progress.blocked():
            time.sleep(PAUSE)
    progress.going = False
    counters.wait()
    return progress.answer()


def skynet(n: int) -> Answer:
    leaves = 1
    while leaves * 10 <= n:
        leaves *= 10

    def grow(parent: gort.Chan[int], number: int, size: int) -> None:
        if size == 1:
            parent.send(number)
            return
        children: gort.Chan[int] = gort.Chan()
        for i in range(10):
            gort.go(grow, children, number + i * (size // 10), size // 10)
        parent.send(sum(children.recv() for _ in range(10)))

    root: gort.Chan[int] = gort.Chan(1)
    elapsed = together(lambda: grow(root, 0, leaves))
    assert root.recv() == leaves * (leaves - 1) // 2
    return per_operation(elapsed, leaves)


def ring(n: int) -> Answer:
    size, laps = 1000, max(1, n // 1000)
    channels: list[gort.Chan[int]] = [gort.Chan() for _ in range(size)]

    def member(source: gort.Chan[int], sink: gort.Chan[int]) -> None:
        for token in source:
            sink.send(token + 1)
        sink.close()

    members = [gort.go(member, *pair) for pair in zip(channels, channels[1:])]

    def first() -> None:
        for _ in range(laps):
            channels[0].send(0)
            assert channels[-1].recv() == size - 1

    elapsed = together(first)
    channels[0].close()
    for goroutine in members:
        goroutine.join()
    return per_operation(elapsed, size * laps)


def sleep_late(n: int) -> Answer:
    late = 0
    for _ in range(n):
        start = perf_counter_ns()
        gort.sleep(0.0002)
        late += perf_counter_ns() - start - 200_000
    return per_operation(late, n)


def stop_world(n: int) -> Answer:
    going, others, waits = True, gort.WaitGroup(), []

    def yields() -> None:
        while going:
            gort.gosched()

    for _ in range(1000):
        others.go(yields)
    for _ in range(n):
        gort.sleep(0.001)
        gort.gc.collect()
        waits.append(gort.gc.cycles()[-1].stop1_wait)
    going = False
    others.wait()
    return Answer(float(sorted(waits)[n * 99 // 100]), "ns")


def beside_hogs(work: Callable[[int], Answer]) -> Callable[[int], Answer]:
    """The same work beside two goroutines that compute all the time."""

    def beside(n: int) -> Answer:
        going, hogs = True, gort.WaitGroup()

        def hog() -> None:
            while going:
                pass

        hogs.go(hog)
        hogs.go(hog)
        answer = work(n)
        going = False
        hogs.wait()
        return answer

    return beside


if __name__ == "__main__":
    serve(
        {
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
            "sleep_late_hogs": beside_hogs(sleep_late),
            "stop_world": stop_world,
            "stop_world_hogs": beside_hogs(stop_world),
            "parked": parked,
            "blocked_progress": blocked_progress,
            "native_pair": native_pair(lambda function, argument: gort.go_native(function, argument).join),
        },
        lacking="measured on the native side",
        within=in_goroutine,
    )
