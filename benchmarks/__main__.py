"""The command ``python -m benchmarks``: see ``--help`` and README.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import table
from benchmarks.cases import CASES, by_name
from benchmarks.comparison import groups
from benchmarks.rounds import Result, measure
from benchmarks.subjects import KEYS, find

QUICK_SCALE = 0.1
QUICK_ROUNDS = 2
ROUNDS = 7


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmarks; the exit status is 1 if a subject failed, or one named by --subjects is not available."""
    options = _parser().parse_args(arguments)
    if options.list:
        for case in CASES:
            print(f"{case.name} ({case.unit}): {case.work}")
        return 0
    cases = [by_name(name) for name in options.only] if options.only else list(CASES)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    with tempfile.TemporaryDirectory(prefix="gort_bench_") as directory:
        subjects, missing = find(options.subjects or list(KEYS), options.native, Path(directory))
        for key, reason in missing.items():
            print(f"without {key}: {reason}", file=sys.stderr)
        if missing and options.subjects:
            return 1
        results = measure(cases, subjects, rounds, scale, _progress())
    print(f"{rounds} interleaved rounds at scale {scale:g}; ratios are of the minima / of the medians, below 1 ours is less", end="")
    print(" (in a fraction, more is better)")
    table.show(groups(results))
    _explain(results)
    if options.json:
        options.json.write_text(json.dumps([_entry(result) for result in results], indent=1) + "\n")
    return 1 if any(result.failed for result in results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="gort beside Go, asyncio, greenlet and threads, interleaved in one run"
    )
    parser.add_argument("--list", action="store_true", help="say what the cases do and end")
    parser.add_argument(
        "--only", action="append", metavar="CASE", choices=[case.name for case in CASES], help="run this case only (repeatable)"
    )
    parser.add_argument(
        "--subjects", type=_subject_keys, metavar="LIST", help=f"comma-separated, of {','.join(KEYS)}; default is what is available"
    )
    parser.add_argument("--rounds", type=_positive(int), metavar="N", help=f"default {ROUNDS}")
    parser.add_argument("--scale", type=_positive(float), metavar="F", help="factor on the repetitions of every case, default 1")
    parser.add_argument(
        "--quick", action="store_true", help=f"--rounds {QUICK_ROUNDS} --scale {QUICK_SCALE}: to see that it works, not to measure"
    )
    parser.add_argument("--native", type=Path, metavar="PATH", help="the gort_bench program; built into build/bench without it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    return parser


def _subject_keys(text: str) -> list[str]:
    keys = text.split(",")
    for key in keys:
        if key not in KEYS:
            raise argparse.ArgumentTypeError(f"no subject {key!r}; there are {', '.join(KEYS)}")
    return list(dict.fromkeys(keys))


def _positive(number: type[int | float]) -> Callable[[str], float]:
    """A parser of positive numbers."""

    def parse(text: str) -> float:
        value = number(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not positive")
        return value

    parse.__name__ = f"positive {number.__name__}"
    return parse


def _progress() -> Callable[[str], None]:
    """Shows what is running on a terminal's stderr, says nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda text: None
    return lambda text: print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _explain(results: Sequence[Result]) -> None:
    """Prints why figures are missing: failures always, lacking cases once per subject and reason."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    lacking: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.failed:
            print(f"FAILED  {result.case}  {result.subject.name}  P={result.procs}: {result.reason}")
        elif result.reason is not None:
            cases = lacking.setdefault((result.subject.name, result.reason), [])
            if result.case not in cases:
                cases.append(result.case)
    for (subject, reason), cases in lacking.items():
        print(f"{subject} has no {', '.join(cases)}: {reason}")


def _entry(result: Result) -> dict[str, object]:
    """A result as it stands in the JSON file."""
    entry: dict[str, object] = {
        "case": result.case,
        "procs": result.procs,
        "subject": result.subject.name,
        "unit": result.unit,
        "min": result.minimum,
        "median": result.median,
        "runs": result.runs,
    }
    if result.reason is not None:
        entry["reason"] = result.reason
    return entry


if __name__ == "__main__":
    sys.exit(main())
