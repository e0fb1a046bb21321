"""Every program of docs/idioms.md prints what stands below it, also under schedules that seeds choose."""

from __future__ import annotations

import pathlib
import re

import pytest

import gort

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "idioms.md"
IDIOM = re.compile(r"^## (?P<title>[^\n]+)\n.*?```python\n(?P<program>.*?)```\n```text\n(?P<output>.*?)```\n", re.DOTALL | re.MULTILINE)
IDIOMS = {found["title"]: (found["program"], found["output"]) for found in IDIOM.finditer(PAGE.read_text())}


def test_each_section_has_a_program_and_its_output():
    assert list(IDIOMS) == re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("title", IDIOMS)
def test_prints_what_the_page_says(title, capsys):
    program, output = IDIOMS[title]
    exec(compile(program, title, "exec"), {})
    assert capsys.readouterr().out == output


@pytest.mark.parametrize("title", IDIOMS)
def test_prints_the_same_under_any_seed(title, capsys, monkeypatch):
    program, output = IDIOMS[title]
    run = gort.run
    for seed in range(1, 21):
        monkeypatch.setattr(gort, "run", lambda main, seed=seed: run(main, seed=seed))
        exec(compile(program, title, "exec"), {})
        assert capsys.readouterr().out == output, f"seed {seed}"
