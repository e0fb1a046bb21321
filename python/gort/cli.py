"""The command ``gort``, also ``python -m gort``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any


class _Place(argparse.Action):
    """An option that prints where a part of the package is and ends the program, as --version does."""

    def __init__(self, *, part: str, **options: Any) -> None:
        super().__init__(nargs=0, **options)
        self.part = part

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from . import _build, get_cmake_dir, get_include

        try:
            print({"include": get_include, "cmake": get_cmake_dir, "gdb": _build.get_gdb_script}[self.part]())
        except FileNotFoundError as error:
            parser.error(str(error))
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    from . import __version__, doctor
    from ._outside import ps, top
    from .demo import command

    parser = argparse.ArgumentParser(prog="gort", description="Go's runtime for Python.")
    parser.add_argument("--version", action="version", version=f"gort {__version__}")
    parser.add_argument("--include", action=_Place, part="include", help="print the folder of the C and C++ headers")
    parser.add_argument("--cmakedir", action=_Place, part="cmake", help="print the folder for CMake's gort_DIR")
    parser.add_argument("--gdb", action=_Place, part="gdb", help='print the script with commands for gdb: gdb -x "$(gort --gdb)" -p PID')
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command.add_parser(commands)
    doctor.add_parser(commands)
    ps.add_parser(commands)
    top.add_parser(commands)
    parsed = parser.parse_args(arguments)
    try:
        status = parsed.run(parsed)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
