"""Lock faults: orders of locking that can end in a deadlock, and waits for locks that nobody will end.

``GORT_DEBUG=lockcheck=1`` is ``check()`` at import. What is looked for, what is not, and what it costs: docs/lock_faults.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import NamedTuple

from .. import _gort
from ..contention import Frame

Hook = Callable[["LockFault"], object]


class LockFaultWarning(RuntimeWarning):
    """What ``faulthook`` warns with. ``warnings.simplefilter("error", LockFaultWarning)`` makes the faulty call raise it."""


class LockName(NamedTuple):
    """A lock in a report. ``str()`` gives "Mutex 3": locks are numbered as the check gets to know them."""

    type: str
    number: int
    address: int  #: ``id()`` of the Mutex, RWMutex (also for its rlocker) or SpinLock, for as long as that lives

    def __str__(self) -> str:
        return f"{self.type} {self.number}"


class LockStack(NamedTuple):
    """Where a goroutine did its part. ``frames`` are innermost first; () where that is not known."""

    goroutine: int
    what: str  #: "locks Mutex 1", "took Mutex 2", ...
    frames: tuple[Frame, ...]

    def __str__(self) -> str:
        """As Go prints a stack."""
        lines = "".join(f"{frame.function}(...)\n\t{frame.file}:{frame.line}\n" for frame in self.frames)
        return f"goroutine {self.goroutine} {self.what}:\n{lines or '(not known)' + chr(10)}"


class LockFault(NamedTuple):
    """One fault. ``str()`` gives the text and all stacks.

    ``kind``: "order", "re-entry", "upgrade", "recursive read", "deadlock" or "copy". ``goroutines``: the ids of those who have a part in it, the one that
    completed it first. ``stacks``: of each of them where it wants, or has once wanted, its lock (whole), and where it had taken the one that it held
    then (the four innermost frames).
    """

    kind: str
    text: str
    goroutines: tuple[int, ...]
    locks: tuple[LockName, ...]
    stacks: tuple[LockStack, ...]

    def __str__(self) -> str:
        return "\n".join([self.text + "\n", *map(str, self.stacks)]).rstrip("\n")


class check:
    """Switch the check of locks on (or off), at once; ``with`` puts back what was before at the end.

    >>> import gort, warnings
    >>> a, b = gort.Mutex(), gort.Mutex()
    >>> with gort.sync.check(hook=lambda fault: print(fault.text)) as checking:
    ...     with a, b:
    ...         pass
    ...     with b, a:  # doctest: +ELLIPSIS
    ...         pass
    lock order: goroutine ... locks Mutex 1 while it holds Mutex 2; goroutine ... has locked Mutex 2 while it held Mutex 1
    >>> [fault.kind for fault in checking.faults]
    ['order']

    Looked at are Mutex, RWMutex and its rlocker(), SpinLock, and what Cond does with them, for all goroutines and threads of the process, not C++ code's own
    locks. When it goes from off to on it knows nothing of what was before, also not which locks are held.

    ``hook(fault)`` is called with each LockFault, by the goroutine that completes it, inside the method that it has called and before that takes the lock. The
    hook may park; the locks that it uses itself are not checked. What it raises leaves that method, which has taken nothing then. Without a hook
    ``gort.sync.faulthook`` is called, which warns. A cycle of orders is reported once for the same locks, a wait once.

    ``patience``, seconds or a timedelta: goroutines that wait for each other's locks are a fault only after so long, since anybody may unlock them.
    That is noticed when others use locks, by ``look()``, and at once if the whole run is deadlocked. ``math.inf``: only then.

    ``faults`` are those that were reported while this was the present setting. TypeError or ValueError for a patience that is none. Does not park.
    """

    __slots__ = ("_before", "_leaked", "faults")

    def __init__(self, on: bool = True, *, hook: Hook | None = None, patience: float | timedelta = 1.0) -> None:
        global _present
        if hook is not None and not callable(hook):
            raise TypeError(f"check: hook must be callable or None, got {type(hook).__name__}")
        self.faults: list[LockFault] = []
        self._leaked: set[int] = set()
        was = _gort._lock_check_switch(on, patience, _report)
        self._before = (*was, _present)
        _present = (hook, self.faults)

    def look(self) -> list[LockFault]:
        """Look for deadlocks among goroutines while others still run, and report them; gives ``faults``.

        Waits for locks that have lasted as long as the patience, and, on builds with the GIL, goroutines that can never be woken from any wait
        (``gort.runtime.goroutines(leaked=True)``: a search through all objects that goroutines reach). Does not park, but the hook may.
        """
        _gort._lock_check_look()
        for goroutine in _gort._runtime_goroutines(True):
            if goroutine.id not in self._leaked:
                self._leaked.add(goroutine.id)
                text = f"goroutine {goroutine.id} waits for ever: {goroutine.wait_reason}"
                _tell(LockFault("deadlock", text, (goroutine.id,), (), (LockStack(goroutine.id, "waits", _frames(goroutine.stack())),)))
        return self.faults

    def __enter__(self) -> check:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        global _present
        on, patience, _present = self._before
        _gort._lock_check_switch(on, patience, _report)

    def __repr__(self) -> str:
        return f"<check with {len(self.faults)} fault{'' if len(self.faults) == 1 else 's'}>"


def faulthook(fault: LockFault) -> None:
    """Warn of a fault, with the line that completed it. Assign another function to ``gort.sync.faulthook`` to do something else."""
    if not isinstance(fault, LockFault):
        raise TypeError(f"faulthook: fault must be a LockFault, got {type(fault).__name__}")
    frame = next((stack.frames[0] for stack in fault.stacks if stack.frames), Frame("", "gort", 1))
    warnings.warn_explicit(str(fault), LockFaultWarning, frame.file, frame.line)


_present: tuple[Hook | None, list[LockFault]] = (None, [])


def _tell(fault: LockFault) -> None:
    hook, faults = _present
    faults.append(fault)
    if hook is None:
        from .. import sync

        hook = sync.faulthook
    hook(fault)


def _frames(stack: str) -> tuple[Frame, ...]:
    """Of what Goroutine.stack() gives: lines "function(...)" and "\\tfile:line" in turn."""
    lines = stack.splitlines()
    found = []
    for function, place in zip(lines, lines[1:]):
        file, colon, line = place.strip().rpartition(":")
        if place[:1].isspace() and colon and line.isdecimal():
            found.append(Frame(function.strip().removesuffix("(...)"), file, int(line)))
    return tuple(found)


# A use is (goroutine, held, where it was taken, wanted, where it is wanted); a lock (type, number, address, for writing), or None.
_Lock = tuple[str, int, int, bool]
_Place = tuple[str, str, int]
_Use = tuple[int, "_Lock | None", tuple[_Place, ...], _Lock, tuple[_Place, ...]]


def _report(kind: str, uses: list[_Use]) -> None:
    """Called by the bindings."""
    locks: dict[LockName, None] = {}
    stacks = []
    for i, (goroutine, held, taken, wanted, wants) in enumerate(uses):
        locks[LockName(*wanted[:3])] = None
        verb = {"copy": "copies", "order": "locks" if i == 0 else "locked"}.get(kind, "waits for")
        stacks.append(LockStack(goroutine, f"{verb} {_how(wanted)}", tuple(Frame(*place) for place in wants)))
        if held:
            locks[LockName(*held[:3])] = None
            stacks.append(LockStack(goroutine, f"took {_how(held)}", tuple(Frame(*place) for place in taken)))
    goroutines = tuple(dict.fromkeys(use[0] for use in uses))
    _tell(LockFault(kind, _TEXTS[kind](uses), goroutines, tuple(locks), tuple(stacks)))


def _how(lock: _Lock) -> str:
    name = f"{lock[0]} {lock[1]}"
    if lock[0] != "RWMutex":
        return name
    return f"{name} for {'writing' if lock[3] else 'reading'}"


def _held(use: _Use) -> str:
    return _how(use[1]) if use[1] else "nothing"


def _order(uses: list[_Use]) -> str:
    first, *others = uses
    text = f"lock order: goroutine {first[0]} locks {_how(first[3])} while it holds {_held(first)}"
    return text + "".join(f"; goroutine {use[0]} has locked {_how(use[3])} while it held {_held(use)}" for use in others)


def _deadlock(uses: list[_Use]) -> str:
    return "deadlock: " + "; ".join(f"goroutine {use[0]} waits for {_how(use[3])} and holds {_held(use)}" for use in uses)


_TEXTS: dict[str, Callable[[list[_Use]], str]] = {
    "order": _order,
    "deadlock": _deadlock,
    "re-entry": lambda uses: f"re-entry: goroutine {uses[0][0]} locks {_how(uses[0][3])}, which it holds{_difference(uses[0])}",
    "upgrade": lambda uses: f"upgrade: goroutine {uses[0][0]} locks {_how(uses[0][3])}, which it holds for reading",
    "recursive read": lambda uses: (
        f"recursive read: goroutine {uses[0][0]} locks {_how(uses[0][3])} again behind goroutine {uses[1][0]}, which waits to write"
    ),
    "copy": lambda uses: f"copies lock value: gort.{uses[0][3][0]}",  # go vet's words
}


def _difference(use: _Use) -> str:
    return f" for {'writing' if use[1][3] else 'reading'}" if use[1] and use[1][0] == "RWMutex" else ""
