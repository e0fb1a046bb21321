"""Future: a concurrent.futures.Future whose waiters park.

It is a subclass, because ``concurrent.futures.wait``, ``as_completed`` and ``asyncio.wrap_future`` check for it and use its parts: ``_condition``,
``_state``, ``_waiters``. Two things of it would block an OS thread, or belong to one: the wait for the result and the re-entrant lock of the condition.
So the condition is one of ours, a Mutex and a channel that is closed when the future is done (nothing else is ever signalled), and what CPython calls
while the lock is held (``repr``, ``cancelled``, ``exception`` of one that is done) reads without it: the result is stored before the state, and the
state of a future that is done does not change any more.
"""

from __future__ import annotations

import concurrent.futures
import datetime
from concurrent.futures import CancelledError
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, RUNNING
from typing import Any, NoReturn, TypeVar

from ._gort import Chan, Mutex

T = TypeVar("T")
_CANCELLED = (CANCELLED, CANCELLED_AND_NOTIFIED)
_DONE = (CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED)


class _Condition:
    """What a Future uses of threading.Condition.

    The slots are methods of the Mutex, which ``with`` then calls itself: no Python code is between the lock and the block, where GoExit or Ctrl-C could leave
    the lock locked.
    """

    __slots__ = ("__enter__", "__exit__", "_over", "acquire", "done", "release")

    def __init__(self) -> None:
        lock = Mutex()
        self.__enter__ = lock.__enter__
        self.__exit__ = lock.__exit__
        self.acquire = lock.lock
        self.release = lock.unlock
        self._over = False
        self.done: Chan[None] | None = None  # made by the first who waits

    def channel(self) -> Chan[None] | None:
        """Closed when the future is done; None if it is. REQUIRES: the lock is held."""
        if self.done is None and not self._over:
            self.done = Chan()
        return self.done

    def notify_all(self) -> None:
        """The future is done. Once more does no harm. REQUIRES: the lock is held."""
        self._over = True
        done, self.done = self.done, None
        if done is not None:
            done.close()


class Future(concurrent.futures.Future[T]):
    """What a call in another goroutine will return: a concurrent.futures.Future; ``result()`` and ``exception()`` park the caller only.

    Works from goroutines and plain threads, and with ``concurrent.futures.wait``, ``as_completed`` and ``asyncio.wrap_future``. A call that ends by
    ``goexit()``, or is stopped by the end of its run, has no result: the future counts as cancelled. Made by ``Group.go`` and the like, not by hand.
    """

    _condition: Any
    _state: str
    _result: Any
    _exception: BaseException | None
    _waiters: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self._condition = _Condition()

    def cancelled(self) -> bool:
        """Whether it was cancelled, or its call ended without a result."""
        return self._state in _CANCELLED

    def running(self) -> bool:
        """Whether the call has begun and not ended."""
        return self._state == RUNNING

    def done(self) -> bool:
        """Whether the call has ended, or will never begin."""
        return self._state in _DONE

    def result(self, timeout: float | datetime.timedelta | None = None) -> T:
        """Wait for the call to end and return what it returned; parks.

        Raises what the call raised, concurrent.futures.CancelledError if there is no result, and TimeoutError after timeout seconds.
        """
        try:
            self._wait(timeout)
            if self._exception is not None:
                raise self._exception
            value: T = self._result
            return value
        finally:
            del self  # an error's traceback leads to this frame, and the future to the error

    def exception(self, timeout: float | datetime.timedelta | None = None) -> BaseException | None:
        """Wait for the call to end and return what it raised, None if nothing; parks. Raises CancelledError and TimeoutError as result() does."""
        self._wait(timeout)
        return self._exception

    def _wait(self, timeout: Any) -> None:
        if self._state not in _DONE:
            with self._condition:
                done = self._condition.channel()
            if done is not None:
                done.recv(timeout)
        if self._state in _CANCELLED:
            raise CancelledError

    def _begin(self) -> bool:
        """The call begins now. False: it was cancelled."""
        return self._state != CANCELLED_AND_NOTIFIED and self.set_running_or_notify_cancel()

    def _end(self) -> bool:
        """The call has ended, perhaps by GoExit, or will never be made: if there is no result yet, there is none. Whether that is so.

        GoExit may come at any point of a goroutine, so this is the last word on it, and may be said twice.
        """
        with self._condition:
            before = self._state
            missing = before not in (FINISHED, CANCELLED_AND_NOTIFIED)
            if missing:
                self._state = CANCELLED_AND_NOTIFIED
                for waiter in self._waiters:
                    waiter.add_cancelled(self)
            self._condition.notify_all()
        if missing and before != CANCELLED:  # cancel() has called them
            self._invoke_callbacks()  # type: ignore[attr-defined]
        return missing

    def __repr__(self) -> str:
        state = self._state
        if state == FINISHED:
            error = self._exception
            ended = f"returned {type(self._result).__name__}" if error is None else f"raised {type(error).__name__}"
        else:
            ended = "cancelled" if state in _CANCELLED else state.lower()
        return f"<Future {ended}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("cannot pickle or copy gort.Future objects")
