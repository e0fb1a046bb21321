"""The memory of another process, and the symbols of its libraries."""

from __future__ import annotations

import os
import struct
from typing import Iterator, Optional


class Unreadable(Exception):
    """There is no memory at that address (any more)."""


class Refused(Exception):
    """The process cannot be looked into; the text says why and what to do."""


class Ended(Refused):
    """The process has ended, or runs another program now."""


def _why_not(pid: int) -> str:
    try:
        owner = os.stat("/proc/%d" % pid).st_uid
    except OSError:
        return "no process %d" % pid
    if owner != os.geteuid():
        return "process %d belongs to user %d: only that user or root may read its memory" % (pid, owner)
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope") as scope:
            setting = scope.read().strip()
    except OSError:
        setting = "0"
    if setting != "0":
        return (
            "process %d may not be read: /proc/sys/kernel/yama/ptrace_scope is %s, which leaves it to root; "
            "run this as root, or set it to 0" % (pid, setting)
        )
    return "process %d may not be read: it lets nobody but root do that (prctl PR_SET_DUMPABLE, or capabilities)" % pid


class Process:
    """The memory of a running process.

    REQUIRES for opening it the permission to trace the process: the same user, or root. ``Refused`` says what is missing.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            with open("/proc/%d/maps" % pid) as maps:
                self._maps = maps.read()
            self._memory = os.open("/proc/%d/mem" % pid, os.O_RDONLY | os.O_CLOEXEC)
        except PermissionError:
            raise Refused(_why_not(pid)) from None
        except (FileNotFoundError, ProcessLookupError):
            left = os.path.exists("/proc/%d" % pid)
            text = "process %d has no memory: it has ended, or is a part of the kernel" if left else "no process %d"
            raise Refused(text % pid) from None

    def close(self) -> None:
        os.close(self._memory)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes from ``address``. ``Unreadable``, or ``Ended`` once the process has."""
        try:
            data = os.pread(self._memory, size, address)
        except (OSError, OverflowError, ValueError, MemoryError):
            raise Unreadable(hex(address)) from None
        if size and not data:
            raise Ended("process %d has ended" % self.pid)
        if len(data) < size:
            raise Unreadable(hex(address + len(data)))
        return data

    def symbols(self, library: str, name: str) -> Iterator[int]:
        """Addresses of a symbol in each loaded library whose file name begins with ``library``."""
        for base in self._loaded(library):
            try:
                address = symbol(self, base, name)
            except Unreadable:
                continue
            if address is not None:
                yield address

    def has(self, library: str) -> bool:
        return any(True for _ in self._loaded(library))

    def _loaded(self, library: str) -> Iterator[int]:
        for line in self._maps.splitlines():
            span, _, offset, _, _, *path = line.split(maxsplit=5)
            if path and int(offset, 16) == 0 and os.path.basename(path[0]).startswith(library):
                yield int(span.split("-")[0], 16)


# --- ELF, 64-bit, little-endian: the dynamic symbol table as it lies in memory

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_STRTAB, _DT_SYMTAB, _DT_GNU_HASH = 5, 6, 0x6FFFFEF5


def _gnu_hash(name: bytes) -> int:
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def symbol(memory: Process, base: int, name: str) -> Optional[int]:
    """The address of an exported symbol of the library whose first page is at ``base``; None if it has no such symbol."""
    header = memory.read(base, 64)
    if header[:6] != b"\x7fELF\x02\x01":
        return None
    table, size, count = struct.unpack_from("<Q", header, 32)[0], *struct.unpack_from("<HH", header, 54)
    dynamic = load = None
    for i in range(count):
        kind, _, _, address, _, _, length, _ = struct.unpack("<IIQQQQQQ", memory.read(base + table + i * size, 56))
        if kind == _PT_LOAD and load is None:
            load = base - address
        if kind == _PT_DYNAMIC:
            dynamic = (address, length)
    if dynamic is None or load is None:
        return None
    found = {}
    for tag, value in struct.iter_unpack("<QQ", memory.read(load + dynamic[0], min(dynamic[1], 1 << 16) & ~15)):
        found[tag] = value if value >= load else load + value  # most C libraries make them absolute when they load the library
    if not all(tag in found for tag in (_DT_STRTAB, _DT_SYMTAB, _DT_GNU_HASH)):
        return None

    wanted = name.encode()
    wanted_hash = _gnu_hash(wanted)
    buckets, first, bloom, _ = struct.unpack("<IIII", memory.read(found[_DT_GNU_HASH], 16))
    at = found[_DT_GNU_HASH] + 16 + 8 * bloom
    if not buckets:
        return None
    index = struct.unpack("<I", memory.read(at + 4 * (wanted_hash % buckets), 4))[0]
    if index < first:
        return None
    for index in range(index, index + 100000):
        found_hash = struct.unpack("<I", memory.read(at + 4 * buckets + 4 * (index - first), 4))[0]
        if found_hash | 1 == wanted_hash | 1:
            text, _, _, _, value, _ = struct.unpack("<IBBHQQ", memory.read(found[_DT_SYMTAB] + 24 * index, 24))
            if memory.read(found[_DT_STRTAB] + text, len(wanted) + 1) == wanted + b"\0":
                return load + value
        if found_hash & 1:
            return None
    return None
