"""Who waited for what, where and for how long, and who kept them waiting.

>>> import gort
>>> from gort import contention
>>> with contention.measure() as report:
...     gort.sleep(0.001)
>>> report.rows
[]

Waits for mutexes, rwmutexes, channels, select, wait groups, conditions and semaphores count; sleep does not.

``report.rows`` has them by what was waited for, ``report.stacks`` also by the stack of the goroutine that waited (Go's block profile), and
``report.releases`` by the stack of the goroutine that unlocked in the end (Go's mutex profile): waits show where time is lost, releases show whose critical
sections cost it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NamedTuple

from . import _gort, _plot

__all__ = ["Frame", "Report", "StackWait", "Wait", "measure"]

# Go's words for waits that are no contention.
_NOT_CONTENTION = frozenset(
    {"sleep", "GC worker (idle)", "GC sweep wait", "GC assist marking", "garbage collection", "wait for GC cycle", "finalizer wait", "preempted",
     "stopping the world", ""}
)  # fmt: skip


class Frame(NamedTuple):
    """A place in a stack. Of native code: ``function`` may be '' where the file does not say, ``file`` has the offset in it, ``line`` is 0."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        """As a line of a table: ``function file:line``."""
        return f"{self.function} {self.file}:{self.line}" if self.line else f"{self.function} {self.file}".lstrip()


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


class StackWait(NamedTuple):
    """All waits of one kind for one object at one place, or all that one place has ended. Times in seconds.

    ``stack`` is innermost first and has at most 64 frames; () where it is not known, or where there was no room for another one. Of a goroutine in the
    native lane it is the native one.
    """

    reason: str
    object: int
    name: str
    count: int
    total: float
    max: float
    last_goroutine: int
    stack: tuple[Frame, ...]

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def where(self) -> str:
        """The innermost frame, as ``function file:line``; "-" if it is not known."""
        return str(self.stack[0]) if self.stack else "-"

    def text(self) -> str:
        """The stack as Go prints it."""
        return "".join(f"{f.function or '?'}(...)\n\t{f.file}{f':{f.line}' if f.line else ''}\n" for f in self.stack)


class _Row(NamedTuple):
    waiting: bool  # else: of an unlock that ended waits
    reason: str
    object: int
    stack: int
    count: int
    total: int
    max: int
    last: int
    goroutine: int


def _duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


class Report:
    """The waits since ``measure()``; live inside the ``with`` block, fixed after it. Made by ``measure()``."""

    _NUMBERS = ("waits", "total", "mean", "max")

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._before: dict[tuple[bool, str, int, int], _Row] = {}
        self._final: list[_Row] | None = None
        self._frames: dict[int, tuple[Frame, ...]] = {}

    def name(self, what: Any, name: str) -> None:
        """Give a channel, or the object at an address, a name for the tables."""
        address = what if isinstance(what, int) else _gort._contention_address(what)
        if address is None:
            raise TypeError(f"name: what must be a Chan or an address, got {type(what).__name__}")
        self._names[address] = name

    @property
    def rows(self) -> list[Wait]:
        """One Wait for each kind and object, longest total first."""
        sums: dict[tuple[str, int], _Row] = {}
        for row in self._own_rows():
            if not row.waiting:
                continue
            key = (row.reason, row.object)
            if so_far := sums.get(key):
                last = max(row, so_far, key=lambda r: r.last)
                row = row._replace(
                    count=row.count + so_far.count, total=row.total + so_far.total, max=max(row.max, so_far.max), last=last.last, goroutine=last.goroutine
                )
            sums[key] = row
        return sorted((Wait(*self._fields(row)) for row in sums.values()), key=lambda wait: -wait.total)

    @property
    def stacks(self) -> list[StackWait]:
        """One StackWait for each kind, object and stack of the goroutine that waited, longest total first."""
        return self._by_stack(waiting=True)

    @property
    def releases(self) -> list[StackWait]:
        """Who kept others waiting: one StackWait for each lock and stack of an unlock that ended waits, longest total first.

        The times are Go's: an unlock is charged with what all waiters of the lock have waited since the unlock before it (of more than two, by the mean of
        the first and the last), so the time that a critical section cost, not the time that the one took who got the lock. ``count`` is the number of
        unlocks. Mutexes and rwmutexes only.
        """
        return self._by_stack(waiting=False)

    def _by_stack(self, waiting: bool) -> list[StackWait]:
        rows = (row for row in self._own_rows() if row.waiting == waiting)
        return sorted((StackWait(*self._fields(row), self._stack(row.stack)) for row in rows), key=lambda wait: -wait.total)

    def _fields(self, row: _Row) -> tuple[str, int, str, int, float, float, int]:
        name = self._names.get(row.object) or (hex(row.object) if row.object else "-")
        return row.reason, row.object, name, row.count, row.total / 1e9, row.max / 1e9, row.goroutine

    def _own_rows(self) -> list[_Row]:
        """Those that were added since the measurement began."""
        result = []
        for row in self._snapshot() if self._final is None else self._final:
            if earlier := self._before.get(row[:4]):
                row = row._replace(count=row.count - earlier.count, total=row.total - earlier.total)
            if row.count > 0:
                result.append(row)
        return result

    def _stack(self, number: int) -> tuple[Frame, ...]:
        if number not in self._frames:
            self._frames[number] = tuple(Frame(*frame) for frame in _gort._contention_stack(number))
        return self._frames[number]

    def _snapshot(self) -> list[_Row]:
        return [_Row(*row) for row in _gort._contention_snapshot() if row[1] not in _NOT_CONTENTION]

    def _begin(self) -> None:
        self._before = {row[:4]: row for row in self._snapshot()}

    def _end(self) -> None:
        self._final = self._snapshot()
        for row in self._own_rows():
            self._stack(row.stack)  # the next measurement forgets them

    def _titles(self, by: str) -> tuple[str, ...]:
        titles = {"object": ("what", "reason"), "stack": ("where", "what", "reason"), "release": ("unlocked at", "what", "reason")}
        if by not in titles:
            raise ValueError(f"by must be 'object', 'stack' or 'release', got {by!r}")
        return (*titles[by], *self._NUMBERS)

    def _cells(self, most: int | None, by: str) -> list[tuple[str, ...]]:
        def common(w: Wait | StackWait) -> tuple[str, ...]:
            return w.name, w.reason, str(w.count), _duration(w.total), _duration(w.mean), _duration(w.max)

        if by == "object":
            return [common(w) for w in self.rows[:most]]
        return [(s.where, *common(s)) for s in (self.stacks if by == "stack" else self.releases)[:most]]

    def table(self, most: int | None = 20, by: str = "object") -> Any:
        """A table of the longest waits: a ``rich.table.Table`` where rich is installed, else text. Show it with rich's or plain ``print``.

        by: "object"; "stack", with the innermost frame of who waited; or "release", with that of who unlocked. ValueError for anything else.
        """
        titles = self._titles(by)
        try:
            from rich.table import Table
        except ImportError:
            return self.text(most, by)
        table = Table()
        for i, title in enumerate(titles):
            table.add_column(title, justify="right" if i >= len(titles) - len(self._NUMBERS) else "left")
        for cells in self._cells(most, by):
            table.add_row(*cells)
        return table

    def text(self, most: int | None = 20, by: str = "object") -> str:
        """The table as plain text."""
        titles = self._titles(by)
        cells = [titles, *self._cells(most, by)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
        words = len(titles) - len(self._NUMBERS)
        return "\n".join(
            "  ".join(c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip() for row in cells
        )

    def to_dict(self) -> list[dict[str, Any]]:
        """One dict for each of ``rows``, with its ``stacks`` and ``releases``, each a list of dicts; JSON can take it."""

        def parts(waits: list[StackWait], of: Wait) -> list[dict[str, Any]]:
            return [
                {"count": w.count, "total": w.total, "max": w.max, "mean": w.mean, "last_goroutine": w.last_goroutine, "stack": [f._asdict() for f in w.stack]}
                for w in waits
                if (w.reason, w.object) == (of.reason, of.object)
            ]

        stacks, releases = self.stacks, self.releases
        return [{**w._asdict(), "mean": w.mean, "stacks": parts(stacks, w), "releases": parts(releases, w)} for w in self.rows]

    def plot(self, most: int = 20) -> Any:
        """A ``matplotlib`` Figure: the longest waits, a bar for each object with a part for each stack, and the stacks that kept others waiting longest.

        ImportError without matplotlib (the extra ``plot``).
        """
        figure = _plot.figure("contention.Report.plot", figsize=(10, 7))
        waits, releases = figure.subplots(2, 1)
        rows, stacks = self.rows[:most], self.stacks
        for y, row in enumerate(rows):
            left = 0.0
            for part in stacks:
                if (part.reason, part.object) == (row.reason, row.object):
                    waits.barh(y, part.total, left=left, edgecolor="white")
                    left += part.total
        waits.set_yticks(range(len(rows)), [f"{row.name} [{row.reason}]" for row in rows])
        waits.set(xlabel="seconds", title="waited for (a part for each stack)")
        charged = self.releases[:most]
        releases.barh(range(len(charged)), [w.total for w in charged])
        releases.set_yticks(range(len(charged)), [f"{w.where} [{w.name}]" for w in charged])
        releases.set(xlabel="seconds", title="kept waiting by the unlock in")
        for axes in (waits, releases):
            axes.invert_yaxis()  # the longest first
        figure.tight_layout()
        return figure

    def __repr__(self) -> str:
        rows = self.rows
        return f"<Report {sum(w.count for w in rows)} waits, {_duration(sum(w.total for w in rows))}>"

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{title}</th>" for title in self._titles("object"))
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>" for cells in self._cells(50, "object"))
        return f"<table><tr>{head}</tr>{body}</table>"


class measure:  # noqa: N801  used like a function
    """Context manager that measures waits: ``with contention.measure() as report: ...``. May be nested; ``max`` of a nested one is the outer's.

    One object measures one block at a time: RuntimeError for a second ``with`` inside the first.
    """

    _report: Report | None = None  # None outside the block

    def __enter__(self) -> Report:
        if self._report is not None:
            raise RuntimeError("measure: it is measuring a block already; call measure() once for each")
        report = self._report = Report()
        _gort._contention_start()
        report._begin()
        return report

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        report, self._report = self._report, None
        if report is None:
            raise RuntimeError("measure: __exit__ without __enter__")
        report._end()
        _gort._contention_stop()
