"""The environment's settings, read once by ``import gort``.

``GOMAXPROCS=n``
    How many native goroutines run at once, as ``gort.gomaxprocs(n)``.
``GORT_SEED=n``
    The seed of every ``gort.run`` that is given none.
``GORT_DEBUG=name=value,...``
    In Go's syntax. ``rawswap=0``: goroutines are switched with CPython's public function only (slower on 3.12 and later).
    ``schedtrace=N``: Go's line about the scheduler on standard error every N milliseconds while there are goroutines
    (``gort.sched.trace``); ``scheddetail=1``: with a line for each P, M and G. ``latency=1``: ``gort.sched.stats().latency`` is measured all the
    time.
    ``lockcheck=1``: faults in the use of locks are warned of (``gort.sync.check``).
    ``containermaxprocs=0``: the default of GOMAXPROCS is the number of CPUs of the process, whatever the quota of its control group;
    ``updatemaxprocs=0``: it does not change when those do.
    ``sigquit=1``: SIGQUIT prints every goroutine and ends the process with status 2, as Go's does (``gort.signal.dump_on``).

What is unknown or malformed is named in one RuntimeWarning and ignored.
"""

from __future__ import annotations

import sys

from . import _gort

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the time to import typing
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _number(name: str, least: int, most: int, use: Callable[[int], object]) -> Callable[[str], str | None]:
    def take(text: str) -> str | None:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            return f"{name}={text} (an int from {least} to {most} is needed)"
        use(value)
        return None

    return take


class _Trace:
    """schedtrace and scheddetail, which come in either order."""

    period = 0
    detail = 0

    @classmethod
    def set(cls, name: str) -> Callable[[int], None]:
        def use(value: int) -> None:
            setattr(cls, name, value)
            _gort._sched_trace_every(cls.period / 1e3, bool(cls.detail), False)

        return use


class _Cpus:
    """containermaxprocs and updatemaxprocs, which come in either order."""

    container = True
    update = True

    @classmethod
    def set(cls, name: str) -> Callable[[int], None]:
        def use(value: int) -> None:
            setattr(cls, name, bool(value))
            _gort._follow_cpus(cls.container, cls.update)

        return use


def _check_locks(on: int) -> None:
    if on:
        from .sync import check

        check()


_DEBUG = {
    "containermaxprocs": _number("containermaxprocs", 0, 1, _Cpus.set("container")),
    "latency": _number("latency", 0, 1, lambda on: _gort._latency_start() if on else None),
    "lockcheck": _number("lockcheck", 0, 1, _check_locks),
    "rawswap": _number("rawswap", 0, 1, lambda on: None if on else _gort._use_public_swap()),
    "scheddetail": _number("scheddetail", 0, 1, _Trace.set("detail")),
    "schedtrace": _number("schedtrace", 0, 10**9, _Trace.set("period")),
    "sigquit": _number("sigquit", 0, 1, lambda on: _gort._signal_dump_on(1 << 3 - 1, True) if on else None),  # SIGQUIT is 3 everywhere
    "updatemaxprocs": _number("updatemaxprocs", 0, 1, _Cpus.set("update")),
}


def _debug(text: str) -> str | None:
    problems = []
    for item in text.split(","):
        name, _, value = item.partition("=")
        if name in _DEBUG:
            problems.append(_DEBUG[name](value))
        elif item:
            problems.append(f"{item} (one of {', '.join(_DEBUG)} is needed)")
    named = ", ".join(filter(None, problems))
    return f"GORT_DEBUG: {named}" if named else None


VARIABLES = {
    "GOMAXPROCS": _number("GOMAXPROCS", 1, 1024, _gort.gomaxprocs),
    "GORT_SEED": _number("GORT_SEED", -(2**63), 2**63 - 1, _gort._set_default_seed),
    "GORT_DEBUG": _debug,
}


SLOW_SWITCH = (
    "goroutines are switched with PyThreadState_Swap ({}): slower, and they lose most of their turns beside a thread that computes"
)


def swap_matters() -> bool:
    """Whether the public function does more on this interpreter than a switch needs: it gives the GIL away."""
    return sys.version_info >= (3, 12)


def apply(environment: Mapping[str, str]) -> None:
    """Take the settings from the environment."""
    problems = [take(text) for name, take in VARIABLES.items() if (text := environment.get(name))]
    if named := "; ".join(filter(None, problems)):
        import warnings

        warnings.warn(f"gort ignores settings of the environment: {named}", RuntimeWarning, stacklevel=3)
    # On a free-threaded build CPython itself warns, of the GIL that gort brings back.
    if (why := _gort._why_public_swap()) and swap_matters() and not why.startswith(("GORT_DEBUG", "free-threaded")):
        import warnings

        warnings.warn(f"gort: {SLOW_SWITCH.format(why)}", RuntimeWarning, stacklevel=3)
