"""Objects of the managed heap: structs of scalars and pointers that the concurrent collector looks after.

>>> from gort import heap
>>> Node = heap.struct("Node", value=heap.i64, next=heap.ptr("Node"))
>>> a = heap.new(Node, value=1)
>>> a.next = heap.new(Node, value=2)
>>> a.next.value
2
>>> a.value = "x"
Traceback (most recent call last):
  ...
TypeError: Node.value (i64) must be an int, got str

A handle keeps its object alive, and everything that can be reached from it. Native goroutines (C++) work on the same heap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from . import _gort
from ._gort import Handle

__all__ = [
    "Handle", "MemStats", "ObjectInfo", "SizeClass", "bool", "f32", "f64", "i8", "i16", "i32", "i64", "new", "of", "ptr",
    "size_class", "stats", "struct", "u8", "u16", "u32", "u64",
]  # fmt: skip

i8 = _gort._heap_i8
i16 = _gort._heap_i16
i32 = _gort._heap_i32
i64 = _gort._heap_i64
u8 = _gort._heap_u8
u16 = _gort._heap_u16
u32 = _gort._heap_u32
u64 = _gort._heap_u64
f32 = _gort._heap_f32
f64 = _gort._heap_f64
bool = _gort._heap_bool  # noqa: A001  the types have Go's names

new = _gort._heap_new


def struct(name: str, /, **fields: Any) -> Any:
    """Define a struct type. Fields lie in the order given, each aligned to its size.

    A field's type is ``i8`` ... ``u64``, ``f32``, ``f64``, ``bool`` or ``ptr(T)``. Types live as long as the process.
    TypeError for a field of another type, ValueError for an empty name. Does not park.
    """
    return _gort._heap_struct(name, **fields)


def ptr(target: Any, /) -> Any:
    """The type of a field that points to an object of the struct ``target``, or is None.

    Inside the definition of a struct its own name stands for it: ``ptr("Node")``.
    """
    return _gort._heap_ptr(target)


class MemStats(NamedTuple):
    """The heap in numbers, by Go's names (``runtime.MemStats``); bytes unless said otherwise.

    ``sys == heap_sys + mspan_sys + mcache_sys + gc_sys + other_sys``, ``heap_sys == heap_inuse + heap_idle``,
    ``heap_objects == mallocs - frees``.
    """

    alloc: int
    total_alloc: int
    sys: int
    mallocs: int
    frees: int
    heap_alloc: int
    heap_sys: int
    heap_idle: int
    heap_inuse: int
    heap_released: int
    heap_objects: int
    mspan_inuse: int
    mspan_sys: int
    mcache_inuse: int
    mcache_sys: int
    gc_sys: int
    other_sys: int
    next_gc: int
    last_gc: int  # ns since 1970, 0: none yet
    pause_total_ns: int
    pause_ns: list[int]  # ring, the newest at (num_gc + 255) % 256
    pause_end: list[int]  # ns since 1970
    num_gc: int
    num_forced_gc: int
    gc_cpu_fraction: float
    enable_gc: Any
    handles: int  # objects that handles root
    by_size: list[tuple[int, int, int]]  # (slot size, mallocs, frees) for each size class; size 0: large objects

    def __repr__(self) -> str:
        return (
            f"<MemStats alloc={self.alloc} objects={self.heap_objects} sys={self.sys} next_gc={self.next_gc} num_gc={self.num_gc}>"
        )


def stats() -> MemStats:
    """The heap's numbers, summed in a stopped world. Does not park."""
    return MemStats(**_gort._heap_stats())


class SizeClass(NamedTuple):
    """Where objects of some size go. ``number`` 0: a span of their own. Sizes in bytes."""

    number: int
    size: int
    pages: int
    objects: int


def size_class(n: int, /) -> SizeClass:
    """The size class of an object of ``n`` bytes, by Go's table.

    >>> from gort import heap
    >>> heap.size_class(33)
    SizeClass(number=5, size=48, pages=1, objects=170)
    """
    return SizeClass(*_gort._heap_size_class(n))


class ObjectInfo(NamedTuple):
    """What ``of`` tells about an object. ``layout`` says where its pointer map is: bits, header, large; noscan and tiny have none."""

    type: Any
    address: int
    size: int
    slot_size: int
    size_class: int
    noscan: Any
    layout: str


def of(handle: Handle, /) -> ObjectInfo:
    """Where the object lies: address, slot, size class. Objects do not move."""
    return ObjectInfo(**_gort._heap_of(handle))
