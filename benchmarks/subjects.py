"""The subjects: programs that do the same cases, in two families that are compared among themselves."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.build import Unavailable, build_go, build_native, go_version
from benchmarks.cases import Pace

Family = Literal["compiled", "python"]


@dataclass(frozen=True)
class Subject:
    """A program that speaks the protocol of protocol.py, and the numbers of processors it is run with."""

    name: str
    family: Family
    ours: bool
    pace: Pace
    command: tuple[str, ...]
    procs: tuple[int, ...] = (1,)


def free_threaded() -> bool:
    """Whether this interpreter runs without the GIL."""
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


def _native(path: Path | None, _: Path) -> Subject:
    program = path or build_native()
    if not program.is_file():
        raise Unavailable(f"{program} does not exist")
    return Subject("gort native", "compiled", True, "compiled", (str(program.resolve()),), procs=(1, 2))


def _go(_: Path | None, directory: Path) -> Subject:
    return Subject(f"go {go_version()}", "compiled", False, "compiled", (str(build_go(directory)),), procs=(1, 2))


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.{name}")


def _require(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise Unavailable(f"{module} is not installed for {sys.executable}")


def _python(_: Path | None, __: Path) -> Subject:
    _require("gort")
    version = f"{sys.version_info.major}.{sys.version_info.minor}" + ("t" if free_threaded() else "")
    procs = (1, 2) if free_threaded() else (1,)
    return Subject(f"gort python {version}", "python", True, "gort", _module("ours_python"), procs)


def _coroutines(_: Path | None, __: Path) -> Subject:
    _require("gort")
    return Subject("gort coroutines", "python", True, "gort", _module("ours_coroutines"))


def _asyncio(_: Path | None, __: Path) -> Subject:
    return Subject("asyncio", "python", False, "asyncio", _module("peers.asyncio_peer"))


def _uvloop(_: Path | None, __: Path) -> Subject:
    _require("uvloop")
    return Subject("uvloop", "python", False, "asyncio", _module("peers.uvloop_peer"))


def _runloom(_: Path | None, __: Path) -> Subject:
    _require("runloom_c")
    return Subject("runloom", "python", False, "gort", _module("peers.runloom_peer"))


def _greenlet(_: Path | None, __: Path) -> Subject:
    _require("greenlet")
    return Subject("greenlet", "python", False, "greenlet", _module("peers.greenlet_peer"))


def _gevent(_: Path | None, __: Path) -> Subject:
    _require("gevent")
    return Subject("gevent", "python", False, "gevent", _module("peers.gevent_peer"))


def _threads(_: Path | None, __: Path) -> Subject:
    return Subject("threads", "python", False, "threads", _module("peers.threads_peer"))


_KNOWN: dict[str, Callable[[Path | None, Path], Subject]] = {
    "native": _native,
    "go": _go,
    "python": _python,
    "coroutines": _coroutines,
    "asyncio": _asyncio,
    "uvloop": _uvloop,
    "runloom": _runloom,
    "greenlet": _greenlet,
    "gevent": _gevent,
    "threads": _threads,
}
KEYS = tuple(_KNOWN)


def find(keys: list[str], native: Path | None, directory: Path) -> tuple[list[Subject], dict[str, str]]:
    """The subjects called ``keys``, and for each one that is not available the reason.

    ``native`` is the C++ program if there is one already; ``directory`` takes what has to be built for this run alone.
    """
    subjects: list[Subject] = []
    missing: dict[str, str] = {}
    for key in keys:
        try:
            subjects.append(_KNOWN[key](native, directory))
        except Unavailable as reason:
            missing[key] = str(reason)
    return subjects, missing
