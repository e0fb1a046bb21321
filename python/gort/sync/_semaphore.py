"""Semaphore: Go's x/sync/semaphore.Weighted.

Invariants, whenever the lock is free:
- 0 <= held <= size, and held is the sum of what acquire and try_acquire gave and release has not taken back.
- A waiter is in ``waiters`` or has been given its tokens (its channel is closed), never both.
- If there are waiters, the first one wants more than is free: so nobody overtakes, and a large request is not starved by small ones.

Who gives up (its context is done, Ctrl-C, the end of a run) takes itself out, or puts back what it was given at that moment, and lets the next ones look.
Rejected: one ``Cond`` for all, where each release would wake every waiter to look whether it is the first.
"""

from __future__ import annotations

from collections import OrderedDict
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._checks import closed, done_of, error_of, whole
from .._final import Final
from .._gort import Chan, Mutex, nil_chan, select
from ..errors import PanicError

if TYPE_CHECKING:
    from ..context import Context


class Semaphore(Final):
    """A number of tokens, of which several can be taken at once: x/sync's semaphore.Weighted.

    Whoever must wait gets its turn in the order of coming, also a large request among small ones. Every method may be called from goroutines and plain
    threads. As a context manager it takes one token and gives it back.

    >>> from gort.sync import Semaphore
    >>> connections = Semaphore(3)
    >>> connections.acquire(2)
    >>> connections.try_acquire(2), connections.try_acquire(1)
    (False, True)
    >>> connections.release(3)

    ``n``: how many tokens there are. ValueError if it is negative.
    """

    __slots__ = ("_held", "_lock", "_size", "_waiters")

    def __init__(self, n: int) -> None:
        self._size = whole("Semaphore", "n", n, 0)
        self._lock = Mutex()
        self._held = 0
        self._waiters: OrderedDict[Chan[None], int] = OrderedDict()

    def acquire(self, n: int = 1, ctx: Context | None = None) -> None:
        """Take n tokens; parks until they are free and everybody who came before has got his.

        With a context that is done, before or while waiting, it raises ctx.err() (Canceled or DeadlineExceeded) and takes nothing, even if tokens are
        free. More tokens than there are: waits for ctx only, without one for ever. ValueError if n is negative.
        """
        n = whole("acquire", "n", n, 0)
        done = done_of("acquire", ctx)
        with self._lock:
            given_up = closed(done)
            if not given_up and self._held + n <= self._size and not self._waiters:
                self._held += n
                return
            ready: Chan[None] = Chan()
            possible = n <= self._size
            if possible and not given_up:
                self._waiters[ready] = n
        if not given_up:
            if possible:
                given_up = self._wait(ready, n, done)
            else:
                (nil_chan if done is None else done).recv()
                given_up = True
        if given_up and ctx is not None:
            raise error_of(ctx)

    def _wait(self, ready: Chan[None], n: int, done: Chan[Any] | None) -> bool:
        """Waits for a place in the queue. Whether it gave up because ctx is done."""
        try:
            if done is None:
                ready.recv()
                return False
            select(ready, done)
        except BaseException:
            self._give_up(ready, n)
            raise
        if closed(done):
            self._give_up(ready, n)
            return True
        return False

    def try_acquire(self, n: int = 1) -> bool:
        """Take n tokens if they are free and nobody waits. Does not park. ValueError if n is negative."""
        n = whole("try_acquire", "n", n, 0)
        with self._lock:
            if self._held + n > self._size or self._waiters:
                return False
            self._held += n
            return True

    def release(self, n: int = 1) -> None:
        """Give n tokens back; anybody may. Does not park.

        PanicError("semaphore: released more than held"), with nothing changed, if fewer are taken. ValueError if n is negative.
        """
        n = whole("release", "n", n, 0)
        with self._lock:
            if n > self._held:
                raise PanicError("semaphore: released more than held")
            self._held -= n
            self._wake()

    def _give_up(self, ready: Chan[None], n: int) -> None:
        with self._lock:
            if self._waiters.pop(ready, None) is None:
                self._held -= n
            self._wake()

    def _wake(self) -> None:
        while self._waiters:
            ready, n = next(iter(self._waiters.items()))
            if self._held + n > self._size:
                break
            self._waiters.popitem(last=False)
            self._held += n
            ready.close()

    def __enter__(self) -> Semaphore:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<Semaphore {self._held} of {self._size} held, {len(self._waiters)} waiting>"
