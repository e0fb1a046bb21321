"""Comparison: results of one case, family and number of processors side by side, as ratios of ours to the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.rounds import Result


@dataclass(frozen=True)
class Ratio:
    """Ours divided by another subject's: of the minima and of the medians; None where there is nothing to divide."""

    of_minima: float | None
    of_medians: float | None


@dataclass(frozen=True)
class Group:
    """The results that are compared with each other."""

    case: str
    procs: int
    results: tuple[Result, ...]

    @property
    def ours(self) -> Result | None:
        """Our result, if we took part."""
        return next((result for result in self.results if result.subject.ours), None)

    @property
    def best_other(self) -> Result | None:
        """The other subject with the best median."""
        others = [result for result in self.results if not result.subject.ours and result.runs]
        if not others:
            return None
        return sorted(others, key=lambda result: result.median or 0.0, reverse=others[0].higher_is_better)[0]

    def ratio_to(self, other: Result) -> Ratio:
        """Ours divided by ``other``; below 1 ours is faster or smaller."""
        ours = self.ours
        if ours is None:
            return Ratio(None, None)
        return Ratio(_divide(ours.minimum, other.minimum), _divide(ours.median, other.median))


def groups(results: Iterable[Result]) -> list[Group]:
    """The results in groups, in the order of the cases; groups without any figure are left out."""
    found: dict[tuple[str, str, int], list[Result]] = {}
    for result in results:
        found.setdefault((result.case, result.subject.family, result.procs), []).append(result)
    return [Group(case, procs, tuple(members)) for (case, _, procs), members in found.items() if any(member.runs for member in members)]


def _divide(ours: float | None, other: float | None) -> float | None:
    return ours / other if ours is not None and other else None
