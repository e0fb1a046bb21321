"""Go's runtime for Python: goroutines, channels, select, context, sync, timers and a collected heap."""

from __future__ import annotations

import atexit
import importlib
import os
import threading  # first imported here, on the main thread, so that no goroutine's thread becomes "main"

from . import _gort, _settings
from ._build import get_cmake_dir, get_include
from ._gort import (
    Chan,
    ChanStats,
    Cond,
    Goroutine,
    Map,
    Mutex,
    Once,
    Pool,
    RWMutex,
    Selected,
    Ticker,
    Timer,
    WaitGroup,
    after,
    after_func,
    current,
    go,
    go_native,
    goexit,
    gomaxprocs,
    gosched,
    nil_chan,
    num_cpu,
    num_goroutine,
    recv,
    run,
    select,
    send,
    sleep,
    tick,
    unlock_os_thread,
)
from ._defer import defer, func, panic, recover
from ._os_thread import lock_os_thread
from ._report import panichook
from .errors import Deadlock, FatalError, GoExit, GortError, Panic, PanicError

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the time to import typing
if TYPE_CHECKING:
    from typing import Any

    from . import aio, atomic, contention, context, gc, heap, runtime, sched, signal, sync
    from ._executor import Executor
    from ._worker_pool import WorkerPool
    from .sync import Group, Limiter, Semaphore, SingleFlight

__version__ = "0.1.0"
_C_API = _gort._C_API  # PyCapsule_Import("gort._C_API"): gort/python/c_api.h
__all__ = [
    "Chan", "ChanStats", "Cond", "Deadlock", "Executor", "FatalError", "GoExit", "Goroutine", "GortError", "Group", "Limiter", "Map", "Mutex",
    "Once", "Panic",
    "PanicError", "Pool", "RWMutex", "Selected", "Semaphore", "SingleFlight", "Ticker", "Timer", "WaitGroup", "WorkerPool", "after",
    "after_func", "aio", "atomic", "contention", "context", "current", "defer", "func", "gc", "get_cmake_dir", "get_include", "go", "go_native",
    "goexit", "gomaxprocs", "gosched", "heap", "lock_os_thread", "nil_chan", "num_cpu", "num_goroutine", "panic", "panichook", "recover",
    "recv", "run", "runtime", "sched", "select", "send", "signal", "sleep", "sync", "tick", "unlock_os_thread",
]  # fmt: skip


_SUBMODULES = frozenset({"aio", "atomic", "contention", "context", "gc", "heap", "runtime", "sched", "signal", "sync"})
_FROM = {
    "Executor": "_executor",
    "Group": "sync",
    "Limiter": "sync",
    "Semaphore": "sync",
    "SingleFlight": "sync",
    "WorkerPool": "_worker_pool",
}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:  # imported at first use: a program that needs none of them starts faster
        return importlib.import_module("." + name, __name__)
    if name in _FROM:
        value = globals()[name] = getattr(importlib.import_module("." + _FROM[name], __name__), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | _SUBMODULES | set(_FROM))


_settings.apply(os.environ)
atexit.register(_gort._close)
os.register_at_fork(before=_gort._before_fork, after_in_child=_gort._forked_child)
