"""asyncio and goroutines: tasks wait for channels, goroutines wait for coroutines.

In tasks, on the objects that goroutines and threads use too: ``await ch.asend(v)``, ``await ch.arecv()``, ``async for v in ch``, ``async with mutex``,
``await mutex.alock()``, ``await wait_group``, ``await goroutine``, and here ``sleep`` and ``select``. In goroutines: ``wait``. The loop is whoever's it is:
``asyncio.run``, uvloop, Jupyter, pytest-asyncio.

>>> import asyncio, gort
>>> from gort import aio
>>> async def main():
...     numbers = gort.Chan()
...     def produce():
...         with numbers:
...             for n in range(3):
...                 numbers.send(n)
...     gort.go(produce)
...     return [n async for n in numbers]
>>> asyncio.run(main())
[0, 1, 2]
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Awaitable
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from . import _awaits, _checks, _gort, _loops
from ._final import Final
from ._gort import Case, Chan, Selected

T = TypeVar("T")
__all__ = ["select", "session", "sleep", "wait"]


async def sleep(s: float | datetime.timedelta) -> None:
    """gort.sleep for tasks: wait s seconds, zero and less not at all. ValueError for NaN. In tasks it is the loop's own timer; a coroutine that a goroutine runs parks."""
    seconds = _checks.seconds("sleep", "s", s)
    if _loops.running("sleep") is None:
        if seconds > 0:
            await _gort._await_sleep(seconds)
        else:
            _gort.sleep(seconds)
    else:
        await asyncio.sleep(max(seconds, 0))


async def select(*cases: Chan[Any] | Case | None, default: bool = False, timeout: float | datetime.timedelta | None = None) -> Selected:
    """gort.select for tasks: wait until one case can go on, and do that one and no other; the loop goes on meanwhile.

    Arguments, result and errors are those of ``gort.select``. A task that is cancelled has done no case, or the await returns and its next one is cancelled.

    >>> import asyncio, gort
    >>> from gort import aio
    >>> ch = gort.Chan(1)
    >>> asyncio.run(aio.select(gort.send(ch, 'hello'), gort.nil_chan)).index
    0
    """
    loop = _loops.running("select")
    if loop is None:
        if default:
            return _gort.select(*cases, default=default, timeout=timeout)
        return await _gort._await_select(*cases, timeout=timeout)
    chosen = _gort.select(*cases, default=True, timeout=timeout)
    if chosen.index >= 0 or default:
        return chosen
    return await _awaits.parked(loop, partial(_gort.select, *cases, timeout=timeout))


class session(Final):  # noqa: N801  # used as a function
    """``async with session():`` makes the loop that runs it the one that ``wait`` uses when it is given none.

    For goroutines that are started inside, or by those, it is this one; for all others the session that was opened last and is open still. Sessions nest, and
    different threads may have theirs; another task of the loop may close it. Gives the loop. A loop in the main thread needs none: it is known once one of its tasks has used an await of gort.
    """

    __slots__ = ("_loop", "_token")

    def __init__(self) -> None:
        self._loop: AbstractEventLoop | None = None
        self._token: Token[Any] | None = None

    async def __aenter__(self) -> AbstractEventLoop:
        if self._loop is not None:
            raise RuntimeError("session: it is open already; make another one")
        loop = _loops.running("session")
        if loop is None:
            raise RuntimeError("session: a goroutine runs this coroutine, and no event loop; open it in a task")
        self._loop = loop
        self._token = _loops.inherited.set(weakref.ref(loop))
        _loops.opened(loop)
        return loop

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        loop, self._loop = self._loop, None
        token, self._token = self._token, None
        if loop is None or token is None:
            raise RuntimeError("session: it is not open")
        _loops.closed(loop)
        try:
            _loops.inherited.reset(token)
        except ValueError:
            pass  # it is closed by another task than opened it (a fixture's), whose context nobody sees


def wait(coro: Awaitable[T], loop: AbstractEventLoop | None = None) -> T:
    """Run coro as a task of an event loop, which goes on meanwhile, and return its result; parks. For goroutines and plain threads.

    ``loop``: one that runs, in another goroutine or thread. None: that of the ``session`` in which the goroutine was started, else of the newest one,
    else the main thread's. The task has a copy of the caller's contextvars.

    Raises what coro raises, asyncio.CancelledError if its task is cancelled. If the caller is stopped (the end of its run, Ctrl-C), the task is cancelled
    and not waited for. RuntimeError if no loop is known, if it does not run or is the caller's own, with coro not begun; and if it is closed before coro
    has ended.

    >>> import asyncio, gort
    >>> from gort import aio
    >>> async def fetch(n):
    ...     await asyncio.sleep(0)
    ...     return n * n
    >>> async def main():
    ...     results = gort.Chan()
    ...     async with aio.session():
    ...         gort.go(lambda: results.send(aio.wait(fetch(4))))
    ...         return await results.arecv()
    >>> asyncio.run(main())
    16
    """
    if not inspect.isawaitable(coro):
        raise TypeError(f"wait: coro must be a coroutine or another awaitable, got {type(coro).__name__}")
    target = _loops.meant("wait", loop)
    if asyncio._get_running_loop() is target:
        raise RuntimeError("wait: this would stop the event loop that it waits for; in a task use await")
    return _Request(coro, target).result()


class _Request:
    """A coroutine that a goroutine wants a loop to run. ``task`` and ``error`` are the loop's thread's until ``over`` is closed."""

    def __init__(self, coro: Awaitable[Any], loop: AbstractEventLoop) -> None:
        self.coro: Awaitable[Any] | None = coro
        self.loop = loop
        self.task: asyncio.Future[Any] | None = None
        self.error: BaseException | None = None
        self.over: Chan[None] = Chan(name="task of aio.wait")

    def result(self) -> Any:
        try:
            try:
                self.loop.call_soon_threadsafe(_Start(self))
            except RuntimeError:
                raise RuntimeError(f"wait: loop is closed: {self.loop!r}") from None
            self.over.recv()
        except BaseException:  # a GoExit may come before call_soon_threadsafe has returned
            try:
                self.loop.call_soon_threadsafe(self.cancel)
            except RuntimeError:
                pass  # closed: there is no task any more
            raise
        try:
            if self.error is not None:
                raise self.error
            assert self.task is not None
            return self.task.result()
        finally:
            del self  # an error's traceback leads to this frame, and the task to the error

    # --- in the loop's thread

    def start(self) -> None:
        coro, self.coro = self.coro, None
        assert coro is not None
        try:
            self.task = asyncio.ensure_future(coro, loop=self.loop)
            _loops.waiting_on(self.loop).add(self)
            self.task.add_done_callback(self.done)
        except BaseException as error:
            self.error = error
            self.over.close()

    def done(self, task: object) -> None:
        _loops.waiting_on(self.loop).discard(self)
        self.over.close()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def loop_closed(self) -> None:
        self.error = RuntimeError("wait: the event loop was closed before coro had ended")
        self.over.close()


class _Start:
    """The callback that starts a request; one that a loop drops when it is closed says so."""

    def __init__(self, request: _Request) -> None:
        self.request: _Request | None = request

    def __call__(self) -> None:
        request, self.request = self.request, None
        if request is not None:
            request.start()

    def __del__(self) -> None:
        if self.request is not None:
            self.request.loop_closed()
