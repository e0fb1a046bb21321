"""What all tests share. Options are here, since pytest reads them before it knows of the folders below."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("gort", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.load_profile("gort")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--values", type=int, default=100_000, help="how many values each case of test_exactly_once*.py sends")
    parser.addoption("--fuzz-calls", type=int, default=300, help="how many random calls test_fuzz.py makes")
