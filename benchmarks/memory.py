"""Resident memory of this process, for the case parked."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.protocol import Answer

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """The resident set size in bytes; None where the system has no /proc/self/statm."""
    if not _STATM.exists():
        return None
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parked_answer(elapsed_ns: int, before: int | None, parked: int | None, count: int) -> Answer:
    """The answer of the case parked: nanoseconds each, and bytes each between the two readings of resident_bytes()."""
    extra = {} if before is None or parked is None else {"bytes_each": (parked - before) / count}
    return Answer(elapsed_ns / count, "ns", extra)
