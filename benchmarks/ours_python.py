"""The subject "gort python": the cases with goroutines written in Python.

Everything is measured inside a goroutine that main starts; main only waits, because goroutine 1 stays on its thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from random import Random
from time import perf_counter_ns, process_time_ns

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


def select10(n: int) -> Answer:
    each = max(1, n // 10)
    ways: list[gort.Chan[int]] = [gort.Chan() for _ in range(10)]

    def produce(way: gort.Chan[int]) -> None:
        send = way.send
        for i in range(each):
            send(i)

    def consume() -> None:
        select = gort.select
        for _ in range(10 * each):
            select(*ways)

    return per_operation(together(*(partial(produce, way) for way in ways), consume), 10 * each)


def select_default(n: int) -> Answer:
    empty: gort.Chan[int] = gort.Chan()
    select = gort.select
    start = perf_counter_ns()
    for _ in range(n):
        select(empty, default=True)
    return per_operation(perf_counter_ns() - start, n)


def chan_contended(n: int) -> Answer:
    turn = 100
    turns = max(1, n // 4 // turn)
    shared: gort.Chan[int] = gort.Chan(4 * turn)

    def body() -> None:
        send, recv = shared.send, shared.recv
        for _ in range(turns):
            for i in range(turn):
                send(i)
            for _ in range(turn):
                recv()

    return per_operation(together(body, body, body, body), 4 * turns * turn)


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


def rwmutex_read(n: int) -> Answer:
    each, shared = max(1, n // 4), gort.RWMutex()
    counter = 0

    def body() -> None:
        nonlocal counter
        seen = 0
        lock, unlock, rlock, runlock = shared.lock, shared.unlock, shared.rlock, shared.runlock
        for i in range(each):
            if i % 100 == 0:
                lock()
                counter += 1
                unlock()
            else:
                rlock()
                seen += counter
                runlock()

    return per_operation(together(body, body, body, body), 4 * each)


def wait_group(n: int) -> Answer:
    group = gort.WaitGroup()
    add, done = group.add, group.done
    start = perf_counter_ns()
    for _ in range(n):
        add(1)
        done()
    return per_operation(perf_counter_ns() - start, n)


def pool(n: int) -> Answer:
    each, buffers = max(1, n // 4), gort.sync.Pool(lambda: bytearray(64))

    def body() -> None:
        get, put = buffers.get, buffers.put
        for _ in range(each):
            put(get())

    return per_operation(together(body, body, body, body), 4 * each)


def map_with(store_every: int) -> Callable[[int], Answer]:
    """Random keys of 1024; of store_every operations one stores, 0: none."""

    def work(n: int) -> Answer:
        each = max(1, n // 4)
        table: gort.Map[int, int] = gort.Map()
        for key in range(1024):
            table.store(key, key)

        def body(seed: int) -> None:
            load, store = table.load, table.store
            keys = Random(seed).choices(range(1024), k=1000)
            for i in range(each):
                key = keys[i % 1000]
                if store_every and i % store_every == 0:
                    store(key, key)
                else:
                    load(key)

        return per_operation(together(*(partial(body, seed) for seed in range(4))), 4 * each)

    return work


def context_cancel(n: int) -> Answer:
    parent, stop = gort.context.with_cancel(gort.context.background())
    with_cancel = gort.context.with_cancel
    start = perf_counter_ns()
    for _ in range(n):
        with_cancel(parent)[1]()
    elapsed = perf_counter_ns() - start
    stop()
    return per_operation(elapsed, n)


def timer_stop(n: int) -> Answer:
    new_timer = gort.Timer
    start = perf_counter_ns()
    for _ in range(n):
        new_timer(3600).stop()
    return per_operation(perf_counter_ns() - start, n)


def sleepers(n: int) -> Answer:
    group = gort.WaitGroup()
    start = process_time_ns()
    for _ in range(n):
        group.go(gort.sleep, 0.1)
    group.wait()
    return per_operation(process_time_ns() - start, n)


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
            "select10": select10,
            "select_default": select_default,
            "chan_contended": chan_contended,
            "mutex": mutex,
            "mutex_contended": mutex_contended,
            "mutex_handoff": mutex_handoff,
            "rwmutex_read": rwmutex_read,
            "wait_group": wait_group,
            "pool": pool,
            "map_load": map_with(0),
            "map_mixed": map_with(10),
            "context_cancel": context_cancel,
            "timer_stop": timer_stop,
            "sleepers": sleepers,
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
