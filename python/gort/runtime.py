"""Looking at the running program, as Go's package runtime does.

>>> from gort import runtime
>>> runtime.goroutines()[0].status
'running'
"""

from __future__ import annotations

import sys

from . import _gort
from ._gort import Goroutine, current

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the time to import typing
if TYPE_CHECKING:
    from types import FrameType

__all__ = ["caller", "goroutines", "num_threads", "set_max_threads", "stack", "version"]


def caller(skip: int = 0) -> tuple[str, int, str] | None:
    """File, line and function of the frame that is ``skip`` frames above the caller's own, as Go's ``runtime.Caller``; None above the first frame.

    A goroutine's frames begin at its function. ValueError for ``skip < 0``.
    """
    if skip < 0:
        raise ValueError(f"caller: skip must be at least 0, got {skip!r}")
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and skip > 0:
        frame, skip = frame.f_back, skip - 1
    if frame is None:
        return None
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname


def goroutines(leaked: bool = False) -> list[Goroutine]:
    """Every Python goroutine that is alive, plain threads that use gort included. Native ones: ``gort.sched.state()``.

    leaked: only those that can never be woken, because nobody who may still run can reach anything that they wait for. It names no
    goroutine that can be woken, and misses some, as what CPython does not show counts as reachable: values in the middle of an expression, the
    iterator of a ``for``, locals of generators, a case or bound method made for the call (``select(recv(ch))``); from 3.14 on all but the arguments and
    variables of the goroutine's own function; on free-threaded builds everything, so none is found. Looks at every object that they can
    reach, some microseconds each, often all of the program's. Does not park.

    >>> import gort
    >>> def main():
    ...     g = gort.go(gort.Chan().recv)
    ...     gort.gosched()
    ...     return goroutines(leaked=True) == [g]
    >>> gort.run(main)
    True
    """
    return _gort._runtime_goroutines(leaked)


def stack(all: bool = False) -> str:  # noqa: A002  Go's name
    """The caller's stack in Go's traceback format, or with ``all`` every goroutine's."""
    return _gort._runtime_stacks() if all else current().stack()


def version() -> str:
    """The version of gort, as ``"gort0.1.0"``."""
    from . import __version__

    return f"gort{__version__}"


def set_max_threads(n: int) -> int:
    """How many OS threads may run goroutines (10,000); returns the former limit.

    When one more is needed the process ends with status 2 and Go's text: a program that needs so many threads is broken, and this keeps it from
    taking the machine down. ValueError for ``n < 1``.
    """
    return _gort._set_max_threads(n)


def num_threads() -> int:
    """OS threads that run goroutines, plain threads that use gort included."""
    return _gort._runtime_num_threads()
