"""The environment's settings at import."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

import gort
from interpreter import FREE_THREADED


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
    if sys.version_info >= (3, 12) and not FREE_THREADED:
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
        ({"GORT_DEBUG": "rawswap=2,nosuch=1"}, "GORT_DEBUG: rawswap=2 (an int from 0 to 1 is needed), nosuch=1 (one of containermaxprocs, latency, lockcheck, rawswap, scheddetail, schedtrace, sigquit, updatemaxprocs is needed)"),
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


free_threaded = pytest.mark.skipif(not FREE_THREADED, reason="free-threaded builds only")


needs_the_gil = pytest.mark.skipif(not FREE_THREADED or sys.version_info < (3, 15), reason="free-threaded builds from 3.15 on only")


@free_threaded
def test_a_free_threaded_build_gets_its_gil_back_where_gort_needs_it():
    needed = sys.version_info >= (3, 15)
    assert python("import gort, sys; print(sys._is_gil_enabled())", PYTHON_GIL="").stdout == f"{needed}\n"


@needs_the_gil
@pytest.mark.parametrize("option", [(), ("-X", "gil=0")])
def test_without_the_gil_the_import_says_what_to_do(option):
    environment = {**os.environ, "PYTHON_GIL": "0"} if not option else {k: v for k, v in os.environ.items() if k != "PYTHON_GIL"}
    done = subprocess.run([sys.executable, *option, "-c", "import gort"], capture_output=True, text=True, timeout=50, env=environment)
    assert done.returncode == 1
    assert "ImportError: gort: goroutines need the GIL, on free-threaded builds too; please run without PYTHON_GIL=0 and -X gil=0" in done.stderr


@free_threaded
def test_the_doctor_says_whether_the_gil_is_on():
    done = doctor(PYTHON_GIL="1")
    assert done.returncode == 1
    assert "problem: the GIL is on, though this build" in done.stdout
    if sys.version_info < (3, 15):
        assert "GIL                      off: Python goroutines run in parallel\n" in doctor(PYTHON_GIL="0").stdout


@pytest.mark.skipif(FREE_THREADED and sys.version_info >= (3, 15), reason="it does where the GIL is on though it need not")
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


@pytest.mark.parametrize("setting", ["containermaxprocs=0", "updatemaxprocs=0", "containermaxprocs=0,updatemaxprocs=1"])
def test_gomaxprocs_starts_as_the_cpus_of_the_process(setting):
    program = "import os, gort; os._exit(not gort.gomaxprocs() <= gort.num_cpu() == len(os.sched_getaffinity(0)))"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "GORT_DEBUG": setting}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_gomaxprocs_is_what_a_cpu_mask_allows_at_the_start():
    program = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); import gort; print(gort.gomaxprocs(), gort.num_cpu())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1 1\n"


def test_a_run_with_procs_leaves_the_number_following_the_cpus():
    program = """if True:
        import os, time, gort
        cpus = os.sched_getaffinity(0)
        usual = gort.gomaxprocs()
        assert gort.run(gort.gomaxprocs, procs=3) == 3 and gort.gomaxprocs() == usual
        os.sched_setaffinity(0, [min(cpus)])
        def main():
            while gort.gomaxprocs() != 1:
                gort.gosched()
        gort.run(main)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_more_threads_than_allowed_end_the_process_in_gos_words():
    program = """if True:
        import gort, time
        assert gort.runtime.set_max_threads(4) == 10000
        def main():
            for g in [gort.go(time.sleep, 5) for _ in range(10)]: g.join()
        gort.run(main)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "runtime: program exceeds 4-thread limit\nfatal error: thread exhaustion\n")


@pytest.mark.parametrize("n", [0, -1])
def test_a_limit_of_no_threads_is_an_error(n):
    with pytest.raises(ValueError, match=f"set_max_threads: n must be at least 1, got {n}"):
        gort.runtime.set_max_threads(n)


def test_caller_names_the_frames_above():
    def inner():
        return gort.runtime.caller(), gort.runtime.caller(1), gort.runtime.caller(1000)

    here, above, none = inner()
    assert here[0] == above[0] == __file__ and here[2].endswith("inner") and above[2] == "test_caller_names_the_frames_above"
    assert none is None and above[1] > here[1]
    with pytest.raises(ValueError, match="skip must be at least 0, got -1"):
        gort.runtime.caller(-1)
