"""Executor: goroutines for who knows concurrent.futures."""

from __future__ import annotations

import concurrent.futures
import functools
from typing import Any, Callable, NoReturn, ParamSpec, TypeVar

from ._checks import MOST, whole
from ._future import Future
from ._worker_pool import WorkerPool

P = ParamSpec("P")
T = TypeVar("T")


class Executor(concurrent.futures.Executor):
    """A concurrent.futures.Executor whose calls are goroutines: in place of a ThreadPoolExecutor, also for asyncio's run_in_executor.

    >>> from gort import Executor
    >>> with Executor() as executor:
    ...     list(executor.map(abs, [-1, 2, -3]))
    [1, 2, 3]

    ``max_workers``: how many calls go on at a time, None for all of them. ``thread_name_prefix``: the goroutines are called so, with a number.
    ``initializer(*initargs)``: called by each goroutine before its first call; goroutines end when there is nothing to do, so that may be often. If it
    raises, that is the error of the calls it was for (a ThreadPoolExecutor becomes unusable).

    Works in ambient mode, in a run (whose end cancels what goes on), and from plain threads; waiting parks.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        thread_name_prefix: str = "",
        initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if not isinstance(thread_name_prefix, str):
            raise TypeError(f"Executor: thread_name_prefix must be a str, got {type(thread_name_prefix).__name__}")
        size = MOST if max_workers is None else whole("Executor", "max_workers", max_workers, 1)
        if initializer is not None:
            if not callable(initializer):
                raise TypeError(f"Executor: initializer must be callable, got {type(initializer).__name__}")
            initializer = functools.partial(initializer, *initargs)
        self._pool = WorkerPool(size, name=thread_name_prefix or None, initializer=initializer)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have fn called in a goroutine; returns the Future of its result. Does not park. RuntimeError after shutdown."""
        return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; with cancel_futures those that have not begun are cancelled. With wait it parks until all have ended."""
        self._pool.close(cancel=cancel_futures)
        if wait:
            self._pool.wait()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("cannot pickle or copy gort.Executor objects")

    def __repr__(self) -> str:
        return f"<Executor {self._pool!r}>"
