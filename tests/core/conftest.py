"""Makes each Boost.Test case of core_tests one item of pytest, under the C++ file that holds it.

    pytest tests/core                                                            all of them
    pytest "tests/core/chan/channel_test.cpp::channel/close_wakes_receivers"     one
    GORT_CORE_SANITIZE=thread pytest tests/core                                  under a sanitizer

At collection the core is built with CMake and Ninja in build/core-plain, or with GORT_CORE_SANITIZE set to
"address,undefined" or "thread" in build/core-address-undefined or build/core-thread. CMake, Ninja and the Boost headers
come from the PyPI packages of the extra `test`, else from the system. Each case runs in a process of its own, so that a
crash or a hang is that one case's; a case that runs longer than 120 s has failed.

Boost.Test itself knows how to list its cases with the file of each one (--list_content=DOT); nothing here parses C++.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 120

# LeakSanitizer does not look into memory that comes from mmap, where fibers and the managed heap live, and would call
# all that is reachable only from there a leak. Options in the environment come later and win.
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:history_size=4",
}


class Case(NamedTuple):
    path: str  # suite/case, as --run_test takes it
    line: int
    enabled: bool


class CoreBuild:
    """core_tests, built once a session, and its cases by file."""

    def __init__(self, config: pytest.Config) -> None:
        self.sanitizers = os.environ.get("GORT_CORE_SANITIZE", "")
        self.directory = ROOT / "build" / f"core-{self.sanitizers.replace(',', '-') or 'plain'}"
        self.program = self.directory / "core_tests"
        self._config = config
        self._cases: dict[Path, list[Case]] | None = None
        self._failed = False

    def cases(self, file: Path) -> list[Case]:
        """The cases of one C++ file. Raises CollectError if the build failed, the first time with what it said."""
        if self._failed:
            raise pytest.Collector.CollectError("core_tests was not built; the reason stands at the first file")
        if self._cases is None:
            self._failed = True
            self._build()
            self._cases = read_cases(self._list())
            self._failed = False
        return self._cases.get(file, [])

    def _build(self) -> None:
        cmake, ninja = tool("cmake"), tool("ninja")
        configure = [
            cmake,
            "-S",
            str(ROOT),
            "-B",
            str(self.directory),
            "-G",
            "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={ninja}",
            "-DGORT_BUILD_TESTS=ON",
            f"-DGORT_SANITIZE={self.sanitizers}",
        ]
        if boost := boost_include():
            configure.append(f"-DGORT_BOOST_INCLUDE={boost}")
        self._say(f"building the core's tests in {self.directory.relative_to(ROOT)}")
        with locked(self.directory):
            run_tool(configure)
            run_tool([cmake, "--build", str(self.directory), "--target", "core_tests"])

    def _list(self) -> str:
        listed = subprocess.run(
            [self.program, "--list_content=DOT"],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        if listed.returncode != 0:
            raise pytest.Collector.CollectError(
                f"{self.program} --list_content: {outcome(listed.returncode)}\n{listed.stderr}"
            )
        return listed.stdout + listed.stderr

    def _say(self, text: str) -> None:
        """Tells the person who waits; a first build takes a minute or two."""
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if terminal is not None:
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                terminal.write_line(text)


def read_cases(dot: str) -> dict[Path, list[Case]]:
    """Reads Boost.Test's tree of suites and cases, a DOT graph.

    A suite or a case is `tu65536[...,color=green,label="name|/path/file.cpp(12)|..."];`, yellow if it is disabled. An
    edge `tu2 -> tu65536;` leads from a suite to its child; edges with attributes are dependencies. Cases count from
    0x10000.
    """
    cases: dict[Path, list[Case]] = {}
    paths = {"tu1": ""}  # the master suite, which paths leave out
    nodes: dict[str, tuple[str, ...]] = {}
    for line in dot.splitlines():
        if node := re.match(r'(tu\d+)\[.*color=(\w+),label="([^|"]*)\|(.*?)\((\d+)\)', line):
            nodes[node[1]] = node.groups()[1:]
        elif edge := re.fullmatch(r"(tu\d+) -> (tu(\d+));", line):
            parent, unit, number = edge.groups()
            colour, name, file, at = nodes[unit]
            paths[unit] = f"{paths[parent]}{name}/"
            if int(number) >= 0x10000:
                case = Case(path=paths[unit].rstrip("/"), line=int(at), enabled=colour == "green")
                cases.setdefault(Path(file), []).append(case)
    return cases


def tool(name: str) -> str:
    """The path of cmake or ninja: the PyPI package of this environment first, then PATH."""
    found = shutil.which(
        name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    )
    if found is None:
        raise pytest.Collector.CollectError(f"the core's tests need {name}: pip install '.[test]'")
    return found


def boost_include() -> str | None:
    """The folder of the Boost headers of the boost_headers package; None leaves the search to CMake."""
    if importlib.util.find_spec("boost_headers") is None:
        return None
    import boost_headers  # type: ignore[import-untyped]

    return str(boost_headers.get_include())


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One process at a time builds in a folder: the workers of pytest-xdist collect at the same moment."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_tool(command: list[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise pytest.Collector.CollectError(f"{' '.join(command)}: {outcome(done.returncode)}\n{done.stdout}")


def environment() -> dict[str, str]:
    result = dict(os.environ)
    for name, value in SANITIZER_OPTIONS.items():
        result[name] = f"{value}:{result[name]}" if name in result else value
    return result


def outcome(status: int) -> str:
    return f"died by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


BUILD = pytest.StashKey[CoreBuild]()


class CaseFailed(Exception):
    """A case failed; the text holds why, and what it wrote."""


class CaseItem(pytest.Item):
    """One Boost.Test case, run in a process of its own."""

    def __init__(self, *, case: Case, program: Path, **arguments) -> None:
        super().__init__(**arguments)
        self.line = case.line
        self.command = [
            str(program),
            f"--run_test={case.path}",
            "--log_level=all",
            "--report_level=no",
            "--catch_system_errors=no",
            "--color_output=no",
        ]
        if not case.enabled:
            self.add_marker(pytest.mark.skip(reason="disabled in its C++ file"))

    def runtest(self) -> None:
        # A session of its own, so that a fork's children end with it.
        with subprocess.Popen(
            self.command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                why = f"still running after {TIMEOUT_SECONDS} s"
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            else:
                if process.returncode == 0:
                    return
                why = outcome(process.returncode)
        lines = output.decode(errors="replace").splitlines()
        text = "\n".join(line for line in lines if not line.endswith("is skipped because disabled"))  # the other cases
        raise CaseFailed(f"{why}: {shlex.join(self.command)}\n{text}")

    def repr_failure(self, excinfo, style=None):
        return str(excinfo.value) if excinfo.errisinstance(CaseFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self.line - 1, self.name


class CoreFile(pytest.File):
    """One C++ file of tests."""

    def collect(self) -> Iterator[CaseItem]:
        if BUILD not in self.config.stash:
            self.config.stash[BUILD] = CoreBuild(self.config)
        build = self.config.stash[BUILD]
        for case in build.cases(self.path):
            yield CaseItem.from_parent(self, name=case.path, case=case, program=build.program)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CoreFile | None:
    return CoreFile.from_parent(parent, path=file_path) if file_path.suffix == ".cpp" else None
