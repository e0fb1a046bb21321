"""The same count in plain Python, one file after the other: what --check compares with."""

from __future__ import annotations

from collections import Counter

from . import sources
from .sources import Problem


def recount(roots: list[str], limit: int | None) -> tuple[Counter[str], list[Problem]]:
    counts: Counter[str] = Counter()
    problems: list[Problem] = []
    for path in sources.walk(roots, limit, problems.append):
        try:
            counts.update(sources.identifiers(sources.read(path)))
        except (OSError, sources.NotSource) as error:
            problems.append(sources.problem_of(path, error))
    return counts, problems


def differences(
    counted: dict[str, int], counted_problems: list[Problem], plain: Counter[str], plain_problems: list[Problem]
) -> list[str]:
    """Every difference in words; empty if there is none."""
    found = [
        f"{name!r}: counted {counted.get(name, 0)}, plain Python finds {plain.get(name, 0)}"
        for name in sorted(counted.keys() | plain.keys())
        if counted.get(name, 0) != plain.get(name, 0)
    ]
    left_out, plainly = {p.path for p in counted_problems}, {p.path for p in plain_problems}
    found += [f"{path}: left out by the count only" for path in sorted(left_out - plainly)]
    found += [f"{path}: left out by plain Python only" for path in sorted(plainly - left_out)]
    return found
