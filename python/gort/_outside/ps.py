"""``gort ps PID``: the goroutines, threads and processors of another process."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .. import _tables
from .memory import Refused
from .snapshot import Goroutine, Snapshot, header, open_process

DESCRIPTION = """\
Show the goroutines, processors and threads of another process that uses gort: what each goroutine does or waits for, what it runs, where
it was started, and with --stacks its Python frames.

The process is not stopped and does nothing for it: it may compute, hang, or hold the GIL for ever. It must be of the same user, or
you must be root, and it must use a gort with the same layout (the message says if not)."""

STATUS = """\
exit status:
  0    shown
  1    there is no such process, it may not be read, or it does not use gort: said on stderr
  2    a wrong argument"""


def process_id(text: str) -> int:
    try:
        pid = int(text)
    except ValueError:
        pid = 0
    if not 0 < pid < 1 << 31:
        raise argparse.ArgumentTypeError(f"PID must be the number of a process, got {text!r}")
    return pid


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "ps",
        help="show the goroutines of another process",
        description=DESCRIPTION,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pid", type=process_id, metavar="PID", help="the process")
    parser.add_argument("--stacks", action="store_true", help="print every goroutine with its Python stack, as Go prints them")
    parser.add_argument("--json", action="store_true", help="print all of it, with stacks, as JSON")
    parser.add_argument("--system", action="store_true", help="with the runtime's own goroutines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    try:
        process, reader = open_process(arguments.pid)
        with process:
            snapshot = reader.snapshot(stacks=arguments.stacks or arguments.json)
    except Refused as refused:
        print(f"gort ps: {refused}", file=sys.stderr)
        return 1
    if not arguments.system:
        snapshot = snapshot.without_system()
    if arguments.json:
        json.dump({"pid": arguments.pid, **snapshot.to_dict()}, sys.stdout, indent=1)
        print()
    elif arguments.stacks:
        print("\n".join(dump(g) for g in snapshot.goroutines), end="")
        if not snapshot.python_stacks and snapshot.python:
            print(f"gort ps: the frames of Python {snapshot.python} cannot be read from outside", file=sys.stderr)
    else:
        _tables.show(sys.stdout, headline(arguments.pid, snapshot), tables(snapshot))
    return 0


def dump(g: Goroutine) -> str:
    return f"{header(g)}\n{g.stack}{g.created_by}"


def headline(pid: int, snapshot: Snapshot) -> str:
    python = f", Python {snapshot.python}" if snapshot.python else ""
    return f"process {pid}: gort {snapshot.gort}{python}; {len(snapshot.goroutines):,} goroutines, {len(snapshot.machines)} threads"


def state(g: Goroutine) -> str:
    return g.wait_reason or g.status


def what(g: Goroutine) -> str:
    """What a goroutine is, in a word."""
    return g.name or ("a thread" if g.thread else "a native goroutine")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, scale in (("h", 3600.0), ("min", 60.0)):
        if seconds >= scale:
            return f"{seconds / scale:.1f} {unit}"
    return f"{seconds:.2f} s" if seconds else ""


def tables(snapshot: Snapshot) -> list[_tables.Table]:
    def number(value: int | None) -> str:
        return "" if value is None else str(value)

    return [
        _tables.Table(
            "Goroutines",
            (">id", "state", ">for", "lane", ">M", ">switches", "function", "started at"),
            [
                (str(g.id), state(g) + (f", held by {g.held_by}" if g.held_by else ""), _duration(g.waiting_for), g.lane,
                 number(g.machine), str(sum(g.switches.values())), what(g), g.created_at or "")
                for g in snapshot.goroutines
            ],
        ),
        _tables.Table(
            "Processors: run queues, and time slices since the process began",
            ("P", "state", ">M", ">queue", ">timers", ">slices", ">stolen"),
            [
                (f"{p.lane} {p.id}", p.status, number(p.machine), str(p.queue + p.next), str(p.timers), str(p.tick), str(p.steals))
                for p in snapshot.processors
            ],
        ),
        _tables.Table(
            "Threads",
            (">M", ">thread", "lane", ">P", ">goroutine", "kind"),
            [
                (str(m.id), str(m.os_thread), m.lane, number(m.processor), number(m.goroutine),
                 "plain thread" if m.plain_thread else "idle" if m.idle else "worker")
                for m in snapshot.machines
            ],
        ),
    ]  # fmt: skip
