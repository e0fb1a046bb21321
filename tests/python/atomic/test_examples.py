"""The examples in the documentation of gort.atomic run."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

import gort
from gort import atomic


@pytest.mark.parametrize("thing", [atomic, *(getattr(atomic, name) for name in atomic.__all__)], ids=lambda thing: thing.__name__)
def test_the_example_runs(thing: Any) -> None:
    examples = doctest.DocTestParser().get_doctest(thing.__doc__, {"gort": gort}, thing.__name__, None, None)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0
