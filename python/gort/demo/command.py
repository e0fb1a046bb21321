"""``gort demo``: arguments, messages, exit status."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

import gort

from .._arguments import positive
from . import recount, report, sources
from .pipeline import Count

DESCRIPTION = """\
Count the identifiers of Python files, through every layer of the runtime: goroutines walk and read the files, Python
goroutines tokenise them, a typed channel takes the identifiers to native goroutines, which count them in parallel in hash
tables on the managed heap while the collector runs, and merge them under one mutex.

Shown at the end: the 20 most frequent identifiers, the scheduler, every collection, the waits for locks and channels."""

STATUS = """\
exit status:
  0    everything that is Python source was counted. Files that are none (binary, wrong encoding, broken) are named on
       stderr and left out
  1    --check found a difference
  2    a wrong argument; or a directory or file that does not exist or cannot be read: named on stderr, the rest was counted
  124  --timeout was over first; shown is what was counted until then
  130  Ctrl-C; shown is what was counted until then"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="count the identifiers of the standard library through every layer of the runtime",
        description=DESCRIPTION,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dir", nargs="*", metavar="DIR", help="folders of Python files (default: this Python's standard library)")
    parser.add_argument("--check", action="store_true", help="count again in plain Python and compare")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--limit", type=positive(int, "a whole number"), metavar="N", help="only the first N files")
    parser.add_argument("--timeout", type=positive(float, "a number of seconds"), metavar="S", help="stop after S seconds")
    parser.set_defaults(run=run)


def _complain(text: str) -> None:
    print(f"gort demo: {text}", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> int:
    count = Count(arguments.dir or [sources.standard_library()], arguments.limit, arguments.timeout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the tokenizer says about the files
        with report.progress(quiet=arguments.json) as show:
            gort.run(count.run, show)
        differences = None
        if arguments.check and count.ended == "finished":
            if not arguments.json:
                _complain("counting again in plain Python")
            differences = recount.differences(
                count.identifiers, count.problems, *recount.recount(count.roots, count.limit)
            )

    if arguments.json:
        json.dump(report.as_data(count, differences), sys.stdout, indent=1)
        print()
    else:
        report.show(count)
    return _status(arguments, count, differences)


def _status(arguments: argparse.Namespace, count: Count, differences: list[str] | None) -> int:
    for problem in sorted(count.problems):
        _complain(f"{problem.path}: {problem.text}")
    if count.ended == "interrupted":
        _complain(f"interrupted; {count.counted} of {count.found} files were counted")
        return 130
    if count.ended == "timeout":
        _complain(f"stopped after {arguments.timeout:g} s (--timeout); {count.counted} of {count.found} files were counted")
        return 124
    if differences:
        _complain(f"check failed: {len(differences)} differences")
        for line in differences[:20]:
            _complain(line)
        return 1
    if differences is not None and not arguments.json:
        print(f"\ncheck: plain Python counts the same ({len(count.identifiers):,} identifiers, no difference)")
    return 2 if any(problem.unreadable for problem in count.problems) else 0
