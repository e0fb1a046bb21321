"""The end of a child process that a goroutine forked."""

from __future__ import annotations

import atexit
import sys
import threading

from .errors import GoExit


def end_child(error: BaseException | None) -> int:
    """Do what the interpreter does when the main thread ends, and return the exit status.

    Its own way is closed to us: 3.13 finalises with the thread state that the process began with, which is the parent's only.
    """
    status = 0
    if isinstance(error, SystemExit):
        if isinstance(error.code, int):
            status = error.code
        elif error.code is not None:
            print(error.code, file=sys.stderr)
            status = 1
    elif error is not None and not isinstance(error, GoExit):
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    return status & 0xFF
