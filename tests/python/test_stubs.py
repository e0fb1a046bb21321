"""The stub of the extension module says what the module has: the same public names, the same methods."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gort
from gort import _gort

STUB = ast.parse((Path(gort.__file__).parent / "_gort.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")}
FUNCTIONS = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")}
VARIABLES = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and not node.target.id.startswith("_")}


def members(node: ast.ClassDef) -> set[str]:
    named = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    return named | {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}


def test_every_public_name_is_in_the_stub_and_the_reverse():
    public = {name for name in vars(_gort) if not name.startswith("_")}
    assert public == set(CLASSES) | FUNCTIONS | VARIABLES


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_public_method_is_in_the_stub_and_the_reverse(name):
    real = getattr(_gort, name)
    stated = members(CLASSES[name])
    public = {m for m in vars(real) if not m.startswith("_")} - {"n_fields", "n_sequence_fields", "n_unnamed_fields"}
    assert public == {m for m in stated if not m.startswith("_")}
    assert [m for m in stated - {"__getattr__"} if not hasattr(real, m)] == []  # any attribute: it has no method for that


def test_every_name_of_the_package_is_documented():
    for module in (gort, gort.sync, gort.context):
        for name, value in vars(module).items():
            if not name.startswith("_") and callable(value) and getattr(value, "__module__", "").startswith("gort"):
                assert value.__doc__, f"{module.__name__}.{name}"
