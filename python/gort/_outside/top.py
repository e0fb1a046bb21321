"""``gort top PID``: what the scheduler of another process does, again and again."""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import _tables
from .._arguments import positive
from .memory import Ended, Refused
from .ps import headline, process_id, state, what
from .snapshot import Reader, Snapshot, open_process

DESCRIPTION = """\
Show what the scheduler of another process does: goroutines by state, the processors with their run queues, time slices and switches
per second by cause, and the goroutines that switch most. Refreshed until Ctrl-C, or until the process ends.

The process is not stopped and does nothing for it, as with gort ps."""

STATUS = """\
exit status:
  0    Ctrl-C, the process has ended, or -n was reached
  1    there is no such process, it may not be read, or it does not use gort: said on stderr
  2    a wrong argument"""

_BUSIEST = 15


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.05 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0.05 to 3600, got {text!r}")
    return seconds


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "top",
        help="watch the scheduler of another process",
        description=DESCRIPTION,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pid", type=process_id, metavar="PID", help="the process")
    parser.add_argument("--interval", type=_interval, default=2.0, metavar="S", help="seconds between two looks (default: 2)")
    times = parser.add_mutually_exclusive_group()
    times.add_argument("-n", type=positive(int, "a whole number"), metavar="N", help="end after N looks")
    times.add_argument("--once", action="store_const", dest="n", const=1, help="the same as -n 1")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        process, reader = open_process(arguments.pid)
        with process, _screen(sys.stdout) as show:
            _watch(arguments, reader, show)
    except KeyboardInterrupt:
        pass
    except Ended as ended:
        print(f"gort top: {ended}", file=sys.stderr)
    except Refused as refused:
        print(f"gort top: {refused}", file=sys.stderr)
        return 1
    return 0


def _watch(arguments: argparse.Namespace, reader: Reader, show: Any) -> None:
    before = reader.snapshot().without_system()
    for _ in range(arguments.n) if arguments.n else itertools.count():
        time.sleep(arguments.interval)
        now = reader.snapshot().without_system()
        show(headline(arguments.pid, now), tables(before, now))
        before = now


@contextmanager
def _screen(stream: Any) -> Iterator[Any]:
    """Gives the function that shows one look: in place on a terminal, else one after the other."""
    if _tables.rich_wanted(stream):
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(file=stream), screen=False, auto_refresh=False, vertical_overflow="crop") as live:
            yield lambda head, parts: live.update(_tables.rich_group(head, parts), refresh=True)
    elif stream.isatty():
        yield lambda head, parts: print("\x1b[H\x1b[J" + _tables.text(head, parts), file=stream, flush=True)
    else:
        yield lambda head, parts: print(_tables.text(head, parts) + "\n", file=stream, flush=True)


def _rate(n: float, seconds: float) -> str:
    return f"{n / seconds:,.0f}"


def tables(before: Snapshot, now: Snapshot) -> list[_tables.Table]:
    """What is, and what happened between two looks."""
    seconds = max(now.time - before.time, 1e-3)
    states = Counter((g.lane, state(g)) for g in now.goroutines)
    earlier = {(p.lane, p.id): p for p in before.processors}
    causes: Counter[str] = Counter()
    processors = []
    for p in now.processors:
        was = earlier.get((p.lane, p.id))
        for cause, n in p.switches.items():
            causes[cause] += n - (was.switches.get(cause, 0) if was else 0)
        causes["end"] += p.ends - (was.ends if was else 0)
        processors.append(
            (f"{p.lane} {p.id}", p.status, str(p.queue + p.next), _rate(p.tick - (was.tick if was else 0), seconds),
             _rate(p.spawns - (was.spawns if was else 0), seconds), _rate(p.steals - (was.steals if was else 0), seconds))
        )  # fmt: skip
    switches = {g.id: sum(g.switches.values()) for g in before.goroutines}
    busiest = sorted(((sum(g.switches.values()) - switches.get(g.id, 0), g) for g in now.goroutines), key=lambda item: -item[0])
    queues = ", ".join(f"{lane.name} {lane.global_queue}" for lane in now.lanes)
    return [
        _tables.Table(
            "Goroutines", ("lane", "state", ">how many"), [(lane, text, f"{n:,}") for (lane, text), n in states.most_common()]
        ),
        _tables.Table(
            f"Processors (global queues: {queues})", ("P", "state", ">queue", ">slices/s", ">started/s", ">steals/s"), processors
        ),
        _tables.Table(
            "Ends of time slices", ("cause", ">per second"), [(cause, _rate(n, seconds)) for cause, n in causes.most_common() if n > 0]
        ),
        _tables.Table(
            "Busiest goroutines",
            (">id", ">switches/s", "state", "lane", "function", "started at"),
            [
                (str(g.id), _rate(n, seconds), state(g), g.lane, what(g), g.created_at or "")
                for n, g in busiest[:_BUSIEST] if n > 0
            ],
        ),
    ]  # fmt: skip
