"""What the scheduler is doing: goroutines (G), OS threads (M), processors (P), lanes, queues; and what it has done.

>>> from gort import sched
>>> [lane.name for lane in sched.state().lanes]
['native', 'python']

The native lane runs C++ goroutines in parallel, one for each P; the Python lane has one P, because one thread at a time holds the GIL.
"""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from . import _gort

__all__ = [
    "GoroutineState", "LaneState", "LaneStats", "MachineState", "ProcessorState", "ProcessorStats", "State", "Stats",
    "schedtrace", "state", "stats",
]  # fmt: skip


class GoroutineState(NamedTuple):
    """One goroutine. ``waiting_on`` is the address of what it waits for (0: nothing), ``waiting_for`` seconds so far."""

    id: int
    lane: str
    status: str
    wait_reason: str
    waiting_on: int
    waiting_for: float
    parent_id: int
    name: str | None  # None: a native goroutine
    system: bool  # the runtime's own, such as the collector's worker
    thread: bool  # a plain thread


class MachineState(NamedTuple):
    """One OS thread that runs goroutines. ``plain_thread``: not started by gort, such as the main thread."""

    id: int
    lane: str
    processor: int | None
    goroutine: int | None
    plain_thread: bool
    idle: bool


class ProcessorState(NamedTuple):
    """One P. ``queue``: goroutines in its run queue; ``next``: one more is to run next; ``timers``: armed timers; ``tick``: time slices begun."""

    id: int
    lane: str
    status: str  # idle, running, syscall
    machine: int | None
    queue: int
    next: bool
    timers: int
    tick: int


class LaneState(NamedTuple):
    name: str
    processors: int
    idle_processors: int
    machines: int
    idle_machines: int
    spinning_machines: int
    global_queue: int
    goroutines: int


def _html_table(title: str, rows: list[Any], kind: type[Any], most: int = 50) -> str:
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in kind._fields)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape('' if value is None else str(value))}</td>" for value in row) + "</tr>" for row in rows[:most]
    )
    more = f"<p>... and {len(rows) - most} more</p>" if len(rows) > most else ""
    return f"<h4>{escape(title)} ({len(rows)})</h4><table><tr>{head}</tr>{body}</table>{more}"


class State(NamedTuple):
    """A picture of the scheduler. Its parts may be microseconds apart: the world is not stopped for it."""

    goroutines: list[GoroutineState]
    machines: list[MachineState]
    processors: list[ProcessorState]
    lanes: list[LaneState]

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        return {name: [row._asdict() for row in rows] for name, rows in self._asdict().items()}

    def __repr__(self) -> str:
        return f"<State {len(self.goroutines)} G, {len(self.machines)} M, {len(self.processors)} P, {len(self.lanes)} lanes>"

    def _repr_html_(self) -> str:
        return (
            _html_table("Lanes", self.lanes, LaneState)
            + _html_table("Processors", self.processors, ProcessorState)
            + _html_table("Machines", self.machines, MachineState)
            + _html_table("Goroutines", self.goroutines, GoroutineState)
        )


def state() -> State:
    """The goroutines, threads, processors and queues of this moment. Does not park."""
    raw = _gort._sched_state()
    return State(
        [GoroutineState(**row) for row in raw["goroutines"]],
        [MachineState(**row) for row in raw["machines"]],
        [ProcessorState(**row) for row in raw["processors"]],
        [LaneState(**row) for row in raw["lanes"]],
    )


class ProcessorStats(NamedTuple):
    """What one P has done since the process began. ``stolen``: goroutines that its ``steals`` brought here."""

    id: int
    lane: str
    spawns: int
    ends: int
    parks: int
    yields: int
    switches: int
    steals: int
    stolen: int
    steal_failures: int
    global_gets: int


class LaneStats(NamedTuple):
    """``hand_offs``: a P given away before a blocking call; ``takeovers``: taken from a thread that blocked.

    ``spawns`` and ``ends`` are those of threads that had no P at the time; the others are the Ps'.
    """

    name: str
    hand_offs: int
    takeovers: int
    failed_takeovers: int
    machines_started: int
    spawns: int
    ends: int


class Stats(NamedTuple):
    """Counters since the process began. ``stats() - earlier`` is what happened between."""

    processors: list[ProcessorStats]
    lanes: list[LaneStats]
    sysmon_rounds: int

    @property
    def totals(self) -> dict[str, int]:
        """Every counter, summed over Ps and lanes."""
        sums = dict.fromkeys((*ProcessorStats._fields[2:], *LaneStats._fields[1:]), 0)
        for row in (*self.processors, *self.lanes):
            for name, value in row._asdict().items():
                if name in sums:
                    sums[name] += value
        return sums

    def to_dict(self) -> dict[str, Any]:
        return {
            "processors": [row._asdict() for row in self.processors],
            "lanes": [row._asdict() for row in self.lanes],
            "sysmon_rounds": self.sysmon_rounds,
            "totals": self.totals,
        }

    def __sub__(self, earlier: Stats) -> Stats:
        if not isinstance(earlier, Stats):
            return NotImplemented

        def difference(kind: type[Any], keys: int, now: list[Any], then: list[Any]) -> list[Any]:
            before = {row[:keys]: row for row in then}
            zero = (0,) * (len(kind._fields) - keys)
            return [
                kind(*row[:keys], *(a - b for a, b in zip(row[keys:], before.get(row[:keys], row[:keys] + zero)[keys:])))
                for row in now
            ]

        return Stats(
            difference(ProcessorStats, 2, self.processors, earlier.processors),
            difference(LaneStats, 1, self.lanes, earlier.lanes),
            self.sysmon_rounds - earlier.sysmon_rounds,
        )

    def __repr__(self) -> str:
        return "<Stats " + " ".join(f"{name}={value}" for name, value in self.totals.items()) + ">"

    def _repr_html_(self) -> str:
        return _html_table("Lanes", self.lanes, LaneStats) + _html_table("Processors", self.processors, ProcessorStats)


def stats() -> Stats:
    """Steals, hand-offs, parks, ... of each P and lane. Does not park."""
    raw = _gort._sched_stats()
    return Stats([ProcessorStats(**row) for row in raw["processors"]], [LaneStats(**row) for row in raw["lanes"]], raw["sysmon_rounds"])


def schedtrace() -> str:
    """Go's schedtrace line for the native lane, and one more that ends with ``lane=python``. Does not park."""
    return _gort._sched_trace()
