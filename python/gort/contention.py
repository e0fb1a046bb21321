"""Who waited for what, and for how long.

>>> import gort
>>> from gort import contention
>>> with contention.measure() as report:
...     gort.sleep(0.001)
>>> report.rows
[]

Waits for mutexes, rwmutexes, channels, select, wait groups, conditions and semaphores count; sleep does not.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple

from . import _gort

__all__ = ["Report", "Wait", "measure"]

# Go's words for waits that are no contention.
_NOT_CONTENTION = frozenset(
    {"sleep", "GC worker (idle)", "GC sweep wait", "GC assist marking", "garbage collection", "wait for GC cycle", "finalizer wait", "preempted",
     "stopping the world", ""}
)  # fmt: skip


class Wait(NamedTuple):
    """All waits of one kind for one object. Times in seconds."""

    reason: str  # Go's words: "sync.Mutex.Lock", "chan send", ...
    object: int  # its address; 0: several objects for which there was no room, or none
    name: str
    count: int
    total: float
    max: float
    last_goroutine: int

    @property
    def mean(self) -> float:
        return self.total / self.count


def _duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


class Report:
    """The waits since ``measure()``; live inside the ``with`` block, fixed after it. Made by ``measure()``."""

    _TITLES = ("what", "reason", "waits", "total", "mean", "max")

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._before: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._final: list[tuple[Any, ...]] | None = None

    def name(self, what: Any, name: str) -> None:
        """Give a channel, or the object at an address, a name for the tables."""
        address = what if isinstance(what, int) else _gort._contention_address(what)
        if address is None:
            raise TypeError(f"name: what must be a Chan or an address, got {type(what).__name__}")
        self._names[address] = name

    @property
    def rows(self) -> list[Wait]:
        """One Wait for each kind and object, longest total first."""
        result = []
        for reason, address, count, total, longest, goroutine in self._snapshot() if self._final is None else self._final:
            earlier = self._before.get((reason, address))
            if earlier:
                count, total = count - earlier[2], total - earlier[3]
            if count > 0:
                name = self._names.get(address) or (hex(address) if address else "-")
                result.append(Wait(reason, address, name, count, total / 1e9, longest / 1e9, goroutine))
        result.sort(key=lambda wait: -wait.total)
        return result

    def _snapshot(self) -> list[tuple[Any, ...]]:
        return [row for row in _gort._contention_snapshot() if row[0] not in _NOT_CONTENTION]

    def _cells(self, most: int | None) -> list[tuple[str, ...]]:
        return [
            (w.name, w.reason, str(w.count), _duration(w.total), _duration(w.mean), _duration(w.max)) for w in self.rows[:most]
        ]

    def table(self, most: int | None = 20) -> Any:
        """A table of the longest waits: a ``rich.table.Table`` where rich is installed, else text. Show it with rich's or plain ``print``."""
        try:
            from rich.table import Table
        except ImportError:
            return self.text(most)
        table = Table()
        for i, title in enumerate(self._TITLES):
            table.add_column(title, justify="left" if i < 2 else "right")
        for cells in self._cells(most):
            table.add_row(*cells)
        return table

    def text(self, most: int | None = 20) -> str:
        """The table as plain text."""
        cells = [self._TITLES, *self._cells(most)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self._TITLES))]
        return "\n".join(
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip() for row in cells
        )

    def to_dict(self) -> list[dict[str, Any]]:
        return [{**wait._asdict(), "mean": wait.mean} for wait in self.rows]

    def __repr__(self) -> str:
        rows = self.rows
        return f"<Report {sum(w.count for w in rows)} waits, {_duration(sum(w.total for w in rows))}>"

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{title}</th>" for title in self._TITLES)
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>" for cells in self._cells(50))
        return f"<table><tr>{head}</tr>{body}</table>"


class measure:  # noqa: N801  used like a function
    """Context manager that measures waits: ``with contention.measure() as report: ...``. May be nested; ``max`` of a nested one is the outer's."""

    def __enter__(self) -> Report:
        _gort._contention_start()
        self._report = Report()
        self._report._before = {row[:2]: row for row in self._report._snapshot()}
        return self._report

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._report._final = self._report._snapshot()
        _gort._contention_stop()
