"""Go's sync.Map before 1.24: a read-only dict beside a dirty one with a lock (Bryan C. Mills, 2017).

An entry is shared by both dicts, so a value is changed without the lock in either. Keys that are only in the dirty dict cost the lock and count a miss;
when there have been as many misses as the dirty dict has keys, it becomes the read-only one (promotion), and the next new key makes a copy of that. So it is
fast where keys are written once and read often, and slow where new keys keep coming: what the hash trie of ``gort.Map`` does better.

Invariants, when the lock is free:
- The read-only dict is never changed; only a new one, with ``amended``, takes its place, under the lock.
- ``dirty`` is None, or has every entry of the read-only dict that is not EXPUNGED. amended says that it has more.
- An entry is EXPUNGED only if it is in the read-only dict and not in dirty. It takes no value before it is in dirty again, which is done under the lock.

As in Go, keys are compared while the lock is held, so ``__eq__`` of a key must not use the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from .._final import Final
from .._gort import Mutex
from ..atomic import Pointer
from ..errors import PanicError

K = TypeVar("K")
V = TypeVar("V")


class _Mark:
    __slots__ = ()


_DELETED = _Mark()  # no value; may get one again
_EXPUNGED = _Mark()  # no value, and not in the dirty dict


class _Entry:
    """A key's value, or one of the marks."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value: Pointer[Any] = Pointer(value)

    def load(self) -> tuple[Any, bool]:
        value = self.value.load()
        return (None, False) if value is _DELETED or value is _EXPUNGED else (value, True)

    def try_swap(self, value: Any) -> tuple[Any, bool]:
        """What was there; False with nothing done if it is expunged."""
        while True:
            old = self.value.load()
            if old is _EXPUNGED:
                return None, False
            if self.value.compare_and_swap(old, value):
                return old, True

    def unexpunge(self) -> bool:
        return self.value.compare_and_swap(_EXPUNGED, _DELETED)

    def try_expunge(self) -> bool:
        return self.value.compare_and_swap(_DELETED, _EXPUNGED) or self.value.load() is _EXPUNGED

    def try_load_or_store(self, value: Any) -> tuple[Any, bool] | None:
        """The value and whether it was there before; None if it is expunged."""
        while True:
            old = self.value.load()
            if old is _EXPUNGED:
                return None
            if old is not _DELETED:
                return old, True
            if self.value.compare_and_swap(_DELETED, value):
                return value, False

    def take(self) -> tuple[Any, bool]:
        """Deletes the value and gives it."""
        while True:
            old = self.value.load()
            if old is _DELETED or old is _EXPUNGED:
                return None, False
            if self.value.compare_and_swap(old, _DELETED):
                return old, True

    def exchange_if(self, old: Any, new: Any) -> bool:
        while True:
            value = self.value.load()
            if value is _DELETED or value is _EXPUNGED or not (value is old or value == old):
                return False
            if self.value.compare_and_swap(value, new):
                return True


class _ReadOnly(NamedTuple):
    entries: dict[Any, _Entry]
    amended: bool


class ReadDirtyStats(NamedTuple):
    """What a ReadDirtyMap has in its two dicts and has done."""

    read: int  # keys of the read-only dict, deleted ones too
    dirty: int  # keys of the dirty dict; 0: there is none
    misses: int  # since the last promotion
    promotions: int


class ReadDirtyMap(Final, Generic[K, V]):
    """A map with the methods of ``gort.Map``, built as Go's was before 1.24; ``stats()`` shows what it does.

    Every method may be called from goroutines and plain threads, and may park while another one holds the lock. PanicError for keys without a hash.

    >>> from gort.lab import ReadDirtyMap
    >>> m = ReadDirtyMap()
    >>> m.store("a", 1), m.store("b", 2)
    (None, None)
    >>> m.stats()
    ReadDirtyStats(read=0, dirty=2, misses=0, promotions=0)
    >>> m.load("a"), m.load("b"), m.stats()
    ((1, True), (2, True), ReadDirtyStats(read=2, dirty=0, misses=0, promotions=1))
    """

    __slots__ = ("_dirty", "_lock", "_misses", "_promotions", "_read")

    def __init__(self) -> None:
        self._lock = Mutex()
        self._read: Pointer[_ReadOnly] = Pointer(_ReadOnly({}, False))
        self._dirty: dict[Any, _Entry] | None = None
        self._misses = 0
        self._promotions = 0

    def load(self, k: K, /) -> tuple[V | None, bool]:
        """The value of k and True, or (None, False)."""
        entry = self._find(k)
        return (None, False) if entry is None else entry.load()

    def store(self, k: K, v: V, /) -> None:
        """Give k the value v."""
        self.swap(k, v)

    def swap(self, k: K, v: V, /) -> tuple[V | None, bool]:
        """Give k the value v; the one before and True, or (None, False)."""
        entry = self._readable().entries.get(_hashable(k))
        if entry is not None:
            old, done = entry.try_swap(v)
            if done:
                return _present(old)
        with self._lock:
            entry = self._writable(k)
            if entry is None:
                self._add(k, v)
                return None, False
            return _present(entry.try_swap(v)[0])

    def load_or_store(self, k: K, v: V, /) -> tuple[V, bool]:
        """The value of k and True; if it has none it gets v: v and False."""
        entry = self._readable().entries.get(_hashable(k))
        if entry is not None:
            found = entry.try_load_or_store(v)
            if found is not None:
                return found
        with self._lock:
            entry = self._writable(k, counts=True)
            found = None if entry is None else entry.try_load_or_store(v)
            if found is not None:
                return found
            self._add(k, v)
            return v, False

    def load_and_delete(self, k: K, /) -> tuple[V | None, bool]:
        """Take k out: its value and True, or (None, False)."""
        read = self._readable()
        entry = read.entries.get(_hashable(k))
        if entry is None and read.amended:
            with self._lock:
                read = self._readable()
                entry = read.entries.get(k)
                if entry is None and read.amended and self._dirty is not None:
                    entry = self._dirty.pop(k, None)
                    self._missed()
        return (None, False) if entry is None else entry.take()

    def delete(self, k: K, /) -> None:
        """Take k out, if it is there."""
        self.load_and_delete(k)

    def compare_and_swap(self, k: K, old: object, new: V, /) -> bool:
        """Give k the value new if it has the value old; tells whether it had."""
        entry = self._find(k)
        return entry is not None and entry.exchange_if(old, new)

    def compare_and_delete(self, k: K, old: object, /) -> bool:
        """Take k out if it has the value old; tells whether it had."""
        entry = self._find(k)
        return entry is not None and entry.exchange_if(old, _DELETED)

    def clear(self) -> None:
        """Take everything out."""
        with self._lock:
            self._read.store(_ReadOnly({}, False))
            self._dirty = None
            self._misses = 0

    def range(self) -> Iterator[tuple[K, V]]:
        """The keys and values: no key twice; what changes meanwhile may be seen or not. Promotes the dirty dict, as it looks at everything anyway."""
        read = self._readable()
        if read.amended:
            with self._lock:
                read = self._readable()
                if read.amended:
                    read = self._promote()
        for k, entry in read.entries.items():
            value, ok = entry.load()
            if ok:
                yield k, value

    def stats(self) -> ReadDirtyStats:
        """What is in it, and what it has done so far."""
        with self._lock:
            return ReadDirtyStats(len(self._readable().entries), len(self._dirty or ()), self._misses, self._promotions)

    def _readable(self) -> _ReadOnly:
        read = self._read.load()
        assert read is not None
        return read

    def _find(self, k: Any) -> _Entry | None:
        read = self._readable()
        entry = read.entries.get(_hashable(k))
        if entry is None and read.amended:
            with self._lock:
                read = self._readable()
                entry = read.entries.get(k)  # it may have been promoted meanwhile
                if entry is None and read.amended and self._dirty is not None:
                    entry = self._dirty.get(k)
                    self._missed()
        return entry

    # --- under the lock

    def _writable(self, k: Any, counts: bool = False) -> _Entry | None:
        """The entry of k, which may take a value; None if there is none."""
        entry = self._readable().entries.get(k)
        if entry is not None:
            if entry.unexpunge():
                assert self._dirty is not None
                self._dirty[k] = entry
            return entry
        entry = None if self._dirty is None else self._dirty.get(k)
        if entry is not None and counts:
            self._missed()
        return entry

    def _add(self, k: Any, v: Any) -> None:
        read = self._readable()
        if not read.amended:
            if self._dirty is None:
                self._dirty = {key: entry for key, entry in read.entries.items() if not entry.try_expunge()}
            self._read.store(_ReadOnly(read.entries, True))
        assert self._dirty is not None
        self._dirty[k] = _Entry(v)

    def _missed(self) -> None:
        self._misses += 1
        if self._dirty is not None and self._misses >= len(self._dirty):
            self._promote()

    def _promote(self) -> _ReadOnly:
        read = _ReadOnly(self._dirty or {}, False)
        self._read.store(read)
        self._dirty = None
        self._misses = 0
        self._promotions += 1
        return read


def _hashable(k: Any) -> Any:
    try:
        hash(k)
    except TypeError:
        raise PanicError(f"runtime error: hash of unhashable type {type(k).__name__}") from None
    return k


def _present(old: Any) -> tuple[Any, bool]:
    return (None, False) if old is _DELETED else (old, True)
