"""What is counted: the Python files below some folders, and the identifiers in one of them. No goroutine in here."""

from __future__ import annotations

import io
import os
import stat
import sysconfig
import tokenize
from collections.abc import Callable, Iterator
from keyword import iskeyword
from typing import NamedTuple

_NOT_LIBRARY = frozenset({"site-packages", "dist-packages"})


class Problem(NamedTuple):
    """A file or folder that is not counted. ``unreadable``: the system refused it; else it is not Python source."""

    path: str
    text: str
    unreadable: bool


class NotSource(ValueError):
    """The bytes are no Python source; the text says why."""


def standard_library() -> str:
    """The folder of the running interpreter's standard library."""
    return sysconfig.get_path("stdlib")


def walk(roots: list[str], limit: int | None, report: Callable[[Problem], None]) -> Iterator[str]:
    """The path of every .py file below the roots, in order; at most ``limit``. Installed packages do not count. Blocks on the disk."""
    left = limit if limit is not None else -1
    for root in roots:
        if os.path.isdir(root):
            paths = _below(root, report)
        elif os.path.lexists(root):
            paths = iter([root])
        else:
            report(Problem(root, "no such directory", True))
            continue
        for path in paths:
            if left == 0:
                return
            left -= 1
            yield path


def _below(root: str, report: Callable[[Problem], None]) -> Iterator[str]:
    def refused(error: OSError) -> None:
        report(Problem(str(error.filename), f"cannot be read: {error.strerror}", True))

    for folder, folders, files in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if name not in _NOT_LIBRARY and name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.join(folder, name)


def read(path: str) -> bytes:
    """The file's bytes. Blocks. OSError if the system refuses, or if it is no regular file (a pipe would block for ever)."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(0, "is not a regular file", path)
    with open(path, "rb", buffering=0) as file:
        return file.read()


def identifiers(data: bytes) -> list[str]:
    """Every identifier of a source file, as often as it occurs, keywords left out. NotSource if it has no tokens."""
    zero = data.find(b"\0")
    if zero >= 0:
        raise NotSource(f"is a binary file (a zero byte at offset {zero})")
    try:
        return [
            token.string
            for token in tokenize.tokenize(io.BytesIO(data).readline)
            if token.type == tokenize.NAME and not iskeyword(token.string)
        ]
    except (SyntaxError, tokenize.TokenError, UnicodeDecodeError) as error:
        raise NotSource(f"is not Python source: {error.args[0] if error.args else error}") from None


def problem_of(path: str, error: OSError | NotSource) -> Problem:
    if isinstance(error, OSError):
        return Problem(path, f"cannot be read: {error.strerror or error}", True)
    return Problem(path, f"left out: it {error}", False)
