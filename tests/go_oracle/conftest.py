"""A Go program beside ours: both play the same steps, and what they say must be equal.

Each folder here with a main.go is the program of a group; script/script.go has the protocol. Those in x use modules that Go has to download, and have a
go.mod of their own for that. A test makes steps, by hand or by hypothesis, plays them on gort with its own ``do(operation, *arguments)``, and compares:

>>> assert oracle("atomic", steps) == ours(do, steps)   # doctest: +SKIP
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
from typing import Any, Callable

import pytest

from gort.errors import FatalError, PanicError

Step = list[Any]
HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, list[Step]], list[Any]]:
    """Plays steps on a group's Go program, built at first use, and returns their results."""
    if not shutil.which("go"):
        pytest.skip("there is no Go on this machine to compare with")
    folder = tmp_path_factory.mktemp("oracle")

    def play(group: str, steps: list[Step]) -> list[Any]:
        program = folder / group.replace("/", "-")
        if not program.exists():
            if group.startswith("x/"):
                modules_are_there()
            build = subprocess.run(["go", "build", "-o", program, "."], cwd=HERE / group, capture_output=True, text=True)
            assert build.returncode == 0, build.stderr
        played = subprocess.run([program], input=json.dumps(steps), capture_output=True, text=True, timeout=60)
        assert played.returncode == 0, played.stderr
        results: list[Any] = json.loads(played.stdout)
        return results

    return play


def modules_are_there() -> None:
    """Those of x/go.mod: x/sync and x/time are no part of Go itself."""
    download = subprocess.run(["go", "mod", "download"], cwd=HERE / "x", capture_output=True, text=True)
    if download.returncode != 0:
        pytest.skip(f"Go cannot get the modules golang.org/x/sync and golang.org/x/time: {download.stderr.strip()}")


@pytest.fixture(scope="session")
def ours() -> Callable[[Callable[..., Any], list[Step]], list[Any]]:
    """Plays steps on gort: do(operation, *arguments) each; Go's panics and fatal errors are results."""

    def play(do: Callable[..., Any], steps: list[Step]) -> list[Any]:
        results = []
        for step in steps:
            try:
                results.append(do(*step))
            except (PanicError, FatalError) as error:
                results.append({"panic": str(error)})
        return results

    return play
