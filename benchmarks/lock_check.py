"""What gort.sync.check() costs: locking with the check off and on, interleaved in one process, so that a noisy machine is fair to both.

    python benchmarks/lock_check.py

Prints for each case the least CPU time of one round of it, off and on, and the median of the ratios of neighbouring measurements.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import gort

_N = 20_000
_ROUNDS = 41


def _mutex() -> None:
    mu = gort.Mutex()
    for _ in range(_N):
        with mu:
            pass


def _nested() -> None:
    a, b, c = gort.Mutex(), gort.Mutex(), gort.Mutex()
    for _ in range(_N):
        with a, b, c:
            pass


def _read() -> None:
    reading = gort.RWMutex().rlocker()
    for _ in range(_N):
        with reading:
            pass


def _handed_over() -> None:
    """Two goroutines that find the lock taken every time."""
    mu = gort.Mutex()

    def work() -> None:
        for _ in range(_N // 2):
            with mu:
                gort.gosched()

    other = gort.go(work)
    work()
    other.join()


def _seconds(case: Callable[[], None], on: bool) -> float:
    with gort.sync.check(on, hook=print):
        start = time.process_time()
        case()
        return (time.process_time() - start) / _N


def main() -> None:
    for case in (_mutex, _nested, _read, _handed_over):
        pairs = [(_seconds(case, False), _seconds(case, True)) for _ in range(_ROUNDS)]
        off, on = (min(times) * 1e9 for times in zip(*pairs))
        ratio = statistics.median(on / off for off, on in pairs)
        print(f"{case.__name__[1:]:12} off {off:7.1f} ns   on {on:7.1f} ns   ratio {ratio:.2f}")


if __name__ == "__main__":
    gort.run(main)
