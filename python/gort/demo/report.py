"""What the demo prints: a progress bar, then tables; with rich where it is installed and somebody is looking, else plain text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gort import _tables, runtime
from gort._tables import Table

from .pipeline import Count


# --- progress


def _progress_text(count: Count) -> str:
    return f"{count.counted} of {count.found}{'' if count.all_found else '+'} files, {count.words:,} identifiers"


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """Gives the function that shows a Count's progress, on stderr."""
    if quiet:
        yield lambda count: None
    elif _tables.rich_wanted(sys.stderr):
        with _rich_progress() as show:
            yield show
    elif sys.stderr.isatty():
        yield lambda count: print(f"\r{_progress_text(count)} ", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    else:
        yield _lines_of_progress()


@contextmanager
def _rich_progress() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    # Refreshed by goroutine 1: rich's own refresh would be a thread more.
    with Progress(
        TextColumn("counting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files"),
        TextColumn("{task.fields[words]:,} identifiers"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
    ) as bar:
        task = bar.add_task("", total=None, words=0)

        def show(count: Count) -> None:
            done = count.counted + len(count.problems)
            bar.update(task, completed=done, total=max(count.found, done), words=count.words, refresh=True)

        yield show


def _lines_of_progress(period: float = 2.0) -> Any:
    last = time.monotonic()

    def show(count: Count) -> None:
        nonlocal last
        if time.monotonic() - last >= period:
            last = time.monotonic()
            print(f"gort demo: {_progress_text(count)}", file=sys.stderr, flush=True)

    return show


# --- the result


def _ms(ns: float) -> str:
    return f"{ns / 1e6:.3f}"


def _mb(n: int) -> str:
    return f"{n / 1048576:.1f}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}"


def top(count: Count, most: int = 20) -> list[tuple[str, int]]:
    """The most frequent identifiers, ties in alphabetical order."""
    return sorted(count.identifiers.items(), key=lambda item: (-item[1], item[0]))[:most]


def tables(count: Count) -> list[Table]:
    state, stats = count.state, count.stats
    lanes = {row.name: row for row in stats.lanes}
    per_lane = []
    for lane in state.lanes:
        rows = [row for row in stats.processors if row.lane == lane.name]
        done = lanes[lane.name]

        def total(name: str) -> str:
            return str(sum(getattr(row, name) for row in rows) + getattr(done, name, 0))

        per_lane.append(
            (lane.name, str(lane.goroutines), str(lane.machines), str(lane.processors), total("spawns"), total("parks"), total("switches"),
             total("steals"), total("stolen"), str(done.hand_offs), str(done.takeovers))
        )  # fmt: skip
    return [
        Table("Identifiers: the top 20", ("identifier", ">times"), [(name, f"{n:,}") for name, n in top(count)]),
        Table(
            "Scheduler: Gs, Ms, Ps at the busiest look; the rest over the whole run",
            ("lane", ">Gs", ">Ms", ">Ps", ">spawns", ">parks", ">switches", ">steals", ">stolen", ">hand-offs", ">takeovers"),
            per_lane,
        ),
        Table(
            "Collections: times in ms, heap in MB",
            (">no.", "why", ">stop 1", ">mark", ">stop 2", ">sweep", ">assists", ">before", ">peak", ">after", ">goal"),
            [
                (str(c.number), c.reason, _ms(c.stop1_pause), _ms(c.mark_time), _ms(c.stop2_pause), _ms(c.sweep_time), _ms(c.assist_time),
                 _mb(c.heap_before), _mb(c.heap_peak), _mb(c.heap_after), _mb(c.goal))
                for c in count.collections
            ],
            "the heap stayed too small for a collection",
        ),
        Table(
            "Waits for locks and channels: times in ms",
            ("what", "why", ">waits", ">total", ">mean", ">max"),
            [
                (w.name, w.reason, str(w.count), _seconds(w.total), _seconds(w.mean), _seconds(w.max))
                for w in _contended(count)[:12]
            ],
        ),
    ]  # fmt: skip


def _contended(count: Count) -> list[Any]:
    """Locks first: they are what the table is about."""
    rows = count.waits.rows if count.waits else []
    return sorted(rows, key=lambda w: (not w.reason.startswith("sync.Mutex"), -w.total))


def headline(count: Count) -> str:
    return (
        f"{count.counted:,} files, {count.bytes / 1e6:,.1f} MB, {sum(count.identifiers.values()):,} identifiers "
        f"({len(count.identifiers):,} different) in {count.seconds:.2f} s; {len(count.collections)} collections"
    )


def show(count: Count) -> None:
    """Print the result on stdout."""
    _tables.show(sys.stdout, headline(count), tables(count))


def as_data(count: Count, differences: list[str] | None) -> dict[str, Any]:
    """The same as a dict for JSON. Times of collections in ns, of waits in seconds."""
    return {
        "gort": runtime.version(),
        "python": sys.version.split()[0],
        "roots": count.roots,
        "ended": count.ended,
        "seconds": count.seconds,
        "files": {
            "found": count.found,
            "counted": count.counted,
            "bytes": count.bytes,
            "problems": [problem._asdict() for problem in count.problems],
        },
        "identifiers": {
            "total": sum(count.identifiers.values()),
            "distinct": len(count.identifiers),
            "top": [{"identifier": name, "times": n} for name, n in top(count)],
        },
        "scheduler": {"state": count.state.to_dict(), "stats": count.stats.to_dict()},
        "collections": [cycle.to_dict() for cycle in count.collections],
        "contention": count.waits.to_dict() if count.waits else [],
        "check": None if differences is None else {"differences": differences},
    }
