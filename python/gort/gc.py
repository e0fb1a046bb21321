"""The collector of the managed heap: concurrent tri-colour mark and sweep. (Not Python's own ``gc``.)

>>> from gort import gc
>>> gc.collect()
>>> gc.cycles()[-1].reason
'forced'
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from . import _gort

__all__ = ["Cycle", "Stats", "Trace", "collect", "cycles", "phase", "set_percent", "stats", "trace"]

collect = _gort._gc_collect


class Cycle(NamedTuple):
    """One collection. Times in ns on ``time.monotonic_ns()``'s clock; 0 for phases it has not reached; sizes in bytes.

    start, stop 1 (wait, pause), mark (concurrent), stop 2 (wait, pause), sweep (concurrent), end. A pause contains its wait.
    """

    number: int
    reason: str  # "heap", "forced", "periodic"
    procs: int
    start: int
    stop1_begin: int
    mark_begin: int
    stop2_begin: int
    sweep_begin: int
    end: int
    stop1_wait: int
    stop1_pause: int
    stop2_wait: int
    stop2_pause: int
    assist_time: int  # CPU time of allocators that had to help
    worker_time: int  # CPU time of the collector's own goroutine
    heap_before: int
    heap_peak: int
    heap_after: int
    goal: int
    stacks: int
    stack_bytes: int
    handles: int
    objects_marked: int
    bytes_scanned: int
    objects_freed: int
    bytes_freed: int
    spans_freed: int
    cpu_fraction: float
    line: str  # Go's gctrace line

    @property
    def mark_time(self) -> int:
        return max(0, self.stop2_begin - self.mark_begin)

    @property
    def sweep_time(self) -> int:
        return max(0, self.end - self.sweep_begin)

    def to_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "mark_time": self.mark_time, "sweep_time": self.sweep_time}

    def __repr__(self) -> str:
        return f"<Cycle {self.line}>"


def cycles() -> list[Cycle]:
    """The last 256 collections, oldest first. The last one may still be marking or sweeping."""
    return [Cycle(**row) for row in _gort._gc_cycles()]


def phase() -> str:
    """What the collector does now: "off", "mark", "mark termination" or "sweep"."""
    return _gort._gc_phase()


class Stats(NamedTuple):
    """Sums over all collections and what the pacer plans. Sizes in bytes, times in ns."""

    num_gc: int
    num_forced: int
    heap_live: int
    heap_marked: int
    goal: int
    trigger: int
    pause_total: int
    pause_max: int
    assist_total: int
    worker_total: int
    cpu_fraction: float


def stats() -> Stats:
    return Stats(**_gort._gc_stats())


def set_percent(n: int, /) -> int:
    """Set GOGC: the heap may grow by ``n`` percent before the next collection. Negative: none starts by itself. The former value."""
    return _gort._gc_set_percent(n)


class Trace:
    """Writes Go's gctrace line for every collection that ends, from a thread of its own, until ``stop()``. A context manager."""

    _PERIOD = 0.05

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._written = max((c["number"] for c in _gort._gc_cycles()), default=0)
        self._stopped = threading.Event()
        self._first = threading.Lock()  # taken by the first stop()
        self._thread = threading.Thread(target=self._watch, name="gort gctrace", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(self._PERIOD):
            self._write()

    def _write(self) -> None:
        for cycle in _gort._gc_cycles():
            if cycle["number"] > self._written and cycle["sweep_begin"]:
                self._written = cycle["number"]
                self._stream.write(cycle["line"] + "\n")

    def stop(self) -> None:
        """Write what is left and end. The second call does nothing."""
        if self._first.acquire(blocking=False):
            self._stopped.set()
            self._thread.join()
            self._write()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Trace {'stopped' if self._stopped.is_set() else 'on'}>"


def trace(stream: TextIO, /) -> Trace:
    """Write Go's gctrace line to ``stream`` for every collection from now on.

        with gort.gc.trace(sys.stderr):
            work()

    While it is on there is a thread more, and ``Deadlock`` is not reported: that thread might wake somebody.
    """
    if not hasattr(stream, "write"):
        raise TypeError(f"trace: stream must be a text stream, got {type(stream).__name__}")
    return Trace(stream)
