"""Checks of arguments: the errors name the function, the argument and what was got, as those of the extension module do."""

from __future__ import annotations

import datetime
import math
import operator
from typing import Any

from . import _custom_context
from ._gort import Chan

MOST = (1 << 63) - 1  # Go's int


def whole(function: str, name: str, value: Any, least: int = -MOST - 1, most: int = MOST) -> int:
    """value as an int from least to most, or TypeError, or ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{function}: {name} must be an int, got {type(value).__name__}") from None
    if number < least:
        raise ValueError(f"{function}: {name} must be at least {least}, got {value!r}")
    if number > most:
        raise ValueError(f"{function}: {name} must be at most {most}, got {value!r}")
    return number


def seconds(function: str, name: str, value: Any) -> float:
    """A number of seconds (inf is one, NaN is not) or a timedelta, as a float."""
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return real(function, name, value, "a number of seconds", "a number of seconds or a timedelta")


def real(function: str, name: str, value: Any, what: str, what_type: str | None = None) -> float:
    """value as a float that is not NaN; an int beyond all floats is infinite."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"{function}: {name} must be {what_type or what}, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    if math.isnan(number):
        raise ValueError(f"{function}: {name} must be {what}, got {value!r}")
    return number


def function_of(function: str, fn: Any) -> None:
    """TypeError if fn cannot be called."""
    if not callable(fn):
        raise TypeError(f"{function}: fn must be callable, got {type(fn).__name__}")


def done_of(function: str, ctx: Any) -> Chan[Any] | None:
    """The channel that is closed when ctx is cancelled. None: it never is, or there is no ctx."""
    if ctx is None:
        return None
    try:
        ctx.done, ctx.err, ctx.deadline  # noqa: B018
    except AttributeError:
        raise TypeError(f"{function}: ctx must be a Context, got {type(ctx).__name__}") from None
    return _custom_context.done(ctx)


def error_of(ctx: Any) -> BaseException:
    """Why ctx is done."""
    return _custom_context.err(ctx) or RuntimeError(f"{type(ctx).__name__}.err: must return an exception when done() is closed, got None")


def closed(done: Chan[Any] | None) -> bool:
    """Whether done, a channel that nobody sends to, is closed."""
    return done is not None and done.try_recv() is not None
