"""Rounds: every round runs every subject once per case, one after the other, so that noise of the machine hits all alike."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.build import ROOT
from benchmarks.cases import Case
from benchmarks.protocol import Answer, Order
from benchmarks.subjects import Subject

TIMEOUT = 120.0  # seconds a process may take


class Failure(Exception):
    """A subject crashed, hung or said something that is not an answer."""


@dataclass
class Result:
    """The runs of one subject in one case; ``case`` is "NAME.EXTRA" for a further figure of a case.

    Without runs the subject lacks the case, or ``failed``; ``reason`` says which.
    """

    case: str
    procs: int
    subject: Subject
    unit: str
    higher_is_better: bool = False
    runs: list[float] = field(default_factory=list)
    reason: str | None = None
    failed: bool = False

    @property
    def minimum(self) -> float | None:
        return min(self.runs, default=None)

    @property
    def median(self) -> float | None:
        return median(self.runs) if self.runs else None


def ask(subject: Subject, case: Case, procs: int, scale: float) -> Answer:
    """The answer of one process of ``subject``; Failure if there is none."""
    order = Order(case.name, procs, case.repetitions.at(subject.pace), scale)
    try:
        done = subprocess.run(
            [*subject.command, *order.arguments()],
            cwd=ROOT,
            env={**os.environ, "GOMAXPROCS": str(procs)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"no answer within {TIMEOUT:.0f} s") from None
    words = done.stderr.strip()
    if done.returncode != 0:
        raise Failure(f"exit status {done.returncode}: {words[-300:]}")
    if words:
        raise Failure(f"wrote to stderr: {words[-300:]}")
    try:
        answer = Answer.from_line(done.stdout.strip(), case.name)
    except ValueError as error:
        raise Failure(str(error)) from None
    if answer.value is not None and answer.unit != case.unit:
        raise Failure(f"unit {answer.unit!r}, not {case.unit!r}")
    if unknown := answer.extra.keys() - case.extras.keys():
        raise Failure(f"unknown extra: {', '.join(sorted(unknown))}")
    return answer


def measure(cases: Sequence[Case], subjects: Sequence[Subject], rounds: int, scale: float, report: Callable[[str], None]) -> list[Result]:
    """Runs everything ``rounds`` times; the order of the subjects rotates from round to round.

    A subject that lacks a case or fails in it is not asked again. ``report`` is told what is being run.
    """
    entrants = [(subject, procs) for subject in subjects for procs in subject.procs]
    results = {
        (case.name, name, procs, subject.name): Result(name, procs, subject, unit, case.higher_is_better and name == case.name)
        for case in cases
        for name, unit in _figures(case)
        for subject, procs in entrants
    }
    for number in range(rounds):
        turn = number % max(1, len(entrants))
        for case in cases:
            for subject, procs in entrants[turn:] + entrants[:turn]:
                main = results[case.name, case.name, procs, subject.name]
                if main.reason is not None:
                    continue
                report(f"round {number + 1}/{rounds}  {case.name}  {subject.name}  P={procs}")
                try:
                    answer = ask(subject, case, procs, scale)
                except Failure as failure:
                    main.reason, main.failed = str(failure), True
                    continue
                if answer.value is None:
                    main.reason = answer.reason or "no reason given"
                    continue
                main.runs.append(answer.value)
                for extra, value in answer.extra.items():
                    results[case.name, f"{case.name}.{extra}", procs, subject.name].runs.append(value)
    return list(results.values())


def _figures(case: Case) -> Iterator[tuple[str, str]]:
    """The names and units of what one run of ``case`` gives."""
    yield case.name, case.unit
    for extra, unit in case.extras.items():
        yield f"{case.name}.{extra}", unit
