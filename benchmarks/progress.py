"""Progress: how fast two tasks count while a third one waits, for the case blocked_progress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.protocol import Answer

PAUSE = 0.5  # seconds a pause lasts
START = 0.1  # seconds the counters get to start before the first pause


class Progress:
    """Two counters and their rates during blocked and during cooperative pauses.

    A counting task runs ``while progress.going: progress.counts[i] += 1; <yield>``; the third one wraps its pauses
    in ``with progress.cooperative():`` and ``with progress.blocked():``, as often one as the other.
    """

    def __init__(self) -> None:
        self.going = True
        self.counts = [0, 0]
        self._blocked = 0.0  # sums of rates, counts per second
        self._cooperative = 0.0

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """The body holds up its thread."""
        before, start = sum(self.counts), time.perf_counter()
        yield
        self._blocked += (sum(self.counts) - before) / (time.perf_counter() - start)

    @contextmanager
    def cooperative(self) -> Iterator[None]:
        """The body waits in the way the subject offers."""
        before, start = sum(self.counts), time.perf_counter()
        yield
        self._cooperative += (sum(self.counts) - before) / (time.perf_counter() - start)

    def answer(self) -> Answer:
        """The blocked rate as a fraction of the cooperative one."""
        return Answer(self._blocked / self._cooperative, "fraction")
