"""The ABA problem and its classic solution, in the smallest structure that has it: a free list of numbered slots (Treiber, 1986).

``take`` reads the head A and what comes after it, B, and then makes B the head if A still is. Meanwhile somebody may have taken A and B, and given A back:
the head is A again, so the exchange succeeds, and B is the head although it belongs to somebody. IBM's System/370 manual (1983) has the problem and the
solution: with the head is exchanged a version that every change counts up, so that an A that has come back is another A.

Where memory is collected, a reference that somebody holds cannot come back as another object, and the problem is gone for pointers; it stays for indices
and for nodes that the program itself uses again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gort

from .._checks import whole
from .._final import Final
from ..atomic import Uint64

_SLOT = (1 << 32) - 1  # the lower half of the head is a slot, or this: none
_VERSION = 1 << 32


class FreeList(Final):
    """A lock-free list of the free ones among ``slots`` numbered slots; at first all are.

    versioned=False: the head is a slot and nothing else, and a slot may get two owners. ``pause`` is called between the look at the head and the exchange:
    where in a faster program a thread may lose its CPU. Every method may be called from goroutines and plain threads; none parks, but for what pause does.

    >>> from gort.lab import FreeList
    >>> free = FreeList(2)
    >>> free.take(), free.take(), free.take()
    (0, 1, None)
    >>> free.give(0)
    >>> free.take()
    0
    """

    __slots__ = ("_head", "_next", "_pause", "_version")

    def __init__(self, slots: int, *, versioned: bool = True, pause: Callable[[], object] = gort.gosched) -> None:
        slots = whole("FreeList", "slots", slots, 0)
        if slots >= _SLOT:
            raise ValueError(f"FreeList: slots must be less than {_SLOT}, got {slots}")
        self._next = [*range(1, slots), _SLOT] if slots else []
        self._head = Uint64(0 if slots else _SLOT)
        self._version = _VERSION if versioned else 0
        self._pause = pause

    def take(self) -> int | None:
        """Take a free slot; None if there is none."""
        while True:
            head = self._head.load()
            slot = head & _SLOT
            if slot == _SLOT:
                return None
            after = self._next[slot]
            self._pause()
            if self._head.compare_and_swap(head, self._with(head, after)):
                return slot

    def give(self, slot: int) -> None:
        """Give a slot back. REQUIRES: the caller has it from take."""
        if not 0 <= slot < len(self._next):
            raise ValueError(f"give: slot must be from 0 to {len(self._next) - 1}, got {slot!r}")
        while True:
            head = self._head.load()
            self._next[slot] = head & _SLOT
            self._pause()
            if self._head.compare_and_swap(head, self._with(head, slot)):
                return

    def _with(self, head: int, slot: int) -> int:
        return ((head & ~_SLOT) + self._version) & ((1 << 64) - 1) | slot

    def __repr__(self) -> str:
        head = self._head.load()
        first = "none" if head & _SLOT == _SLOT else head & _SLOT
        return f"<FreeList of {len(self._next)}, first {first}, version {head >> 32}>"


def double_owner(*, versioned: bool, seeds: Iterable[int] = range(1, 1000), goroutines: int = 3, rounds: int = 4) -> int | None:
    """The first seed with whose schedule a slot of a FreeList has two owners at once; None if there is none. The same seed shows it again.

    Each goroutine takes two slots and gives them back, ``rounds`` times. Calls ``gort.run``, so not to be called inside one.

    >>> from gort.lab import double_owner
    >>> double_owner(versioned=False) is None
    False
    >>> double_owner(versioned=True, seeds=range(1, 100)) is None
    True
    """

    def main() -> bool:
        free = FreeList(2 * goroutines, versioned=versioned)
        owned: set[int] = set()
        doubled = False

        def work() -> None:
            nonlocal doubled
            for _ in range(rounds):
                mine = []
                for _ in range(2):
                    slot = free.take()
                    if slot is None:
                        continue
                    doubled = doubled or slot in owned
                    owned.add(slot)
                    mine.append(slot)
                    gort.gosched()
                if doubled:
                    return  # the list may be a ring by now
                for slot in mine:
                    owned.discard(slot)
                    free.give(slot)

        group = gort.WaitGroup()
        for _ in range(goroutines):
            group.go(work)
        group.wait()
        return doubled

    return next((seed for seed in seeds if gort.run(main, seed=seed)), None)
