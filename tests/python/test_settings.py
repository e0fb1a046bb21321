"""The environment's settings at import."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

import gort


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GORT_", "GOMAXPROCS"))}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, env={**kept, **environment})


def test_gomaxprocs_is_taken_from_the_environment():
    assert python("import gort; print(gort.gomaxprocs())", GOMAXPROCS="7").stdout == "7\n"


SELECTS = """
import gort
def main():
    a, b = gort.Chan(99), gort.Chan(99)
    for i in range(99): a.send("a"), b.send("b")
    print("".join(gort.select(a, b).value for _ in range(60)))
gort.run(main{seed})
"""


def test_a_seed_of_the_environment_holds_for_runs_without_one():
    code = SELECTS.format(seed="")
    first = python(code, GORT_SEED="5").stdout
    assert len(first) == 61
    assert python(code, GORT_SEED="5").stdout == first
    assert python(SELECTS.format(seed=", seed=5")).stdout == first
    assert python(code, GORT_SEED="6").stdout != first


def test_rawswap_0_means_the_public_function():
    code = "import gort; print(gort._gort._why_public_swap())"
    if sys.version_info >= (3, 12):
        assert python(code).stdout == "\n"
    assert python(code, GORT_DEBUG="rawswap=0").stdout == "GORT_DEBUG=rawswap=0\n"


def test_goroutines_work_with_the_public_function_too():
    code = """
import gort, time
def main():
    ch = gort.Chan()
    def ping():
        for i in range(1000): ch.send(i)
        time.sleep(0.01)
        ch.close()
    gort.go(ping)
    return sum(ch)
print(gort.run(main))
"""
    assert python(code, GORT_DEBUG="rawswap=0").stdout == "499500\n"


@pytest.mark.parametrize(
    "environment, named",
    [
        ({"GOMAXPROCS": "0"}, "GOMAXPROCS=0 (an int from 1 to 1024 is needed)"),
        ({"GOMAXPROCS": "two"}, "GOMAXPROCS=two (an int from 1 to 1024 is needed)"),
        ({"GORT_SEED": "x"}, "GORT_SEED=x (an int from -9223372036854775808 to 9223372036854775807 is needed)"),
        ({"GORT_DEBUG": "rawswap=2,nosuch=1"}, "GORT_DEBUG: rawswap=2 (an int from 0 to 1 is needed), nosuch=1 (one of rawswap is needed)"),
    ],
)
def test_what_is_wrong_is_named_in_one_warning_and_ignored(environment, named):
    done = python("import gort; print(gort.gomaxprocs() == gort.num_cpu())", **environment)
    assert done.stdout == "True\n"
    assert done.stderr.count("Warning:") == 1
    assert f"RuntimeWarning: gort ignores settings of the environment: {named}\n" in done.stderr


def test_the_settings_are_documented():
    assert all(name in gort._settings.__doc__ for name in [*gort._settings.VARIABLES, *gort._settings._DEBUG])


def doctor(**environment: str) -> subprocess.CompletedProcess[str]:
    return python("import sys; from gort.cli import main; sys.exit(main(['doctor']))", **environment)


def test_the_doctor_finds_nothing_wrong_here():
    done = doctor()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Python                   CPython {platform.python_version()}" in done.stdout
    assert "problem" not in done.stdout


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11's public function does no more than it must")
def test_the_doctor_names_a_slow_switch():
    done = doctor(GORT_DEBUG="rawswap=0")
    assert done.returncode == 1
    assert "switch of thread states  PyThreadState_Swap: GORT_DEBUG=rawswap=0\n" in done.stdout
    assert "problem: goroutines are switched with PyThreadState_Swap (GORT_DEBUG=rawswap=0)" in done.stdout
