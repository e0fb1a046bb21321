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

Where a context is taken, any object with the methods of ContextLike will do. One that wraps a Context and hands ``done()`` and ``value()`` on is
seen through; of another one the method ``after_func(fn) -> stop`` is used, if it has that, to be told that it is done; else a goroutine waits for
each context that is made from it (in the run that is going on: with the run that ends). What its methods raise goes to the caller. A ``TypeError``
names the method that returned something else than ContextLike says. A child's ``err()`` is Canceled, or DeadlineExceeded if that was the custom
context's error; any other error of it is the child's cause().
"""

from __future__ import annotations

import datetime as _datetime
import time as _time
from types import TracebackType
from typing import Any, Callable, NamedTuple, Protocol

from . import _custom_context, _gort
from ._gort import Chan, Context
from ._tree import Tree
from .errors import Canceled, DeadlineExceeded

__all__ = [
    "Canceled", "CancelCausePair", "CancelPair", "Context", "ContextLike", "DeadlineExceeded", "Tree", "after_func", "background", "cause",
    "todo", "tree", "with_cancel", "with_cancel_cause", "with_deadline", "with_deadline_cause", "with_timeout", "with_timeout_cause", "with_value",
    "without_cancel",
]


class ContextLike(Protocol):
    """What a context is: Context, or an object of another class with these methods. See Context for what they mean.

    ``value(key)`` must give None for a key that it does not know: gort asks with a key of its own.
    """

    def done(self) -> Chan[Any] | None: ...
    def err(self) -> BaseException | None: ...
    def deadline(self) -> float | None: ...
    def value(self, key: Any, /) -> Any: ...


def _own(function: str, ctx: Any) -> Context:
    return ctx if type(ctx) is Context or ctx is None else _custom_context.stand_in(function, ctx)


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


def with_cancel(ctx: ContextLike) -> CancelPair:
    """A child of ctx that its cancel function cancels. PanicError if ctx is None."""
    return CancelPair(*_gort._context_with_cancel(_own("with_cancel", ctx)))


def with_cancel_cause(ctx: ContextLike) -> CancelCausePair:
    """Like with_cancel; the cancel function takes the exception (or None) that cause() gives."""
    return CancelCausePair(*_gort._context_with_cancel_cause(_own("with_cancel_cause", ctx)))


def _monotonic(function: str, d: Any) -> float:
    if isinstance(d, _datetime.datetime):
        if d.utcoffset() is None:
            raise ValueError(f"{function}: d must be an aware datetime, got {d!r}")
        return _time.monotonic() + (d.timestamp() - _time.time())
    if isinstance(d, (int, float)):
        return d
    raise TypeError(f"{function}: d must be a time.monotonic() float or a datetime, got {type(d).__name__}")


def with_deadline(ctx: ContextLike, d: float | _datetime.datetime) -> CancelPair:
    """A child of ctx that is cancelled with DeadlineExceeded at d: a time.monotonic() float or an aware datetime.

    If ctx has an earlier deadline, that one stands.
    """
    return CancelPair(*_gort._context_with_deadline("with_deadline", _own("with_deadline", ctx), _monotonic("with_deadline", d), None))


def with_deadline_cause(ctx: ContextLike, d: float | _datetime.datetime, cause: BaseException | None) -> CancelPair:
    """Like with_deadline; cause() gives cause when the deadline has passed (not when cancel was called)."""
    name = "with_deadline_cause"
    return CancelPair(*_gort._context_with_deadline(name, _own(name, ctx), _monotonic(name, d), cause))


def with_timeout(ctx: ContextLike, s: float | _datetime.timedelta) -> CancelPair:
    """A child of ctx that is cancelled with DeadlineExceeded s seconds from now."""
    return CancelPair(*_gort._context_with_timeout("with_timeout", _own("with_timeout", ctx), s, None))


def with_timeout_cause(ctx: ContextLike, s: float | _datetime.timedelta, cause: BaseException | None) -> CancelPair:
    """Like with_timeout; cause() gives cause when the time is over (not when cancel was called)."""
    return CancelPair(*_gort._context_with_timeout("with_timeout_cause", _own("with_timeout_cause", ctx), s, cause))


def with_value(ctx: ContextLike, key: Any, value: Any) -> Context:
    """A child of ctx whose value(key) is value. PanicError if key is None or unhashable."""
    return _gort._context_with_value(_own("with_value", ctx), key, value)


def without_cancel(ctx: ContextLike) -> Context:
    """A child of ctx with its values, but not its cancellation and deadline."""
    return _gort._context_without_cancel(_own("without_cancel", ctx))


def after_func(ctx: ContextLike, fn: Callable[[], Any]) -> Callable[[], bool]:
    """Call fn() in a goroutine of its own once ctx is cancelled; at once if it is.

    Returns stop(): it returns True if it kept fn from being called, and does not wait for a call that has begun.
    """
    return _gort._context_after_func(_own("after_func", ctx), fn)


def cause(ctx: ContextLike) -> BaseException | None:
    """Why ctx was cancelled: the cause given, else its err(); None if it is not cancelled."""
    return _gort._context_cause(_own("cause", ctx))


def tree(ctx: ContextLike) -> Tree:
    """What ctx is and what would be cancelled with it: a str that draws it, with its parts as attributes; rich and notebooks show it in colours.

    Below background(), todo() and without_cancel() nothing is cancelled, so nothing is drawn.
    """
    (kind, _, deadline, below), values = _gort._context_tree(_own("tree", ctx))
    if type(ctx) is not Context:  # its children are those of the Context that it hands on, if it does
        followed = _custom_context.route(ctx)
        below = _gort._context_tree(followed)[0][3] if isinstance(followed, Context) else ()
        kind, deadline = type(ctx).__name__, ctx.deadline()
    return Tree((kind, _custom_context.err(ctx), deadline, below), tuple(values))
