"""Event loops, as gort sees them: which one runs here, which one a goroutine means, and who must hear that one is closed.

asyncio tells nobody that a loop is closed, but every loop drops its timers then. So a ``_Closing`` that only a timer of the loop holds, one that is never
due, ends when the loop is closed, and tells all that wait on it. Rejected: to replace ``loop.close`` (uvloop's cannot be), to look again and again.

A loop that is dropped unclosed while something waits on it is kept, as a goroutine is that waits for ever.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from . import _gort
from ._gort import Mutex

T = TypeVar("T")
_NEVER = 1e9  # seconds: thirty years, which loops accept as a delay


class Waiting(Protocol):
    """What waits on a loop."""

    def loop_closed(self) -> None:
        """The loop has been closed; called in the thread that did it. Must not wait."""


class _Closing:
    def __init__(self, waiting: set[Waiting]) -> None:
        self.waiting = waiting

    def __call__(self) -> None:
        """The timer is due, on a loop whose clock is not that of the world: from now on nobody hears of its close."""

    def __del__(self) -> None:
        for item in tuple(self.waiting):
            item.loop_closed()


_waiting: weakref.WeakKeyDictionary[AbstractEventLoop, set[Waiting]] = weakref.WeakKeyDictionary()


def waiting_on(loop: AbstractEventLoop) -> set[Waiting]:
    """Who hears of the loop's close: to be added to and discarded from in the loop's thread, where this is called as well."""
    found = _waiting.get(loop)
    if found is None:
        found = _waiting[loop] = set()
        loop.call_later(_NEVER, _Closing(found))
    return found


_lock = Mutex()  # guards the two below when they are changed
_sessions: list[AbstractEventLoop] = []  # open ones, the newest last
_main: Callable[[], AbstractEventLoop | None] = lambda: None  # the loop that was last seen in the main thread
inherited: ContextVar[Callable[[], AbstractEventLoop | None]] = ContextVar("gort.aio.session")


def running(function: str) -> AbstractEventLoop | None:
    """The loop that runs here; None: a goroutine runs the caller's coroutine, which may park. Else RuntimeError.

    A loop in the main thread is known to goroutines from now on.
    """
    global _main
    loop = asyncio._get_running_loop()
    if loop is None:
        if _gort._runs_coroutine():
            return None
        raise RuntimeError(f"{function}: no asyncio event loop is running in this thread; outside of tasks use what parks instead")
    if _main() is not loop and threading.get_ident() == threading.main_thread().ident:
        with _lock:
            _main = weakref.ref(loop)
    return loop


def outside(coroutine: Coroutine[Any, Any, T]) -> T:
    """What coroutine returns, run by the calling goroutine as if no loop were running in its thread; parks."""
    loop = asyncio._get_running_loop()
    try:
        asyncio._set_running_loop(None)  # in here: Ctrl-C may come right after it
        return _gort._finish_coroutine(coroutine)
    finally:
        asyncio._set_running_loop(loop)


def opened(loop: AbstractEventLoop) -> None:
    with _lock:
        _sessions.append(loop)


def closed(loop: AbstractEventLoop) -> None:
    with _lock:
        _sessions.remove(loop)


def meant(function: str, loop: object) -> AbstractEventLoop:
    """The loop that a goroutine means: a given one, else that of the session in which it was started, of the newest session, the main thread's.

    TypeError if it is none, RuntimeError if it does not run or there is none.
    """
    if loop is not None:
        if not isinstance(loop, AbstractEventLoop):
            raise TypeError(f"{function}: loop must be an asyncio event loop or None, got {type(loop).__name__}")
        if not loop.is_running():
            raise RuntimeError(f"{function}: loop is not running: {loop!r}")
        return loop
    with _lock:
        known = [inherited.get(lambda: None)(), *reversed(_sessions), _main()]
    for candidate in known:
        if candidate is not None and candidate.is_running():
            return candidate
    raise RuntimeError(f"{function}: no event loop is known; pass loop=, or open `async with gort.aio.session():` in one that runs")
