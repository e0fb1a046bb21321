"""Tables on a terminal: with rich where it is installed and somebody is looking, else plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    title: str
    columns: tuple[str, ...]  # a leading ">" aligns to the right
    rows: Sequence[tuple[str, ...]]
    empty: str = "none"


def rich_wanted(stream: Any) -> bool:
    if not stream.isatty():
        return False
    try:
        import rich  # noqa: F401
    except ImportError:
        return False
    return True


def text(headline: str, tables: Sequence[Table]) -> str:
    lines = [headline]
    for table in tables:
        lines += ["", table.title]
        if not table.rows:
            lines.append(f"  {table.empty}")
            continue
        titles = tuple(column.lstrip(">") for column in table.columns)
        widths = [max(len(row[i]) for row in (titles, *table.rows)) for i in range(len(titles))]
        for row in (titles, *table.rows):
            cells = (
                cell.rjust(width) if column.startswith(">") else cell.ljust(width)
                for cell, width, column in zip(row, widths, table.columns)
            )
            lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def rich_group(headline: str, tables: Sequence[Table]) -> Any:
    """The same as something that rich can print."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    parts: list[Any] = [Text(headline)]
    for table in tables:
        parts.append("")
        if not table.rows:
            parts.append(Text(f"{table.title}: {table.empty}"))
            continue
        parts.append(Text(table.title, style="italic"))  # as a table's own title it would be wrapped to its width
        out = RichTable(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in table.columns:
            out.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", no_wrap=True)
        for row in table.rows:
            out.add_row(*(Text(cell) for cell in row))
        parts.append(out)
    return Group(*parts)


def show(stream: Any, headline: str, tables: Sequence[Table]) -> None:
    """Print them on a stream."""
    if rich_wanted(stream):
        from rich.console import Console

        Console(file=stream).print(rich_group(headline, tables))
    else:
        print(text(headline, tables), file=stream)
