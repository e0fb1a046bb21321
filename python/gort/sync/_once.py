"""Functions that do their work once: Go's sync.OnceFunc, OnceValue and OnceValues."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Callable, TypeVar

from .._gort import Once
from ..errors import PANIC_NIL, GoExit, PanicError

T = TypeVar("T")


def once_value(fn: Callable[[], T]) -> Callable[[], T]:
    """A function that calls fn() the first time and returns that value every time.

    What fn raises is remembered and raised from every call. Callers park while the first call goes on.
    """
    return _remember("once_value", fn)


def once_values(fn: Callable[[], T]) -> Callable[[], T]:
    """once_value for a function that returns several values, as a tuple."""
    return _remember("once_values", fn)


def once_func(fn: Callable[[], Any]) -> Callable[[], None]:
    """A function that calls fn() the first time and does nothing later; what fn raises is raised from every call."""
    call = _remember("once_func", fn)

    def once() -> None:
        call()

    return once


def _remember(name: str, fn: Callable[[], T]) -> Callable[[], T]:
    if not callable(fn):
        raise TypeError(f"{name}: fn must be callable, got {type(fn).__name__}")
    once = Once()
    value: Any = None
    error: BaseException | None = None
    traceback: TracebackType | None = None  # of the first call; a raise adds to the exception's own

    def first() -> None:
        nonlocal fn, value, error, traceback
        function = fn
        del fn  # what it holds is not needed any more
        try:
            value = function()
        except GoExit:
            error = PanicError(PANIC_NIL)
            raise
        except BaseException as e:
            error = e
            traceback = e.__traceback__

    def call() -> T:
        once.do(first)
        if error is not None:
            raise error.with_traceback(traceback)
        result: T = value
        return result

    return call
