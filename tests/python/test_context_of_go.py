"""What Go's own tests of contexts check, where tests/core/context/context_test.cpp does not: context/x_test.go."""

from __future__ import annotations

import random

import pytest

import gort
from gort import Chan, context, select
from gort.context import (
    Canceled,
    DeadlineExceeded,
    after_func,
    background,
    cause,
    todo,
    with_cancel,
    with_cancel_cause,
    with_timeout,
    with_timeout_cause,
    with_value,
    without_cancel,
)

LONG = 3600
PARENT, CHILD, LATE, EARLY = (RuntimeError(text) for text in ("parent", "child", "late", "early"))


def cancelled():
    ctx, cancel = with_cancel(background())
    cancel()
    return ctx


def cancelled_with(error):
    ctx, cancel = with_cancel_cause(background())
    cancel(error)
    return ctx


def family(*order, child_cause=True):
    """A child of a context with a cause; order: who is cancelled, with what."""
    parent, cancel_parent = with_cancel_cause(background())
    child, cancel = (with_cancel_cause if child_cause else with_cancel)(parent)
    for who, *why in order:
        (cancel_parent if who == "parent" else cancel)(*why)
    return child


def timeout(make, *args):
    ctx, cancel = make(background(), *args)
    cancel()
    return ctx


def stacked(s):
    parent, cancel = with_cancel_cause(background())
    ctx, _ = with_timeout_cause(parent, s, LATE)
    cancel(EARLY)
    return ctx


def kept(s):
    ctx, cancel = with_timeout_cause(background(), s, LATE)
    cancel()
    return without_cancel(ctx)


ROWS = [
    ("Background", background, None, None),
    ("TODO", todo, None, None),
    ("WithCancel", cancelled, Canceled, Canceled),
    ("WithCancelCause", lambda: cancelled_with(PARENT), Canceled, PARENT),
    ("WithCancelCause nil", lambda: cancelled_with(None), Canceled, Canceled),
    ("WithCancelCause: parent cause before child", lambda: family(("parent", PARENT), ("child", CHILD)), Canceled, PARENT),
    ("WithCancelCause: parent cause after child", lambda: family(("child", CHILD), ("parent", PARENT)), Canceled, CHILD),
    ("WithCancelCause: parent cause before nil", lambda: family(("parent", PARENT), ("child",), child_cause=False), Canceled, PARENT),
    ("WithCancelCause: parent cause after nil", lambda: family(("child",), ("parent", PARENT), child_cause=False), Canceled, Canceled),
    ("WithCancelCause: child cause after nil", lambda: family(("parent", None), ("child", CHILD)), Canceled, Canceled),
    ("WithCancelCause: child cause before nil", lambda: family(("child", CHILD), ("parent", None)), Canceled, CHILD),
    ("WithTimeout", lambda: timeout(with_timeout, 0), DeadlineExceeded, DeadlineExceeded),
    ("WithTimeout canceled", lambda: timeout(with_timeout, LONG), Canceled, Canceled),
    ("WithTimeoutCause", lambda: timeout(with_timeout_cause, 0, LATE), DeadlineExceeded, LATE),
    ("WithTimeoutCause canceled", lambda: timeout(with_timeout_cause, LONG, LATE), Canceled, Canceled),
    ("WithTimeoutCause stacked", lambda: stacked(0), DeadlineExceeded, LATE),
    ("WithTimeoutCause stacked canceled", lambda: stacked(LONG), Canceled, EARLY),
    ("WithoutCancel", lambda: without_cancel(background()), None, None),
    ("WithoutCancel canceled", lambda: without_cancel(cancelled_with(EARLY)), None, None),
    ("WithoutCancel timeout", lambda: kept(0), None, None),
]


@pytest.mark.parametrize(
    ("make", "err", "why"),
    [pytest.param(*row, id=name, marks=pytest.mark.go(f"context/x_test.go TestCause/{name}")) for name, *row in ROWS],
)
def test_err_and_cause(make, err, why):
    ctx = make()
    assert (ctx.err() and type(ctx.err())) is err
    if isinstance(why, Exception) or why is None:
        assert cause(ctx) is why
    else:
        assert type(cause(ctx)) is why


@pytest.mark.go("context/x_test.go TestCauseRace")
def test_a_cause_is_seen_whole_by_who_polls_for_it():
    def body():
        for _ in range(100):
            ctx, cancel = with_cancel_cause(background())
            gort.go(cancel, PARENT)
            while (seen := cause(ctx)) is None:
                gort.gosched()
            assert seen is PARENT

    gort.run(body)


@pytest.mark.go("context/x_test.go TestWithCancelCanceledParent")
def test_a_child_of_a_cancelled_parent_is_done_with_its_cause(inside):
    def body():
        child, _ = with_cancel(cancelled_with(PARENT))
        return select(child.done(), default=True).index, type(child.err()), cause(child) is PARENT

    assert inside(body) == (0, Canceled, True)


@pytest.mark.go("context/x_test.go TestWithCancelSimultaneouslyCanceledParent")
def test_a_child_that_is_made_while_its_parent_is_cancelled_is_done_with_its_cause():
    def body():
        for _ in range(100):
            parent, cancel = with_cancel_cause(background())
            gort.go(cancel, PARENT)
            child, _ = with_cancel(parent)
            child.done().recv()
            assert isinstance(child.err(), Canceled) and cause(child) is PARENT

    gort.run(body)


@pytest.mark.go("context/x_test.go TestLayersCancel")
@pytest.mark.parametrize("seed", range(10))
def test_layers_of_contexts_keep_their_values_and_are_cancelled_from_any_of_them(seed):
    choice = random.Random(seed)
    ctx, keys, cancels = background(), [], []
    while len(keys) + len(cancels) < 30 or not keys or not cancels:
        match choice.randrange(3):
            case 0:
                keys.append(object())
                ctx = with_value(ctx, keys[-1], keys[-1])
            case 1:
                ctx, cancel = with_cancel(ctx)
                cancels.append(cancel)
            case 2:
                ctx, cancel = with_timeout(ctx, LONG)
                cancels.append(cancel)

    def values_are_there():
        return all(ctx.value(key) is key for key in keys)

    assert str(ctx).startswith("context.Background.")
    assert select(ctx.done(), default=True).index == -1 and values_are_there()
    choice.choice(cancels)()
    assert select(ctx.done(), default=True).index == 0 and values_are_there()
    for cancel in cancels:
        cancel()


@pytest.mark.go("context/x_test.go TestAfterFuncCalledAfterTimeout")
def test_after_func_is_called_after_a_timeout(inside):
    def body():
        called = Chan()
        with with_timeout(background(), 0.001) as ctx:
            after_func(ctx, called.close)
            return called.recv_ok()

    assert inside(body) == (None, False)


@pytest.mark.go("context/x_test.go TestAfterFuncCalledAsynchronously")
def test_cancel_does_not_wait_for_after_func(inside):
    def body():
        ctx, cancel = with_cancel(background())
        out = Chan()
        after_func(ctx, lambda: out.send("called"))  # waits for whom cancel would keep from receiving
        cancel()
        return out.recv()

    assert inside(body) == "called"


@pytest.mark.go("context/x_test.go TestDeadlineExceededSupportsTimeout")
def test_deadline_exceeded_is_a_timeout():
    assert issubclass(context.DeadlineExceeded, TimeoutError)
