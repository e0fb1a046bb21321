"""``gort doctor``: what this interpreter and machine give gort, and what is wrong with it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import sysconfig
from typing import Any

from . import _gort, _settings


def add_parser(commands: Any) -> None:
    """Add the command to the parser of ``gort``."""
    parser = commands.add_parser(
        "doctor",
        help="say what this interpreter and machine give gort",
        description="Says what this interpreter and machine give gort. Exit status 1 if something makes it slower or less fair than it can be.",
    )
    parser.set_defaults(run=run)


def findings() -> tuple[list[tuple[str, str]], list[str]]:
    """What there is, as (name, text) rows, and what is wrong."""
    from . import __version__, gomaxprocs, num_cpu

    public = _gort._why_public_swap()
    rows = [
        ("gort", __version__),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}{getattr(sys, 'abiflags', '')} ({sys.executable})"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("processors", f"GOMAXPROCS={gomaxprocs()} of {num_cpu()}"),
        ("switch of thread states", f"PyThreadState_Swap: {public}" if public else "direct"),
        ("settings", " ".join(f"{name}={os.environ[name]}" for name in _settings.VARIABLES if name in os.environ) or "none"),
    ]
    problems = []
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        if not sys._is_gil_enabled():
            rows.append(("GIL", "off: Python goroutines run in parallel"))
        elif sys.version_info >= (3, 15):
            problems.append("the GIL is on, though this build could do without: gort needs it there")
        else:
            problems.append("the GIL is on, though this build and gort can do without: PYTHON_GIL, -X gil or another module asked for it")
    if public and _settings.swap_matters():
        problems.append(_settings.SLOW_SWITCH.format(public))
    return rows, problems


def run(_arguments: argparse.Namespace) -> int:
    """Print the findings."""
    rows, problems = findings()
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:{width}}  {text}")
    for problem in problems:
        print(f"problem: {problem}")
    return 1 if problems else 0
