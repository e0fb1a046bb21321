"""The table of a run: with rich where it is installed, as plain text otherwise."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from benchmarks.comparison import Group, Ratio

TITLES = ("case", "unit", "subject", "P", "min", "median", "ours / it", "ours / best other")
_LEFT = {"case", "unit", "subject", "ours / best other"}

Row = tuple[str, ...]


def sections(groups: Sequence[Group]) -> list[list[Row]]:
    """The rows of each case; ratios are "of the minima / of the medians"."""
    found: dict[str, list[Row]] = {}
    for group in groups:
        first = group.case not in found
        found.setdefault(group.case, []).extend(_rows(group, first))
    return list(found.values())


def show(groups: Sequence[Group]) -> None:
    """Prints the table to stdout."""
    if importlib.util.find_spec("rich"):
        _show_rich(sections(groups))
    else:
        _show_plain(sections(groups))


def _rows(group: Group, first: bool) -> list[Row]:
    """The rows of a group; the first of a case is headed by its name and unit."""
    rows: list[Row] = []
    best = group.best_other
    for result in group.results:
        heading = (group.case, result.unit) if first and not rows else ("", "")
        to_it = "" if result.subject.ours else _ratio(group.ratio_to(result))
        to_best = f"{_ratio(group.ratio_to(best))}  {best.subject.name}" if result.runs and result.subject.ours and best else ""
        rows.append((*heading, result.subject.name, str(group.procs), _number(result.minimum), _number(result.median), to_it, to_best))
    return rows


def _number(value: float | None) -> str:
    """Three digits or more, "-" for nothing."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _ratio(ratio: Ratio) -> str:
    return "-" if ratio.of_medians is None else f"{_number(ratio.of_minima)} / {_number(ratio.of_medians)}"


def _show_rich(table: list[list[Row]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=SIMPLE)
    for title in TITLES:
        drawn.add_column(title, justify="left" if title in _LEFT else "right", no_wrap=True)
    for section in table:
        for row in section:
            drawn.add_row(*row, end_section=row is section[-1])
    Console(width=None if sys.stdout.isatty() else 140).print(drawn)


def _show_plain(table: list[list[Row]]) -> None:
    every = [TITLES, *(row for section in table for row in section)]
    widths = [max(len(row[column]) for row in every) for column in range(len(TITLES))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.ljust(width) if title in _LEFT else cell.rjust(width) for cell, width, title in zip(row, widths, TITLES, strict=True))
        return "  ".join(cells).rstrip()

    print(line(TITLES))
    for section in table:
        print()
        for row in section:
            print(line(row))
