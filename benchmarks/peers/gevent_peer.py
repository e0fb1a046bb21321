"""The subject "gevent": a greenlet of its hub for a goroutine, its ``Channel`` and ``Queue`` for channels, ``sleep(0)`` for a yield.

A wait group is ``join``, or ``joinall`` for many. gevent has no select over queues.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter_ns, process_time_ns

import gevent
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.queue import Channel, Queue

from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.progress import PAUSE, START, Progress
from benchmarks.protocol import Answer, per_operation, serve


def together(*bodies: Callable[[], object]) -> int:
    """Runs each body in a greenlet of its own; nanoseconds until all have ended."""
    start = perf_counter_ns()
    gevent.joinall([gevent.spawn(body) for body in bodies], raise_error=True)
    return perf_counter_ns() - start


def nothing() -> None:
    """The greenlet that ends at once."""


def yield_(n: int) -> Answer:
    each = max(1, n // 2)

    def body() -> None:
        sleep = gevent.sleep
        for _ in range(each):
            sleep(0)

    return per_operation(together(body, body), 2 * each)


def spawn_wait(n: int) -> Answer:
    spawn = gevent.spawn
    start = perf_counter_ns()
    for _ in range(n):
        spawn(nothing).join()
    return per_operation(perf_counter_ns() - start, n)


def spawn_batch(n: int) -> Answer:
    batches = max(1, n // 1000)
    start = perf_counter_ns()
    for _ in range(batches):
        gevent.joinall([gevent.spawn(nothing) for _ in range(1000)])
    return per_operation(perf_counter_ns() - start, 1000 * batches)


def round_trip(n: int) -> Answer:
    there, back = Channel(), Channel()

    def ping() -> None:
        put, get = there.put, back.get
        for i in range(n):
            put(i)
            get()

    def pong() -> None:
        put, get = back.put, there.get
        for _ in range(n):
            put(get())

    return per_operation(together(ping, pong), n)


def buffered(n: int) -> Answer:
    queue = Queue(128)

    def produce() -> None:
        put = queue.put
        for i in range(n):
            put(i)

    def consume() -> None:
        get = queue.get
        for _ in range(n):
            get()

    return per_operation(together(produce, consume), n)


def chan_contended(n: int) -> Answer:
    turn = 100
    turns = max(1, n // 4 // turn)
    shared = Queue(4 * turn)

    def body() -> None:
        put, get = shared.put, shared.get
        for _ in range(turns):
            for i in range(turn):
                put(i)
            for _ in range(turn):
                get()

    return per_operation(together(body, body, body, body), 4 * turns * turn)


def mutex(n: int) -> Answer:
    free = Semaphore(1)
    acquire, release = free.acquire, free.release
    start = perf_counter_ns()
    for _ in range(n):
        acquire()
        release()
    return per_operation(perf_counter_ns() - start, n)


def locked(n: int, yields: bool) -> Answer:
    """Four greenlets that count up under one lock."""
    each, shared = max(1, n // 4), Semaphore(1)
    counter = 0

    def body() -> None:
        nonlocal counter
        acquire, release, sleep = shared.acquire, shared.release, gevent.sleep
        for _ in range(each):
            acquire()
            counter += 1
            if yields:
                sleep(0)
            release()

    return per_operation(together(body, body, body, body), 4 * each)


def ring(n: int) -> Answer:
    size, laps = 1000, max(1, n // 1000)
    channels = [Channel() for _ in range(size)]

    def member(source: Channel, sink: Channel) -> None:
        for token in source:
            sink.put(token + 1)

    members = [gevent.spawn(member, *pair) for pair in zip(channels, channels[1:])]

    def first() -> None:
        for _ in range(laps):
            channels[0].put(0)
            assert channels[-1].get() == size - 1

    elapsed = together(first)
    gevent.killall(members)
    return per_operation(elapsed, size * laps)


def sleep_late(n: int) -> Answer:
    late = 0
    for _ in range(n):
        start = perf_counter_ns()
        gevent.sleep(0.0002)
        late += perf_counter_ns() - start - 200_000
    return per_operation(late, n)


def sleepers(n: int) -> Answer:
    start = process_time_ns()
    gevent.joinall([gevent.spawn(gevent.sleep, 0.1) for _ in range(n)])
    return per_operation(process_time_ns() - start, n)


def parked(n: int) -> Answer:
    gate = Event()
    before = resident_bytes()
    start = perf_counter_ns()
    waiting = [gevent.spawn(gate.wait) for _ in range(n)]
    gevent.sleep(0)  # lets them reach their wait
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    gate.set()
    gevent.joinall(waiting)
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


def blocked_progress(n: int) -> Answer:
    progress = Progress()

    def count(index: int) -> None:
        counts, sleep = progress.counts, gevent.sleep
        while progress.going:
            counts[index] += 1
            sleep(0)

    counters = [gevent.spawn(count, 0), gevent.spawn(count, 1)]
    gevent.sleep(START)
    for _ in range(n):
        with progress.cooperative():
            gevent.sleep(PAUSE)
        with progress.blocked():
            time.sleep(PAUSE)
    progress.going = False
    gevent.joinall(counters)
    return progress.answer()


if __name__ == "__main__":
    serve(
        {
            "yield": yield_,
            "spawn_wait": spawn_wait,
            "spawn_batch": spawn_batch,
            "round_trip": round_trip,
            "buffered": buffered,
            "chan_contended": chan_contended,
            "mutex": mutex,
            "mutex_contended": lambda n: locked(n, False),
            "mutex_handoff": lambda n: locked(n, True),
            "ring": ring,
            "sleep_late": sleep_late,
            "sleepers": sleepers,
            "parked": parked,
            "blocked_progress": blocked_progress,
        },
        lacking="gevent has no select over queues and no managed heap",
        within=lambda whole, _order: gevent.spawn(whole).get(),
    )
