"""Looking at the running program, as Go's package runtime does.

>>> from gort import runtime
>>> runtime.goroutines()[0].status
'running'
"""

from __future__ import annotations

from . import _gort
from ._gort import Goroutine, current

__all__ = ["goroutines", "num_threads", "stack", "version"]


def goroutines() -> list[Goroutine]:
    """Every Python goroutine that is alive, plain threads that use gort included. Native ones: ``gort.sched.state()``."""
    return _gort._runtime_goroutines()


def stack(all: bool = False) -> str:  # noqa: A002  Go's name
    """The caller's stack in Go's traceback format, or with ``all`` every goroutine's."""
    return _gort._runtime_stacks() if all else current().stack()


def version() -> str:
    """The version of gort, as ``"gort0.1.0"``."""
    from . import __version__

    return f"gort{__version__}"


def num_threads() -> int:
    """OS threads that run goroutines, plain threads that use gort included."""
    return _gort._runtime_num_threads()
