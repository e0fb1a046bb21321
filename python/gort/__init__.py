"""Go's runtime for Python: goroutines, channels, select, context, sync, timers and a collected heap."""

from __future__ import annotations

import atexit
import os
import sys
import threading  # first imported here, on the main thread, so that no goroutine's thread becomes "main"
import traceback

from . import _gort
from ._gort import Goroutine, current, go, goexit, gomaxprocs, gosched, num_cpu, num_goroutine, run, sleep
from .errors import Deadlock, FatalError, GoExit, GortError, Panic, PanicError

__version__ = "0.1.0"


def panichook(goroutine: Goroutine, error: BaseException) -> None:
    """Report an exception that left a goroutine outside run(): Go's report on stderr. Replace it to do something else."""
    print(f"panic: {error}\n\n{goroutine!r}", file=sys.stderr)
    traceback.print_exception(error, file=sys.stderr)


atexit.register(_gort._close)
os.register_at_fork(after_in_child=_gort._after_fork)
