"""What the scheduler is doing: goroutines (G), OS threads (M), processors (P), lanes, queues; and what it has done.

>>> from gort import sched
>>> [lane.name for lane in sched.state().lanes]
['native', 'python']

The native lane runs C++ goroutines in parallel, one for each P; the Python lane has one P, because one thread at a time holds the GIL, and as many as the
native lane where there is none.

``state()`` is a picture of this moment, ``stats()`` are counters since the process began, and ``measure()`` is a ``with`` block that counts what
happens inside it and takes the times that cost too much to be taken always. ``trace()`` and ``schedtrace()`` give Go's lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from types import TracebackType
from typing import Any, NamedTuple

from . import _gort, _plot

__all__ = [
    "GoroutineState", "Histogram", "LaneState", "LaneStats", "MachineState", "ProcessorState", "ProcessorStats", "StackState", "State", "Stats", "Steal",
    "measure", "schedtrace", "stacks", "state", "stats", "trace",
]  # fmt: skip


# ---------------------------------------------------------------- state


class GoroutineState(NamedTuple):
    """One goroutine.

    ``waiting_on`` is the address of what it waits for (0: nothing, or several things), ``waits_for`` the same in words, one for each arm of a
    select, ``held_by`` the goroutine that has the lock (None: no lock, or not known). ``waiting_for``: seconds so far, to 10 ms.
    ``stack``: its Python frames as Go prints frames, innermost first; '' for native goroutines. ``switches``: how often its time
    slices ended, and why: wait reasons, 'yield', 'preempt_handoff', 'preempt_call', 'preempt_signal', 'foreign_call'.
    """

    id: int
    lane: str
    status: str
    wait_reason: str
    waiting_on: int
    waiting_for: float
    waits_for: tuple[str, ...]
    held_by: int | None
    parent_id: int
    name: str | None  # None: a native goroutine
    created_at: str | None  # "file:line" of the call of go(); None: a native goroutine or a plain thread
    stack: str
    switches: dict[str, int]
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


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(n)}" for name, n in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(_cell, value))
    return str(value)


def _html_table(title: str, rows: list[Any], fields: tuple[str, ...], most: int = 50) -> str:
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in fields)

    def body_cell(value: Any) -> str:
        text = escape(_cell(value))
        return f"<td><pre>{text}</pre></td>" if "\n" in text else f"<td>{text}</td>"

    body = "".join("<tr>" + "".join(map(body_cell, row)) + "</tr>" for row in rows[:most])
    more = f"<p>... and {len(rows) - most} more</p>" if len(rows) > most else ""
    return f"<h4>{escape(title)} ({len(rows)})</h4><table><tr>{head}</tr>{body}</table>{more}"


class State(NamedTuple):
    """A picture of the scheduler. Its parts may be microseconds apart: the world is not stopped for it.

    ``deadlock`` is 'possibly deadlocked' when every goroutine of the run waits, none of them for a time, and only foreign threads, such as the
    one that asks, could still wake one; else ''. A deadlock that is certain is raised from ``run()``.
    """

    goroutines: list[GoroutineState]
    machines: list[MachineState]
    processors: list[ProcessorState]
    lanes: list[LaneState]
    deadlock: str

    def to_dict(self) -> dict[str, Any]:
        return {
            name: [row._asdict() for row in part] if isinstance(part, list) else part for name, part in self._asdict().items()
        }

    def __repr__(self) -> str:
        verdict = f", {self.deadlock}" if self.deadlock else ""
        return f"<State {len(self.goroutines)} G, {len(self.machines)} M, {len(self.processors)} P, {len(self.lanes)} lanes{verdict}>"

    def _repr_html_(self) -> str:
        return (
            (f"<p><b>{escape(self.deadlock)}</b></p>" if self.deadlock else "")
            + _html_table("Lanes", self.lanes, LaneState._fields)
            + _html_table("Processors", self.processors, ProcessorState._fields)
            + _html_table("Machines", self.machines, MachineState._fields)
            + _html_table("Goroutines", self.goroutines, GoroutineState._fields)
        )


def state(stacks: bool = True) -> State:
    """The goroutines, threads, processors and queues of this moment. Does not park.

    stacks: with the Python stack of each goroutine, which is most of the work (some 10 µs each).
    """
    raw = _gort._sched_state(stacks)
    return State(
        [GoroutineState(**row) for row in raw["goroutines"]],
        [MachineState(**row) for row in raw["machines"]],
        [ProcessorState(**row) for row in raw["processors"]],
        [LaneState(**row) for row in raw["lanes"]],
        raw["deadlock"],
    )


# ---------------------------------------------------------------- stats


class ProcessorStats(NamedTuple):
    """What one P has done since the process began.

    ``runs``: time slices begun; ``switches``: those that went through the scheduler's loop. Why slices ended: ``parks`` (``reasons``: the same by
    wait reason), ``yields`` (also when nobody else was there), ``preempt_handoff`` (the P was taken from one that computed for too long),
    ``preempt_call`` (a native one was asked, and yielded at its next call), ``preempt_signal`` (one was made to yield in the middle of its
    code), ``foreign_calls`` (the P was taken from one that sat in foreign code), ``ends``.

    ``steal_searches``: looks at all other Ps for want of work; ``steals``: those that found some, which brought ``stolen`` goroutines here
    (``victims``: by P, how often and how many); ``steal_failures``: somebody else was faster; ``steal_time``: seconds that the
    searches took, inside ``measure()`` only. ``global_gets``: goroutines taken from the lane's queue.
    """

    id: int
    lane: str
    spawns: int
    ends: int
    runs: int
    parks: int
    yields: int
    preempt_handoff: int
    preempt_call: int
    preempt_signal: int
    foreign_calls: int
    switches: int
    steals: int
    stolen: int
    steal_failures: int
    steal_searches: int
    steal_time: float
    global_gets: int
    reasons: dict[str, int]
    victims: dict[int, tuple[int, int]]


class LaneStats(NamedTuple):
    """``hand_offs``: a P given away before a blocking call; ``takeovers``: taken from a thread that blocked.

    ``spawns`` and ``ends`` are those of threads that had no P at the time; the others are the Ps'. ``stalls``: how often goroutines that have to stay on
    their thread stood behind another one there for longer than a time slice (Python goroutines without the GIL only: docs/free_threading.md);
    ``stalled_by``: the last goroutine that kept others so, because it was ``stalled_while`` 'blocked' in foreign code or 'computing'.
    """

    name: str
    hand_offs: int
    takeovers: int
    failed_takeovers: int
    machines_started: int
    spawns: int
    ends: int
    stalls: int = 0
    stalled_by: int | None = None
    stalled_while: str = ""


class Steal(NamedTuple):
    """One steal: P ``thief`` took ``goroutines`` from P ``victim`` of the same lane and ran goroutine ``first`` before the others.

    ``number`` counts the thief's steals from 1; ``slice`` is its number of time slices then.
    """

    lane: str
    thief: int
    number: int
    victim: int
    goroutines: int
    first: int
    slice: int


class Histogram(NamedTuple):
    """Durations: ``counts[i]`` of them lay in [2**i, 2**(i+1)) nanoseconds; the first bucket begins at 0, the last one has no end."""

    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """Seconds that a fraction ``q`` of the durations did not exceed, rounded up to the end of its bucket; None of an empty one.

        >>> Histogram((0, 0, 3, 1)).quantile(0.5)
        8e-09
        """
        if not 0 <= q <= 1:
            raise ValueError(f"quantile: q must be from 0 to 1, got {q!r}")
        left = q * self.count
        for i, n in enumerate(self.counts):
            left -= n
            if n and left <= 0:
                return 2.0 ** (i + 1) / 1e9
        return None

    def __sub__(self, earlier: Histogram) -> Histogram:
        if not isinstance(earlier, Histogram):
            return NotImplemented
        return Histogram(tuple(a - b for a, b in zip(self.counts, earlier.counts)))

    def __repr__(self) -> str:
        if not self.count:
            return "<Histogram of nothing>"
        return f"<Histogram of {self.count}: half < {_duration(self.quantile(0.5))}, 99 % < {_duration(self.quantile(0.99))}>"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _minus(now: Any, then: Any) -> Any:
    """The difference of two values of one counter: numbers, mappings of them (without what did not change), tuples of them."""
    if isinstance(now, Mapping):
        zero = {key: tuple(0 for _ in value) if isinstance(value, tuple) else 0 for key, value in now.items()}
        changed = ((key, value, then.get(key, zero[key])) for key, value in now.items())
        return {key: _minus(value, before) for key, value, before in changed if value != before}
    if isinstance(now, tuple):
        return tuple(map(_minus, now, then))
    return now - then


def _difference(rows: list[Any], earlier: list[Any], keys: int) -> list[Any]:
    before = {row[:keys]: row for row in earlier}

    def since(row: Any, then: Any) -> Any:
        return type(row)(*row[:keys], *(a if name in _LATEST else _minus(a, b) for name, a, b in list(zip(row._fields, row, then))[keys:]))

    return [since(row, before[row[:keys]]) if row[:keys] in before else row for row in rows]


_LATEST = ("stalled_by", "stalled_while")  # not counted
_NO_SUMS = ("steal_time", "reasons", "victims", *_LATEST)


class Stats(NamedTuple):
    """Counters since the process began. ``stats() - earlier`` is what happened between.

    ``seconds``: how long that was. ``recent_steals``: the last steals, up to 64 of each P. ``latency``: how long goroutines that were woken
    or started waited until they ran; counted inside ``measure()`` and with ``GORT_DEBUG=latency=1`` only.
    """

    processors: list[ProcessorStats]
    lanes: list[LaneStats]
    recent_steals: list[Steal]
    latency: Histogram
    sysmon_rounds: int
    seconds: float

    @property
    def totals(self) -> dict[str, int]:
        """Every counter, summed over Ps and lanes."""
        names = [name for name in (*ProcessorStats._fields[2:], *LaneStats._fields[1:]) if name not in _NO_SUMS]
        sums = dict.fromkeys(names, 0)
        for row in (*self.processors, *self.lanes):
            for name, value in row._asdict().items():
                if name in sums:
                    sums[name] += value
        return sums

    @property
    def reasons(self) -> dict[str, int]:
        """Why time slices ended, over all Ps, most frequent first: wait reasons, 'yield', the kinds of preemption, 'foreign_call', 'end'."""
        sums: dict[str, int] = {}
        for p in self.processors:
            others = {
                "yield": p.yields, "preempt_handoff": p.preempt_handoff, "preempt_call": p.preempt_call,
                "preempt_signal": p.preempt_signal, "foreign_call": p.foreign_calls, "end": p.ends,
            }  # fmt: skip
            for name, n in (*p.reasons.items(), *others.items()):
                sums[name] = sums.get(name, 0) + n
        return {name: n for name, n in sorted(sums.items(), key=lambda item: -item[1]) if n}

    @property
    def metrics(self) -> dict[str, float | None]:
        """The figures of work stealing, over the lanes that have more than one P; None where nothing happened to measure.

        ``balance``
            The coefficient of variation (standard deviation divided by mean) of the time slices run per P: 0 when all Ps did the same,
            1 when one of two did everything. The worst lane's.
        ``steal_frequency``
            Steals per second.
        ``steal_success_rate``
            The fraction of searches that found something.
        ``steal_overhead``
            The fraction of all Ps' time that searches took; None outside ``measure()``.
        """
        lanes: dict[str, list[ProcessorStats]] = {}
        for p in self.processors:
            lanes.setdefault(p.lane, []).append(p)
        ps = [p for lane in lanes.values() if len(lane) > 1 for p in lane]
        searches, steals, spent = sum(p.steal_searches for p in ps), sum(p.steals for p in ps), sum(p.steal_time for p in ps)
        balances = [b for lane in lanes.values() if (b := _variation([p.runs for p in lane])) is not None]
        return {
            "balance": max(balances, default=None),
            "steal_frequency": steals / self.seconds if ps and self.seconds > 0 else None,
            "steal_success_rate": steals / searches if searches else None,
            "steal_overhead": spent / (self.seconds * len(ps)) if spent and self.seconds > 0 else None,
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            "processors": [row._asdict() for row in self.processors],
            "lanes": [row._asdict() for row in self.lanes],
            "recent_steals": [row._asdict() for row in self.recent_steals],
            "latency": list(self.latency.counts),
            "sysmon_rounds": self.sysmon_rounds,
            "seconds": self.seconds,
            "totals": self.totals,
            "reasons": self.reasons,
            "metrics": self.metrics,
        }

    def __sub__(self, earlier: Stats) -> Stats:
        if not isinstance(earlier, Stats):
            return NotImplemented
        before = {(p.lane, p.id): p.steals for p in earlier.processors}
        return Stats(
            _difference(self.processors, earlier.processors, 2),
            _difference(self.lanes, earlier.lanes, 1),
            [steal for steal in self.recent_steals if steal.number > before.get((steal.lane, steal.thief), 0)],
            self.latency - earlier.latency,
            self.sysmon_rounds - earlier.sysmon_rounds,
            self.seconds - earlier.seconds,
        )

    _TITLES = ("P", "runs", "parks", "yields", "preempt", "foreign", "search", "steals", "stolen", "from")

    def _cells(self) -> list[tuple[str, ...]]:
        rows = []
        for p in self.processors:
            preempted = p.preempt_handoff + p.preempt_call + p.preempt_signal
            victims = ", ".join(f"P{victim}: {goroutines}" for victim, (_, goroutines) in p.victims.items())
            numbers = (p.runs, p.parks, p.yields, preempted, p.foreign_calls, p.steal_searches, p.steals, p.stolen)
            rows.append((f"{p.lane} {p.id}", *map(str, numbers), victims))
        return rows

    def _metric_lines(self) -> list[str]:
        lines = [f"{name:<19} {'-' if value is None else f'{value:.3g}'}" for name, value in self.metrics.items()]
        lines.append(f"{'switches':<19} {', '.join(f'{name} {n}' for name, n in self.reasons.items()) or '-'}")
        if self.latency.count:
            lines.append(f"{'wake to run':<19} half < {_duration(self.latency.quantile(0.5))}, 99 % < {_duration(self.latency.quantile(0.99))}")
        return lines

    def table(self) -> Any:
        """The counters of each P, with the metrics as its caption: a ``rich.table.Table`` where rich is installed, else text. Show it with rich's or
        plain ``print``."""
        try:
            from rich.table import Table
        except ImportError:
            return self.text()
        table = Table(caption="\n".join(self._metric_lines()), caption_justify="left")
        for i, title in enumerate(self._TITLES):
            table.add_column(title, justify="left" if i in (0, len(self._TITLES) - 1) else "right")
        for cells in self._cells():
            table.add_row(*cells)
        return table

    def text(self) -> str:
        """The table and the metrics as plain text."""
        cells = [self._TITLES, *self._cells()]
        last = len(self._TITLES) - 1
        widths = [max(len(row[i]) for row in cells) for i in range(last + 1)]
        lines = ["  ".join(c.ljust(w) if i in (0, last) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip() for row in cells]
        return "\n".join((*lines, "", *self._metric_lines()))

    def plot(self) -> Any:
        """A ``matplotlib`` Figure: time slices per P, why they ended, who stole from whom, and wake-to-run latency where it was measured.

        ImportError without matplotlib (the extra ``plot``).
        """
        figure = _plot.figure("sched.Stats.plot", figsize=(10, 7))
        runs, causes, thefts, latency = figure.subplots(2, 2).flat
        runs.bar([f"{p.lane} {p.id}" for p in self.processors], [p.runs for p in self.processors])
        balance = self.metrics["balance"]
        runs.set_title("time slices per P" + ("" if balance is None else f" (variation {balance:.2f})"))
        reasons = list(self.reasons.items())[::-1]
        causes.barh([name for name, _ in reasons], [n for _, n in reasons])
        causes.set_title("why they ended")
        native = [p for p in self.processors if p.lane == "native"]
        matrix = [[p.victims.get(victim.id, (0, 0))[1] for victim in native] for p in native]
        names = [f"P{p.id}" for p in native]
        image = thefts.imshow(matrix, cmap="Blues")
        thefts.set_xticks(range(len(names)), names)
        thefts.set_yticks(range(len(names)), names)
        thefts.set(xlabel="from", ylabel="thief", title="goroutines stolen")
        figure.colorbar(image, ax=thefts)
        if self.latency.count:
            used = [i for i, n in enumerate(self.latency.counts) if n]
            shown = range(used[0], used[-1] + 1)
            latency.bar([_duration(2**i / 1e9) for i in shown], [self.latency.counts[i] for i in shown], align="edge", width=1.0)
            latency.tick_params(axis="x", rotation=60)
            latency.set_title("from wake to run")
        else:
            latency.set_axis_off()
            latency.text(0.5, 0.5, "wake-to-run latency:\nmeasured in sched.measure()", ha="center", va="center")
        figure.tight_layout()
        return figure

    def __repr__(self) -> str:
        return "<Stats " + " ".join(f"{name}={value}" for name, value in self.totals.items()) + ">"

    def _repr_html_(self) -> str:
        metrics = [(name, value) for name, value in self.metrics.items()]
        return (
            _html_table("Metrics", metrics, ("metric", "value"))
            + _html_table("Lanes", self.lanes, LaneStats._fields)
            + _html_table("Processors", self.processors, ProcessorStats._fields)
        )


def _variation(numbers: list[int]) -> float | None:
    mean = sum(numbers) / len(numbers)
    if len(numbers) < 2 or mean == 0:
        return None
    return (sum((n - mean) ** 2 for n in numbers) / len(numbers)) ** 0.5 / mean


def stats() -> Stats:
    """Steals, hand-offs, parks, ... of each P and lane. Does not park."""
    raw = _gort._sched_stats()
    return Stats(
        [ProcessorStats(**row) for row in raw["processors"]],
        [LaneStats(**row) for row in raw["lanes"]],
        [Steal(*row) for row in raw["recent_steals"]],
        Histogram(tuple(map(sum, zip(*raw["latencies"])))),
        raw["sysmon_rounds"],
        raw["seconds"],
    )


class StackState(NamedTuple):
    """The stacks of a lane's goroutines, those that are kept for new ones included. Bytes."""

    lane: str
    stack_size: int  # address space for each one
    reserved: int  # how many there are of that size
    own: int  # how many there are of other sizes, which the figures below leave out
    resident: int  # memory that they use
    high_water: int  # what the deepest one has used since its memory was last given back


def stacks() -> list[StackState]:
    """How much memory goroutines' stacks use, and how deep they went. Looks at every page of them: 1 ms or so for 1,000. Does not park."""
    return [StackState(**row) for row in _gort._sched_stacks()]


class measure:  # noqa: N801  used like a function
    """Context manager that counts what happens inside it, with the times that are not always taken: ``with sched.measure() as m: ...``.

    ``m.stats`` is the Stats of the block: up to now inside it, of all of it afterwards. Besides the counters it has ``latency`` and
    ``metrics["steal_overhead"]``; they cost a clock read for each wake, run and search. May be nested.
    One object measures one block at a time: RuntimeError for a second ``with`` inside the first, and for ``stats`` before it.
    """

    _inside = False
    _before: Stats | None = None
    _final: Stats | None = None

    def __enter__(self) -> measure:
        if self._inside:
            raise RuntimeError("measure: it is measuring a block already; call measure() once for each")
        self._inside = True
        _gort._latency_start()
        self._before = stats()
        self._final = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        if not self._inside:
            raise RuntimeError("measure: __exit__ without __enter__")
        self._inside = False
        self._final = self.stats
        _gort._latency_stop()

    @property
    def stats(self) -> Stats:
        if self._before is None:
            raise RuntimeError("measure: nothing is measured yet; use it in a with statement")
        return self._final if self._final is not None else stats() - self._before

    def __repr__(self) -> str:
        return "<measure of nothing yet>" if self._before is None else f"<measure {self.stats!r}>"


# ---------------------------------------------------------------- Go's lines


def schedtrace(detail: bool = False) -> str:
    """Go's ``GODEBUG=schedtrace`` lines of this moment. Does not park.

    The native lane's line is word for word Go's; the next is the Python lane's, and ends with ``lane=python``. detail: as with
    ``scheddetail=1``, the lines of each P, M and G follow the line of their lane; Ps count from 0 in each.
    """
    return _gort._sched_trace(detail).rstrip("\n")


def trace(period: float | None, detail: bool = False) -> None:
    """Write ``schedtrace(detail)`` to the process's standard error every ``period`` seconds (at least 0.001); None ends that.

    The same as ``GORT_DEBUG=schedtrace=1000,scheddetail=1`` in the environment, but in milliseconds there. The lines come from the thread
    that watches the scheduler, also while Python code computes; ``sys.stderr`` is not asked. The end of a run ends that
    thread: lines go on with the next goroutine. TypeError or ValueError if period is no number or below 0.001.
    """
    if period is None:
        _gort._sched_trace_every(0.0, False, False)
        return
    if isinstance(period, bool) or not isinstance(period, (int, float)):
        raise TypeError(f"trace: period must be a number of seconds or None, got {type(period).__name__}")
    if not 0.001 <= period <= 1e6:
        raise ValueError(f"trace: period must be from 0.001 to 1e6 seconds, got {period!r}")
    _gort._sched_trace_every(float(period), bool(detail), True)
