"""Builds the compiled subjects: the Go program with ``go build``, the C++ one with CMake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE_BUILD = ROOT / "build" / "bench"


class Unavailable(Exception):
    """A subject cannot take part; the text says why."""


def build_go(directory: Path) -> Path:
    """The Go program, built into ``directory``; Unavailable without a ``go`` on PATH."""
    program = directory / "go_bench"
    _run([_tool("go"), "build", "-o", str(program), "."], cwd=ROOT / "benchmarks" / "go")
    return program


def go_version() -> str:
    """The version of the ``go`` on PATH as "1.26"."""
    version = _run([_tool("go"), "env", "GOVERSION"], cwd=ROOT / "benchmarks" / "go").strip()
    return ".".join(version.removeprefix("go").split(".")[:2])


def build_native() -> Path:
    """The C++ program, configured and built in build/bench; only what changed is built again."""
    cmake = _tool("cmake")
    binaries = NATIVE_BUILD / "bin"
    _run(
        [
            *(cmake, "-S", str(ROOT), "-B", str(NATIVE_BUILD)),
            *(["-G", "Ninja"] if shutil.which("ninja") else []),
            "-DCMAKE_BUILD_TYPE=Release",
            "-DGORT_BUILD_BENCHMARKS=ON",
            f"-DPython_EXECUTABLE={sys.executable}",  # it is asked for the Boost headers
            f"-DCMAKE_RUNTIME_OUTPUT_DIRECTORY={binaries}",
        ],
        cwd=ROOT,
    )
    _run([cmake, "--build", str(NATIVE_BUILD), "--target", "gort_bench", "--parallel", str(os.cpu_count() or 1)], cwd=ROOT)
    return binaries / "gort_bench"


def build_library(source: str) -> Path:
    """A C file of this folder as a shared library in build/bench; Unavailable without a C compiler."""
    path, library = ROOT / "benchmarks" / source, NATIVE_BUILD / f"{source}.so"
    if not library.exists() or library.stat().st_mtime < path.stat().st_mtime:
        NATIVE_BUILD.mkdir(parents=True, exist_ok=True)
        part = library.with_suffix(f".{os.getpid()}")
        _run([_tool("cc"), "-O2", "-shared", "-fPIC", "-o", str(part), str(path)], cwd=ROOT)
        part.replace(library)
    return library


def _tool(name: str) -> str:
    """The path of a program on PATH or beside this interpreter, where pip puts cmake; Unavailable if there is none."""
    path = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if path is None:
        raise Unavailable(f"{name} is not on PATH")
    return path


def _run(command: list[str], cwd: Path) -> str:
    """The standard output of ``command``; Unavailable with its last words if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise Unavailable("\n".join([f"{' '.join(command)} failed:", *words]))
    return done.stdout
