"""Builds the example extension against the installed gort, once a session, into a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def tool(name: str) -> str:
    """cmake or ninja: of this environment's package first, then of PATH."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    assert found, f"the extension's tests need {name}: pip install '.[test]'"
    return found


def call(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages, with the package ``meeting``."""
    folder = tmp_path_factory.mktemp("extension")
    cmake, build = tool("cmake"), str(folder / "build")
    call(
        *(cmake, "-S", str(HERE), "-B", build, "-G", "Ninja"),
        *(f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", f"-DPython_EXECUTABLE={sys.executable}"),
    )
    call(cmake, "--build", build)
    call(cmake, "--install", build, "--prefix", str(folder / "site"))
    return folder / "site"


@pytest.fixture(scope="session", autouse=True)
def importable(site: Path) -> None:
    sys.path.append(str(site))
