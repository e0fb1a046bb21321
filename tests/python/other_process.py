"""Programs for tests that look into another process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import TracebackType

HEAD = """
import ctypes, os, sys, threading, time
import gort

def ready(*values):
    print(*values, flush=True)

def until_told():
    sys.stdin.readline()
"""


class Program:
    """A Python process that has printed its first line: ``line``. Its ``until_told()`` returns after ``tell()``."""

    def __init__(self, code: str, folder: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HEAD + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        assert self.process.stdout is not None and self.process.stdin is not None
        self.pid = self.process.pid
        self.line = self.process.stdout.readline().rstrip("\n")

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Tells it, and gives its exit status."""
        self.tell()
        return self.process.wait(timeout=50)


def gort(*arguments: str, timeout: float = 50) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gort", *arguments], capture_output=True, text=True, timeout=timeout)
