"""The subject "runloom": its fibers on one thread, ``run(1)``, through its C entry points, which are its fastest."""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter_ns

import runloom
from runloom_c import Chan, Mutex, fiber, sched_yield, select

from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.progress import PAUSE, START, Progress
from benchmarks.protocol import Answer, Order, per_operation, serve

def in_fiber(whole: Callable[[], Answer], _order: Order) -> Answer:
    """Does the work in a fiber of a run of its own."""
    answers: list[Answer] = []
    runloom.run(1, lambda: answers.append(whole()))
    return answers[0]


def together(*bodies: Callable[[], object]) -> int:
    """Runs each body in a fiber of its own; nanoseconds until all have ended."""
    done = runloom.WaitGroup()

    def ends(body: Callable[[], object]) -> Callable[[], None]:
        def whole() -> None:
            body()
            done.done()

        return whole

    done.add(len(bodies))
    start = perf_counter_ns()
    for body in bodies:
        fiber(ends(body))
    done.wait()
    return perf_counter_ns() - start


def yield_(n: int) -> Answer:
    each = max(1, n // 2)

    def body() -> None:
        yield_now = sched_yield
        for _ in range(each):
            yield_now()

    return per_operation(together(body, body), 2 * each)


def spawn_wait(n: int) -> Answer:
    """By a channel: runloom's wait group is written in Python, and several times slower."""
    ended = Chan(1)
    go, send, recv = fiber, ended.send, ended.recv

    def body() -> None:
        send(None)

    start = perf_counter_ns()
    for _ in range(n):
        go(body)
        recv()
    return per_operation(perf_counter_ns() - start, n)


def spawn_batch(n: int) -> Answer:
    ended, batches = Chan(1000), max(1, n // 1000)
    go, send, recv = fiber, ended.send, ended.recv

    def body() -> None:
        send(None)

    start = perf_counter_ns()
    for _ in range(batches):
        for _ in range(1000):
            go(body)
        for _ in range(1000):
            recv()
    return per_operation(perf_counter_ns() - start, 1000 * batches)


def round_trip(n: int) -> Answer:
    there, back = Chan(), Chan()

    def ping() -> None:
        send, recv = there.send, back.recv
        for i in range(n):
            send(i)
            recv()

    def pong() -> None:
        send, recv = back.send, there.recv
        for _ in range(n):
            send(recv()[0])

    return per_operation(together(ping, pong), n)


def buffered(n: int) -> Answer:
    channel = Chan(128)

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
    each, left, right = max(1, n // 2), Chan(), Chan()

    def produce(channel: Chan) -> None:
        send = channel.send
        for i in range(each):
            send(i)

    def consume() -> None:
        cases = [("recv", left), ("recv", right)]
        for _ in range(2 * each):
            select(cases)

    return per_operation(together(lambda: produce(left), lambda: produce(right), consume), 2 * each)


def mutex(n: int) -> Answer:
    free = Mutex()
    lock, unlock = free.lock, free.unlock
    start = perf_counter_ns()
    for _ in range(n):
        lock()
        unlock()
    return per_operation(perf_counter_ns() - start, n)


def mutex_contended(n: int) -> Answer:
    each, shared = max(1, n // 4), Mutex()
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
    each, shared = max(1, n // 4), Mutex()
    counter = 0

    def body() -> None:
        nonlocal counter
        lock, unlock, yield_now = shared.lock, shared.unlock, sched_yield
        for _ in range(each):
            lock()
            counter += 1
            yield_now()
            unlock()

    return per_operation(together(body, body, body, body), 4 * each)


def parked(n: int) -> Answer:
    gate = Chan()
    started, ended = runloom.WaitGroup(), runloom.WaitGroup()

    def body() -> None:
        started.done()
        gate.recv()
        ended.done()

    before = resident_bytes()
    start = perf_counter_ns()
    started.add(n)
    ended.add(n)
    for _ in range(n):
        fiber(body)
    started.wait()
    sched_yield()  # lets the last one reach its recv
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    gate.close()
    ended.wait()
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


def blocked_progress(n: int) -> Answer:
    progress, counters = Progress(), runloom.WaitGroup()

    def count(index: int) -> None:
        counts, yield_now = progress.counts, sched_yield
        while progress.going:
            counts[index] += 1
            yield_now()
        counters.done()

    counters.add(2)
    fiber(lambda: count(0))
    fiber(lambda: count(1))
    runloom.sleep(START)
    for _ in range(n):
        with progress.cooperative():
            runloom.sleep(PAUSE)
        with progress.blocked():
            time.sleep(PAUSE)
    progress.going = False
    counters.wait()
    return progress.answer()


def ring(n: int) -> Answer:
    size, laps = 1000, max(1, n // 1000)
    channels = [Chan() for _ in range(size)]

    def member(source: Chan, sink: Chan) -> None:
        token, open_ = source.recv()
        while open_:
            sink.send(token + 1)
            token, open_ = source.recv()
        sink.close()

    for source, sink in zip(channels, channels[1:]):
        fiber(lambda source=source, sink=sink: member(source, sink))

    def first() -> None:
        for _ in range(laps):
            channels[0].send(0)
            assert channels[-1].recv()[0] == size - 1

    elapsed = together(first)
    channels[0].close()
    return per_operation(elapsed, size * laps)


def sleep_late(n: int) -> Answer:
    late = 0
    for _ in range(n):
        start = perf_counter_ns()
        runloom.sleep(0.0002)
        late += perf_counter_ns() - start - 200_000
    return per_operation(late, n)


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
            "ring": ring,
            "sleep_late": sleep_late,
            "parked": parked,
            "blocked_progress": blocked_progress,
        },
        lacking="runloom has no managed heap, loses fibers when there are 100,000, and keeps all on one thread",
        within=in_fiber,
    )
