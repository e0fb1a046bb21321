"""Go's context: cancellation, deadlines and values, carried down a tree of calls.

>>> import gort
>>> from gort import context
>>> with context.with_cancel(context.background()) as ctx:
...     gort.select(ctx.done(), default=True).index
-1
>>> ctx.err()
Canceled('context canceled')

A context is cancelled by its cancel function, by its deadline, or when the context that it was made from is. All of these
functions may be called from goroutines and plain threads, and none parks.
"""

from __future__ import annotations

import datetime as _datetime
import time as _time
from types import TracebackType
from typing import Any, Callable, NamedTuple

from . import _gort
from ._gort import Context
from .errors import Canceled, DeadlineExceeded

__all__ = [
    "Canceled", "CancelCausePair", "CancelPair", "Context", "DeadlineExceeded", "after_func", "background", "cause", "todo", "tree",
    "with_cancel", "with_cancel_cause", "with_deadline", "with_deadline_cause", "with_timeout", "with_timeout_cause", "with_value",
    "without_cancel",
]


class CancelPair(NamedTuple):
    """A context and the function that cancels it. As a context manager it gives ``ctx`` and cancels it at the end."""

    ctx: Context
    cancel: Callable[[], None]

    def __enter__(self) -> Context:
        return self.ctx

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.cancel()


class CancelCausePair(NamedTuple):
    """A context and the function that cancels it with a cause. As a context manager it cancels without one at the end."""

    ctx: Context
    cancel: Callable[[BaseException | None], None]

    def __enter__(self) -> Context:
        return self.ctx

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.cancel(None)


def background() -> Context:
    """The root of a program's contexts: never cancelled, no values, no deadline."""
    return _gort._context_background


def todo() -> Context:
    """Like background(), where it is not clear yet which context to use."""
    return _gort._context_todo


def with_cancel(ctx: Context) -> CancelPair:
    """A child of ctx that its cancel function cancels. PanicError if ctx is None."""
    return CancelPair(*_gort._context_with_cancel(ctx))


def with_cancel_cause(ctx: Context) -> CancelCausePair:
    """Like with_cancel; the cancel function takes the exception (or None) that cause() gives."""
    return CancelCausePair(*_gort._context_with_cancel_cause(ctx))


def _monotonic(function: str, d: Any) -> float:
    if isinstance(d, _datetime.datetime):
        if d.utcoffset() is None:
            raise ValueError(f"{function}: d must be an aware datetime, got {d!r}")
        return _time.monotonic() + (d.timestamp() - _time.time())
    if isinstance(d, (int, float)):
        return d
    raise TypeError(f"{function}: d must be a time.monotonic() float or a datetime, got {type(d).__name__}")


def with_deadline(ctx: Context, d: float | _datetime.datetime) -> CancelPair:
    """A child of ctx that is cancelled with DeadlineExceeded at d: a time.monotonic() float or an aware datetime.

    If ctx has an earlier deadline, that one stands.
    """
    return CancelPair(*_gort._context_with_deadline("with_deadline", ctx, _monotonic("with_deadline", d), None))


def with_deadline_cause(ctx: Context, d: float | _datetime.datetime, cause: BaseException | None) -> CancelPair:
    """Like with_deadline; cause() gives cause when the deadline has passed (not when cancel was called)."""
    return CancelPair(*_gort._context_with_deadline("with_deadline_cause", ctx, _monotonic("with_deadline_cause", d), cause))


def with_timeout(ctx: Context, s: float | _datetime.timedelta) -> CancelPair:
    """A child of ctx that is cancelled with DeadlineExceeded s seconds from now."""
    return CancelPair(*_gort._context_with_timeout("with_timeout", ctx, s, None))


def with_timeout_cause(ctx: Context, s: float | _datetime.timedelta, cause: BaseException | None) -> CancelPair:
    """Like with_timeout; cause() gives cause when the time is over (not when cancel was called)."""
    return CancelPair(*_gort._context_with_timeout("with_timeout_cause", ctx, s, cause))


def with_value(ctx: Context, key: Any, value: Any) -> Context:
    """A child of ctx whose value(key) is value. PanicError if key is None or unhashable."""
    return _gort._context_with_value(ctx, key, value)


def without_cancel(ctx: Context) -> Context:
    """A child of ctx with its values, but not its cancellation and deadline."""
    return _gort._context_without_cancel(ctx)


def after_func(ctx: Context, fn: Callable[[], Any]) -> Callable[[], bool]:
    """Call fn() in a goroutine of its own once ctx is cancelled; at once if it is.

    Returns stop(): it returns True if it kept fn from being called, and does not wait for a call that has begun.
    """
    return _gort._context_after_func(ctx, fn)


def cause(ctx: Context) -> BaseException | None:
    """Why ctx was cancelled: the cause given, else its err(); None if it is not cancelled."""
    return _gort._context_cause(ctx)


def tree(ctx: Context) -> str:
    """A drawing of ctx and what would be cancelled with it."""
    return _gort._context_tree(ctx)
