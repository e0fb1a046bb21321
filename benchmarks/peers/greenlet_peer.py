"""The subject "greenlet": bare switches between greenlets.

greenlet is a context switch without a scheduler, channels or locks, so every switch names its target: a yield is a
switch to the other greenlet, a round trip is two switches that carry the integer, and who
starts a greenlet is switched back to when it ends, so nothing waits. It is a floor, not an equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter, perf_counter_ns

from greenlet import getcurrent, greenlet

from benchmarks.memory import parked_answer, resident_bytes
from benchmarks.progress import PAUSE, START, Progress
from benchmarks.protocol import Answer, per_operation, serve

def nothing() -> None:
    """The greenlet that ends at once."""


def yield_(n: int) -> Answer:
    each = max(1, n // 2)

    def first() -> None:
        switch = second_greenlet.switch
        for _ in range(each):
            switch()

    def second() -> None:
        switch = first_greenlet.switch
        for _ in range(each):
            switch()

    first_greenlet, second_greenlet = greenlet(first), greenlet(second)
    start = perf_counter_ns()
    first_greenlet.switch()
    elapsed = perf_counter_ns() - start
    second_greenlet.switch()  # it is still in its last switch: let it end
    return per_operation(elapsed, 2 * each)


def spawn_wait(n: int) -> Answer:
    start = perf_counter_ns()
    for _ in range(n):
        greenlet(nothing).switch()
    return per_operation(perf_counter_ns() - start, n)


def spawn_batch(n: int) -> Answer:
    batches = max(1, n // 1000)
    start = perf_counter_ns()
    for _ in range(batches):
        for started in [greenlet(nothing) for _ in range(1000)]:
            started.switch()
    return per_operation(perf_counter_ns() - start, 1000 * batches)


def round_trip(n: int) -> Answer:
    caller = getcurrent()

    def pong(value: int) -> None:
        switch = caller.switch
        for _ in range(n):
            value = switch(value)

    other = greenlet(pong)
    switch = other.switch
    start = perf_counter_ns()
    for i in range(n):
        switch(i)
    elapsed = perf_counter_ns() - start
    switch(n)  # it is still in its last switch: let it end
    return per_operation(elapsed, n)


def parked(n: int) -> Answer:
    caller = getcurrent()
    before = resident_bytes()
    start = perf_counter_ns()
    waiting = [greenlet(lambda: caller.switch()) for _ in range(n)]
    for each in waiting:
        each.switch()
    elapsed = perf_counter_ns() - start
    during = resident_bytes()
    start = perf_counter_ns()
    for each in waiting:
        each.switch()
    return parked_answer(elapsed + perf_counter_ns() - start, before, during, n)


def blocked_progress(n: int) -> Answer:
    progress, watcher = Progress(), getcurrent()

    def count(index: int, next_in_ring: Callable[[], greenlet]) -> None:
        counts, switch = progress.counts, next_in_ring().switch
        while progress.going:
            counts[index] += 1
            switch()

    first = greenlet(lambda: count(0, lambda: second))
    second = greenlet(lambda: count(1, lambda: watcher))

    def wait(seconds: float) -> None:
        """Lets the counters go round the ring until the time is over."""
        deadline = perf_counter() + seconds
        while perf_counter() < deadline:
            first.switch()

    wait(START)
    for _ in range(n):
        with progress.cooperative():
            wait(PAUSE)
        with progress.blocked():
            time.sleep(PAUSE)
    progress.going = False
    first.switch()
    second.switch()
    return progress.answer()


if __name__ == "__main__":
    serve(
        {
            "yield": yield_,
            "spawn_wait": spawn_wait,
            "spawn_batch": spawn_batch,
            "round_trip": round_trip,
            "parked": parked,
            "blocked_progress": blocked_progress,
        },
        lacking="greenlet has no channels, locks or heap",
    )
