"""The command ``gort``, also ``python -m gort``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    from . import __version__, doctor
    from .demo import command

    parser = argparse.ArgumentParser(prog="gort", description="Go's runtime for Python.")
    parser.add_argument("--version", action="version", version=f"gort {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command.add_parser(commands)
    doctor.add_parser(commands)
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
