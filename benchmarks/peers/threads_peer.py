"""The subject "threads": a ``threading.Thread`` for a goroutine, ``queue.Queue`` for a channel, ``sleep(0)`` for a yield.

A wait group is ``join``. The round trip uses ``SimpleQueue``: it is the faster one, and its lack of a bound makes no difference there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Queue, SimpleQueue
from threading import Event, Lock, Semaphore, Thread
from time import perf_counter_ns

from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.progress import PAUSE, START, Progress
from benchmarks.protocol import Answer, per_operation, serve
from benchmarks.spinning import native_pair

def together(*bodies: Callable[[], object]) -> int:
    """Runs each body in a thread of its own; nanoseconds until all have ended."""
    start = perf_counter_ns()
    threads = [Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return perf_counter_ns() - start


def call_in_thread(function: Callable[[object], None], argument: object) -> Callable[[], None]:
    """``function(argument)`` in a thread; ctypes lets go of the GIL."""
    thread = Thread(target=function, args=(argument,))
    thread.start()
    return thread.join


def nothing() -> None:
    """The thread that ends at once."""


def yield_(n: int) -> Answer:
    each = max(1, n // 2)

    def body() -> None:
        sleep = time.sleep
        for _ in range(each):
            sleep(0)

    return per_operation(together(body, body), 2 * each)


def spawn_wait(n: int) -> Answer:
    start = perf_counter_ns()
    for _ in range(n):
        thread = Thread(target=nothing)
        thread.start()
        thread.join()
    return per_operation(perf_counter_ns() - start, n)


def spawn_batch(n: int) -> Answer:
    batches = max(1, n // 1000)
    elapsed = sum(together(*[nothing] * 1000) for _ in range(batches))
    return per_operation(elapsed, 1000 * batches)


def round_trip(n: int) -> Answer:
    there: SimpleQueue[int] = SimpleQueue()
    back: SimpleQueue[int] = SimpleQueue()

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
    queue: Queue[int] = Queue(128)

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
    shared: Queue[int] = Queue(4 * turn)

    def body() -> None:
        put, get = shared.put, shared.get
        for _ in range(turns):
            for i in range(turn):
                put(i)
            for _ in range(turn):
                get()

    return per_operation(together(body, body, body, body), 4 * turns * turn)


def mutex(n: int) -> Answer:
    free = Lock()
    acquire, release = free.acquire, free.release
    start = perf_counter_ns()
    for _ in range(n):
        acquire()
        release()
    return per_operation(perf_counter_ns() - start, n)


def mutex_contended(n: int) -> Answer:
    each, shared = max(1, n // 4), Lock()
    counter = 0

    def body() -> None:
        nonlocal counter
        acquire, release = shared.acquire, shared.release
        for _ in range(each):
            acquire()
            counter += 1
            release()

    return per_operation(together(body, body, body, body), 4 * each)


def mutex_handoff(n: int) -> Answer:
    each, shared = max(1, n // 4), Lock()
    counter = 0

    def body() -> None:
        nonlocal counter
        acquire, release, sleep = shared.acquire, shared.release, time.sleep
        for _ in range(each):
            acquire()
            counter += 1
            sleep(0)
            release()

    return per_operation(together(body, body, body, body), 4 * each)


def parked(n: int) -> Answer:
    gate, started = Event(), Semaphore(0)

    def body() -> None:
        started.release()
        gate.wait()

    before = resident_bytes()
    start = perf_counter_ns()
    threads = [Thread(target=body) for _ in range(n)]
    for thread in threads:
        thread.start()
    for _ in range(n):
        started.acquire()
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    gate.set()
    for thread in threads:
        thread.join()
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


def blocked_progress(n: int) -> Answer:
    progress, never = Progress(), Event()

    def count(index: int) -> None:
        counts, sleep = progress.counts, time.sleep
        while progress.going:
            counts[index] += 1
            sleep(0)

    counters = [Thread(target=count, args=(index,)) for index in range(2)]
    for counter in counters:
        counter.start()
    never.wait(START)
    for _ in range(n):
        with progress.cooperative():
            never.wait(PAUSE)
        with progress.blocked():
            time.sleep(PAUSE)
    progress.going = False
    for counter in counters:
        counter.join()
    return progress.answer()


def sleep_late(n: int) -> Answer:
    late = 0
    for _ in range(n):
        start = perf_counter_ns()
        time.sleep(0.0002)
        late += perf_counter_ns() - start - 200_000
    return per_operation(late, n)


def sleep_late_hogs(n: int) -> Answer:
    going = True

    def hog() -> None:
        while going:
            pass

    hogs = [Thread(target=hog) for _ in range(2)]
    for thread in hogs:
        thread.start()
    answer = sleep_late(n)
    going = False
    for thread in hogs:
        thread.join()
    return answer


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
            "mutex_contended": mutex_contended,
            "mutex_handoff": mutex_handoff,
            "sleep_late": sleep_late,
            "sleep_late_hogs": sleep_late_hogs,
            "parked": parked,
            "blocked_progress": blocked_progress,
            "native_pair": native_pair(call_in_thread),
        },
        lacking="threads have no select and no managed heap",
    )
