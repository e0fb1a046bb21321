"""The protocol between the runner and a subject: one process, one order on its command line, one JSON line back.

    SUBJECT --case NAME --procs N --repetitions R --scale F

does about R * F operations (at least one) of the case on N processors and prints

    {"case": NAME, "value": 81.2, "unit": "ns", "extra": {"bytes_each": 2700.0}}     extra is optional
    {"case": NAME, "value": null, "reason": "no select"}                             for a case the subject lacks

Anything else, an exit status other than 0 included, is a failure of the subject.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.cases import by_name


@dataclass(frozen=True)
class Order:
    """What a subject is asked to do."""

    case: str
    procs: int
    repetitions: int
    scale: float

    @property
    def operations(self) -> int:
        """The number of operations to do, at least one."""
        return max(1, round(self.repetitions * self.scale))

    def arguments(self) -> list[str]:
        """The order as a command line."""
        return [
            *("--case", self.case),
            *("--procs", str(self.procs)),
            *("--repetitions", str(self.repetitions)),
            *("--scale", str(self.scale)),
        ]


@dataclass(frozen=True)
class Answer:
    """What a subject measured, or the reason why it cannot (``value`` is None)."""

    value: float | None
    unit: str | None = None
    extra: dict[str, float] = field(default_factory=dict)
    reason: str | None = None

    def line(self, case: str) -> str:
        """The answer as a JSON line."""
        if self.value is None:
            return json.dumps({"case": case, "value": None, "reason": self.reason})
        content: dict[str, object] = {"case": case, "value": self.value, "unit": self.unit}
        if self.extra:
            content["extra"] = self.extra
        return json.dumps(content)

    @staticmethod
    def from_line(line: str, case: str) -> Answer:
        """The answer in ``line``; ValueError if it is not one, or one to another case."""
        content = json.loads(line)
        known = isinstance(content, dict) and content.get("case") == case
        if not known or not isinstance(content.get("value", ""), int | float | None):
            raise ValueError(f"not an answer to {case!r}: {line}")
        return Answer(content["value"], content.get("unit"), content.get("extra") or {}, content.get("reason"))


def per_operation(elapsed_ns: int, operations: int) -> Answer:
    """The answer of a case that reports nanoseconds per operation."""
    return Answer(elapsed_ns / operations, "ns")


Work = Callable[[int], Answer]  # does so many operations


def call(whole: Callable[[], Answer], _order: Order) -> Answer:
    """``within`` of a subject that works anywhere."""
    return whole()


def serve(cases: Mapping[str, Work], lacking: str, within: Callable[[Callable[[], Answer], Order], Answer] = call) -> None:
    """The main function of a subject written in Python: reads the order, prints the answer.

    ``within`` calls its argument where the subject's work must be done: in its scheduler. ``lacking`` is the reason given for every
    case that is not among ``cases``.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", required=True)
    parser.add_argument("--procs", type=int, default=1)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    order = Order(**vars(parser.parse_args()))
    work = cases.get(order.case)

    def whole() -> Answer:
        assert work
        if by_name(order.case).warmed:
            work(max(1, order.operations // 10))
        return work(order.operations)

    answer = within(whole, order) if work else Answer(None, reason=lacking)
    print(answer.line(order.case), flush=True)
