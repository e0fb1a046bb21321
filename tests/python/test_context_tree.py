"""context.tree: a drawing that is a str, with its parts as attributes, for rich and for notebooks."""

from __future__ import annotations

import copy
import io
import pickle
import time

import pytest

from gort import Chan
from gort.context import Canceled, Tree, after_func, background, tree, with_cancel, with_timeout, with_value, without_cancel

LONG = 3600


def test_it_is_the_text_and_its_parts():
    ctx, cancel = with_cancel(with_value(with_value(background(), "a", 1), "b", [2]))
    first, cancel_first = with_cancel(ctx)
    second, cancel_second = with_timeout(with_value(first, "c", 3), LONG)
    stop = after_func(ctx, print)
    drawn = tree(ctx)
    assert isinstance(drawn, str) and isinstance(drawn, Tree)
    assert drawn == "WithCancel\n├── WithCancel\n│   └── WithValue.WithDeadline [3.6e+03s]\n└── AfterFunc"
    assert (drawn.kind, drawn.err, drawn.deadline) == ("WithCancel", None, None)
    assert drawn.values == (("b", [2]), ("a", 1))
    assert [child.kind for child in drawn.children] == ["WithCancel", "AfterFunc"]
    timed = drawn.children[0].children[0]
    assert timed.kind == "WithValue.WithDeadline" and timed.children == () and timed.values == ()
    assert timed.deadline == second.deadline() > time.monotonic()
    assert stop()
    cancel_second()


def test_it_is_what_was_there():
    ctx, cancel = with_cancel(background())
    before = tree(ctx)
    cancel()
    assert before == "WithCancel" and before.err is None
    assert tree(ctx) == "WithCancel (context canceled)" and isinstance(tree(ctx).err, Canceled)


def test_nothing_is_drawn_below_what_cancels_nothing():
    ctx, _ = with_cancel(background())
    kept = without_cancel(ctx)
    child, _ = with_cancel(kept)
    assert tree(background()) == "Background"
    assert tree(kept) == "WithoutCancel"
    assert tree(ctx) == "WithCancel"
    assert child.err() is None


def test_a_custom_context_shows_its_type_and_what_it_hands_on():
    class Mine:
        def __init__(self, ctx):
            self.done, self.err, self.deadline, self.value = ctx.done, ctx.err, ctx.deadline, ctx.value

    ctx, cancel = with_cancel(background())
    mine = Mine(ctx)
    child, _ = with_cancel(mine)
    assert tree(mine) == "Mine\n└── Custom.WithCancel"
    cancel()
    assert tree(mine) == "Mine (context canceled)"
    own = Mine(ctx)
    own.done, own.err = (lambda channel=Chan(): channel), lambda: None
    assert tree(own) == "Mine"
    assert child.err() is not None


def test_html_is_nested_and_escaped():
    ctx, _ = with_cancel(with_value(background(), "<k>", "<b>v</b>"))
    child, cancel = with_cancel(ctx)
    html = tree(ctx)._repr_html_()
    assert "&lt;k&gt;" in html and "&lt;b&gt;v&lt;/b&gt;" in html and "<b>" not in html
    assert html.count("<li>") == html.count("</li>") == 1
    cancel()
    assert "context canceled" in tree(child)._repr_html_()


def test_rich_draws_it():
    console = pytest.importorskip("rich.console")
    ctx, _ = with_cancel(with_value(background(), "[red]k", "v"))
    child, _ = with_cancel(ctx)
    out = io.StringIO()
    console.Console(file=out, width=60, color_system=None).print(tree(ctx))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[0] == "WithCancel" and lines[-1] == "└── WithCancel"
    assert "'[red]k': 'v'" in lines[1]
    assert child.err() is None


def test_a_copy_is_the_text_alone():
    drawn = tree(with_cancel(background()).ctx)
    for copied in (copy.copy(drawn), copy.deepcopy(drawn), pickle.loads(pickle.dumps(drawn))):
        assert type(copied) is str and copied == drawn
