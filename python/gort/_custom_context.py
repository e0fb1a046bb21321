"""Custom contexts: objects of other classes with the methods of a Context, as parents and arguments of gort.context's functions.

What is made from one follows it in the way that is cheapest, which is Go's:

1. done() is None: it is never cancelled, there is nothing to follow. It is done already: a Context is followed that is cancelled likewise.
2. done() is the channel of a Context below it, which value() finds as it finds any other value: then that Context is followed, as if the custom
   one was not there. So one that wraps a Context and hands done() and value() on costs nothing.
3. It has a method after_func(fn) -> stop: fn is called once it is done, stop() takes that back.
4. A goroutine waits for it, until what was made from it is cancelled or forgotten.

Methods of custom contexts are code of others: what they raise goes to the caller, what they return is checked here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from . import _gort
from ._gort import Chan, Context, go, nil_chan, select
from .errors import Canceled, DeadlineExceeded, PanicError

_METHODS = ("done", "err", "deadline", "value")


def _returned(ctx: Any, method: str, expected: str, got: object) -> TypeError:
    return TypeError(f"{type(ctx).__name__}.{method}: must return {expected}, got {type(got).__name__}")


def stand_in(function: str, ctx: Any) -> Context:
    """The Context that stands for ctx. TypeError if ctx has not all methods of one."""
    missing = [name for name in _METHODS if not callable(getattr(ctx, name, None))]
    if len(missing) == len(_METHODS):
        raise TypeError(f"{function}: ctx must be a Context, got {type(ctx).__name__}")
    if missing:
        raise TypeError(f"{function}: ctx must have the methods done, err, deadline and value, got {type(ctx).__name__} without {missing[0]}")
    when = ctx.deadline()
    if when is not None and not isinstance(when, (int, float)):
        raise _returned(ctx, "deadline", "a time.monotonic() float or None", when)
    return _gort._context_stand_in(ctx, when)


def done(ctx: Any) -> Chan[Any] | None:
    channel = ctx.done()
    if channel is not None and not isinstance(channel, Chan):
        raise _returned(ctx, "done", "a Chan or None", channel)
    return channel


def err(ctx: Any) -> BaseException | None:
    error = ctx.err()
    if error is not None and not isinstance(error, BaseException):
        raise _returned(ctx, "err", "an exception or None", error)
    return error


def cause(ctx: Any) -> BaseException | None:
    error = err(ctx)
    if error is None:
        return None
    scope = ctx.value(_gort._context_scope_key)
    found = _gort._context_cause(scope) if isinstance(scope, Context) else None
    return error if found is None else found


def route(ctx: Any) -> Context | Chan[Any] | None:
    """What a context made from ctx follows: a Context, a channel that closes, or nothing."""
    channel = done(ctx)
    if channel is None or channel is nil_chan:
        return None
    if select(channel, default=True).index == 0:
        cancelled, _ = _gort._context_with_cancel(_gort._context_background)
        _cancel(ctx, cancelled)
        return cancelled
    scope = ctx.value(_gort._context_scope_key)
    return scope if isinstance(scope, Context) and _gort._context_is_done_channel(scope, channel) else channel


def _cancel(ctx: Any, child: Context) -> None:
    error = err(ctx)
    if error is None:
        raise PanicError("context: internal error: missing cancel error")
    exceeded = isinstance(error, DeadlineExceeded)
    reason = cause(ctx)
    nothing_more = type(reason) is (DeadlineExceeded if exceeded else Canceled)
    _gort._context_cancel_as(child, exceeded, None if nothing_more else reason)


def _always(child: Context) -> Callable[[], Context | None]:
    return lambda: child


def link(ctx: Any, channel: Chan[Any], child: Context, keep: bool = False) -> None:
    """Have child cancelled with ctx, whose done() is channel. The link keeps child alive only if keep."""
    method = getattr(ctx, "after_func", None)
    if callable(method):
        _link_by_method(ctx, method, child, keep)
    else:
        _link_by_goroutine(ctx, channel, child, keep)


def _link_by_method(ctx: Any, method: Callable[[Callable[[], None]], Any], child: Context, keep: bool) -> None:
    stops: list[Callable[[], object]] = []

    def cut(_: object = None) -> None:
        try:
            stop = stops.pop()
        except IndexError:  # somebody else does it
            return
        stop()

    find = _always(child) if keep else weakref.ref(child, cut)

    def cancel_child() -> None:
        found = find()
        if found is not None:
            _cancel(ctx, found)

    stop = method(cancel_child)
    if not callable(stop):
        raise _returned(ctx, "after_func", "a function", stop)
    stops.append(stop)
    _gort._context_set_unlink(child, cut)


def _link_by_goroutine(ctx: Any, channel: Chan[Any], child: Context, keep: bool) -> None:
    forgotten: Chan[None] = Chan()
    finished = _gort._context_done_alone(child)
    find = _always(child) if keep else weakref.ref(child, lambda _: forgotten.close())

    def wait() -> None:
        if select(channel, finished, forgotten).index == 0:
            found = find()
            if found is not None:
                _cancel(ctx, found)

    go(wait)


def after_func(ctx: Any, fn: Callable[[], Any]) -> Callable[[], bool]:
    """gort.context.after_func for a custom context."""
    followed = route(ctx)
    if followed is None:
        return _gort._context_after_func(_gort._context_background, fn)
    if isinstance(followed, Context):
        return _gort._context_after_func(followed, fn)
    child, cancel = _gort._context_with_cancel(_gort._context_background)
    keeps_from_starting = _gort._context_after_func(child, fn)
    link(ctx, followed, child, keep=True)

    def stop() -> bool:
        """Keep the function from being called; True if this call did. Does not wait for a started one."""
        stopped = keeps_from_starting()
        cancel()
        return stopped

    return stop
