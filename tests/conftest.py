"""Options of the tests. Here, since pytest reads them before it knows of the folders below."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--values", type=int, default=100_000, help="how many values each case of test_exactly_once.py sends")
