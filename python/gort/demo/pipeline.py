"""The count: goroutines that walk, read and tokenise, a typed channel, native goroutines that count.

    walk -> paths -> readers -> sources -> tokenisers -> (typed channel) -> native counters -> one table

The native end is gort/_demo (src/demo): an extension module as anybody could write it. A context ends all of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gort
from gort import _demo, contention, context, gc, sched

from . import sources
from .sources import Problem

READERS = 4
TOKENISERS = 4
COUNTERS = 8
_TICK = 0.1  # seconds between looks at the progress
_HAND_OVER = 8000  # words that a tokeniser collects: some twenty batches, so that all counters get work


class Count:
    """A count under way, and what it found out. ``run()`` is goroutine 1."""

    def __init__(self, roots: list[str], limit: int | None, timeout: float | None) -> None:
        self.roots = roots
        self.limit = limit
        self.timeout = timeout
        self.ended = "finished"  # or "timeout", "interrupted"
        self.found = 0
        self._handed_over: list[tuple[int, int]] = []  # files and bytes; tokenisers append to it at the same time
        self.problems: list[Problem] = []
        self.all_found = False
        self.seconds = 0.0
        self.words = 0
        self.batches = 0
        self.identifiers: dict[str, int] = {}
        self.state = sched.state()
        self.stats = sched.stats()
        self.collections: list[gc.Cycle] = []
        self.waits: contention.Report | None = None

    @property
    def counted(self) -> int:
        """Files handed over."""
        return sum(files for files, _ in self._handed_over)

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(size for _, size in self._handed_over)

    # --- the goroutines

    def _walk(self, paths: Any, done: Any) -> None:
        with paths:
            for path in sources.walk(self.roots, self.limit, self.problems.append):
                self.found += 1
                if not _put(paths, path, done):
                    return
        self.all_found = True

    def _read(self, paths: Any, contents: Any, done: Any) -> None:
        for path in paths:
            try:
                data = sources.read(path)
            except OSError as error:
                self.problems.append(sources.problem_of(path, error))
                continue
            if not _put(contents, (path, data), done):
                return

    def _tokenise(self, contents: Any, counter: _demo.Counter) -> None:
        words: list[str] = []
        files = size = 0

        def hand_over() -> bool:
            # Each word is followed by a newline.
            if not _demo.submit(counter, "\n".join([*words, ""]).encode()):
                return False
            self._handed_over.append((files, size))
            return True

        for path, data in contents:
            try:
                words += sources.identifiers(data)
            except sources.NotSource as error:
                self.problems.append(sources.problem_of(path, error))
                continue
            files, size = files + 1, size + len(data)
            if len(words) >= _HAND_OVER:
                if not hand_over():
                    return
                words, files, size = [], 0, 0
        if files:
            hand_over()

    def _finish(self, readers: Any, contents: Any, tokenisers: Any, counter: _demo.Counter, finished: Any) -> None:
        readers.wait()
        contents.close()
        tokenisers.wait()
        _demo.finish(counter)
        finished.close()

    # --- goroutine 1

    def run(self, show: Callable[[Count], None]) -> None:
        """Count. Calls ``show`` now and then. Parks; Ctrl-C and the timeout end it early, with what was counted so far."""
        started = time.monotonic()
        stats = sched.stats()
        cycles = gc.stats().num_gc
        with contention.measure() as self.waits:
            self._run(show)
        self.seconds = time.monotonic() - started
        self.stats = sched.stats() - stats
        self.collections = [cycle for cycle in gc.cycles() if cycle.number > cycles]

    def _run(self, show: Callable[[Count], None]) -> None:
        root = context.background()
        ctx, cancel = context.with_cancel(root) if self.timeout is None else context.with_timeout(root, self.timeout)
        counter = _demo.Counter(workers=COUNTERS)
        self.waits.name(counter.lock_address, "merge lock")
        self.waits.name(counter.channel_address, "batches to count")
        context.after_func(ctx, counter.cancel)

        paths, contents, finished = gort.Chan(256), gort.Chan(8), gort.Chan()
        self.waits.name(paths, "paths to read")
        self.waits.name(contents, "files to tokenise")
        readers, tokenisers = gort.WaitGroup(), gort.WaitGroup()
        gort.go(self._walk, paths, ctx.done())
        for _ in range(READERS):
            readers.go(self._read, paths, contents, ctx.done())
        for _ in range(TOKENISERS):
            tokenisers.go(self._tokenise, contents, counter)
        gort.go(self._finish, readers, contents, tokenisers, counter, finished)

        ticker = gort.Ticker(_TICK)
        try:
            while gort.select(finished, ticker.c).index != 0:
                self._look(counter)
                show(self)
        except KeyboardInterrupt:
            self.ended = "interrupted"
        finally:
            ticker.stop()
            if self.ended == "finished" and ctx.err() is not None:
                self.ended = "timeout"
            cancel()
        finished.recv()
        self._look(counter)
        show(self)
        self.identifiers = _demo.result(counter)

    def _look(self, counter: _demo.Counter) -> None:
        self.words, self.batches = counter.words, counter.batches
        state = sched.state()
        if len(state.goroutines) >= len(self.state.goroutines):
            self.state = state


def _put(channel: Any, value: Any, done: Any) -> bool:
    """Send, unless the context ends first."""
    return gort.select(gort.send(channel, value), done).index == 0
