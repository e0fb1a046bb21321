"""context: cancellation walks down, the first one counts, values are looked up, and Go's texts."""

from __future__ import annotations

import copy
import datetime
import gc
import pickle
import re
import threading
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort import Chan, PanicError, WaitGroup, context, select
from gort.context import (
    Canceled,
    DeadlineExceeded,
    after_func,
    background,
    cause,
    todo,
    tree,
    with_cancel,
    with_cancel_cause,
    with_deadline,
    with_deadline_cause,
    with_timeout,
    with_timeout_cause,
    with_value,
    without_cancel,
)

LONG = 3600
SOON = 0.001


class Thing:
    """Something with a weak reference, that can be called."""

    def __call__(self):
        pass


def is_done(ctx):
    return select(ctx.done(), default=True).index == 0


# --- the roots


@pytest.mark.parametrize(("root", "text"), [(background, "context.Background"), (todo, "context.TODO")])
def test_the_roots_are_never_cancelled(root, text):
    ctx = root()
    assert (str(ctx), ctx.done(), ctx.err(), ctx.deadline(), ctx.value("k"), cause(ctx)) == (text, None, None, None, None, None)
    assert root() is ctx
    assert select(ctx.done(), default=True).index == -1


# --- cancel


def test_cancel_cancels_the_context_and_all_below_it(inside):
    def body():
        ctx, cancel = with_cancel(background())
        below = with_value(with_timeout(with_cancel(ctx).ctx, LONG).ctx, "k", "v")
        beside, _ = with_cancel(background())
        before = [c.err() for c in (ctx, below)]
        cancel()
        cancel()
        after_ = [(type(c.err()), str(c.err()), is_done(c)) for c in (ctx, below)]
        return before, after_, beside.err()

    canceled = (Canceled, "context canceled", True)
    assert inside(body) == ([None, None], [canceled, canceled], None)


def test_a_child_of_a_cancelled_context_is_born_cancelled():
    ctx, cancel = with_cancel(background())
    cancel()
    child = with_timeout(ctx, LONG).ctx
    assert isinstance(child.err(), Canceled) and is_done(child)


def test_a_cancelled_child_leaves_its_parent_alone():
    ctx, _ = with_cancel(background())
    child, cancel = with_cancel(ctx)
    cancel()
    assert isinstance(child.err(), Canceled) and ctx.err() is None


def test_who_waits_for_done_wakes(inside, until_waiting):
    def body():
        ctx, cancel = with_cancel(background())
        out = Chan(10)
        goroutines = [gort.go(lambda: out.send(ctx.done().recv_ok())) for _ in range(10)]
        for g in goroutines:
            until_waiting(g)
        cancel()
        return {out.recv() for _ in range(10)}

    assert inside(body) == {(None, False)}


def test_done_is_the_same_channel_each_time_and_cannot_be_closed():
    ctx, _ = with_cancel(background())
    assert ctx.done() is ctx.done()
    with pytest.raises(TypeError):
        ctx.done().close()


def test_the_pair_is_a_context_manager(inside):
    def body():
        with with_cancel(background()) as ctx:
            before = ctx.err()
        with with_cancel_cause(background()) as other:
            pass
        return before, type(ctx.err()), type(other.err()), repr(cause(other))

    assert inside(body) == (None, Canceled, Canceled, "Canceled('context canceled')")


def test_the_pair_has_names():
    pair = with_cancel(background())
    assert pair.ctx is pair[0] and pair.cancel is pair[1]


def test_cancelled_by_a_thread_seen_by_goroutines():
    ctx, cancel = with_cancel(background())
    thread = threading.Thread(target=cancel)

    def body():
        wg = WaitGroup()
        for _ in range(10):
            wg.go(ctx.done().recv)
        thread.start()
        wg.wait()

    gort.run(body)
    thread.join()


# --- deadlines


def test_a_timeout_cancels_by_itself(inside):
    def body():
        ctx, _ = with_timeout(background(), SOON)
        ctx.done().recv()
        error = ctx.err()
        return type(error), str(error), isinstance(error, TimeoutError), ctx.deadline() <= time.monotonic()

    assert inside(body) == (DeadlineExceeded, "context deadline exceeded", True, True)


@pytest.mark.parametrize("s", [0, -1, datetime.timedelta(seconds=-1)])
def test_a_timeout_that_is_over_cancels_at_once(s):
    assert isinstance(with_timeout(background(), s).ctx.err(), DeadlineExceeded)


def test_a_deadline_is_a_time_of_the_monotonic_clock_or_an_aware_datetime():
    when = time.monotonic() + LONG
    aware = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=LONG)
    for time_given, error in (when, 1e-6), (aware, 60):
        with with_deadline(background(), time_given) as ctx:
            assert ctx.deadline() == pytest.approx(when, abs=error)
    assert isinstance(with_deadline(background(), 0).ctx.err(), DeadlineExceeded)


def test_the_earlier_deadline_stands():
    with with_timeout(background(), 10) as outer:
        inner, _ = with_timeout_cause(outer, LONG, KeyError())
        assert inner.deadline() == outer.deadline()
        assert str(inner).endswith(".WithCancel")


def test_cancel_before_the_deadline_counts():
    ctx, cancel = with_timeout(background(), LONG)
    cancel()
    assert isinstance(ctx.err(), Canceled)


# --- causes


def test_the_first_cause_counts_and_goes_down():
    ctx, cancel = with_cancel_cause(background())
    child, cancel_child = with_cancel_cause(ctx)
    first, second = KeyError("first"), KeyError("second")
    cancel(first)
    cancel(second)
    cancel_child(second)
    assert cause(ctx) is first and cause(child) is first
    assert isinstance(ctx.err(), Canceled) and isinstance(child.err(), Canceled)


def test_a_childs_cause_does_not_reach_its_parent():
    ctx, _ = with_cancel_cause(background())
    child, cancel = with_cancel_cause(ctx)
    cancel(KeyError("k"))
    assert cause(ctx) is None and isinstance(cause(child), KeyError)


def test_no_cause_is_the_error_itself():
    ctx, cancel = with_cancel_cause(background())
    assert cause(ctx) is None
    cancel(None)
    assert isinstance(cause(ctx), Canceled)


@pytest.mark.parametrize("make", [with_timeout_cause, with_deadline_cause])
def test_the_cause_of_a_deadline_is_used_when_it_passes_only(make):
    late = KeyError("late")
    passed, _ = make(background(), 0, late)
    assert cause(passed) is late and isinstance(passed.err(), DeadlineExceeded)
    cancelled, cancel = make(background(), time.monotonic() + LONG, late)
    cancel()
    assert isinstance(cause(cancelled), Canceled)


# --- values


def test_the_nearest_value_is_found():
    ctx = with_value(with_value(with_value(background(), "a", 1), "b", 2), "a", 3)
    assert (ctx.value("a"), ctx.value("b"), ctx.value("c")) == (3, 2, None)
    assert with_cancel(ctx).ctx.value("a") == 3


def test_keys_of_different_types_are_different():
    ctx = with_value(with_value(background(), 1, "int"), True, "bool")
    assert (ctx.value(1), ctx.value(True), ctx.value(1.0)) == ("int", "bool", None)


@given(st.lists(st.tuples(st.text(max_size=2), st.integers()), max_size=10), st.text(max_size=2))
def test_values_are_those_of_a_dict(pairs, key):
    ctx = background()
    for k, v in pairs:
        ctx = with_value(ctx, k, v)
    assert ctx.value(key) == dict(pairs).get(key)


def test_without_cancel_keeps_the_values_only():
    ctx, cancel = with_timeout(with_value(background(), "k", "v"), LONG)
    kept = without_cancel(ctx)
    cancel()
    assert (kept.value("k"), kept.err(), kept.done(), kept.deadline(), cause(kept)) == ("v", None, None, None, None)
    child, cancel_child = with_cancel(kept)
    assert child.err() is None
    cancel_child()
    assert isinstance(child.err(), Canceled)


# --- after_func


def test_after_func_calls_once_the_context_is_cancelled(inside):
    def body():
        ctx, cancel = with_cancel(background())
        out, me = Chan(2), gort.current()
        after_func(ctx, lambda: out.send(gort.current() is me))
        before = out.try_recv()
        cancel()
        return before, out.recv()

    assert inside(body) == (None, False)


def test_after_func_of_a_cancelled_context_calls_at_once(inside):
    def body():
        ctx, cancel = with_cancel(background())
        cancel()
        out = Chan()
        stop = after_func(ctx, lambda: out.send("called"))
        return out.recv(), stop()

    assert inside(body) == ("called", False)


def test_after_func_is_called_when_a_deadline_passes(inside):
    def body():
        out = Chan()
        ctx, _ = with_timeout(background(), SOON)
        after_func(ctx, lambda: out.send(repr(ctx.err())))
        return out.recv()

    assert inside(body) == "DeadlineExceeded('context deadline exceeded')"


def test_stop_keeps_the_function_from_being_called():
    ctx, cancel = with_cancel(background())
    out = Chan(1)
    stop = after_func(ctx, lambda: out.send("stopped"))
    other = Chan(1)
    after_func(ctx, lambda: other.send("called"))
    assert (stop(), stop()) == (True, False)
    cancel()
    assert other.recv() == "called"
    assert out.try_recv() is None


def test_stop_releases_the_function():
    ctx, _ = with_cancel(background())
    thing = Thing()
    seen = weakref.ref(thing)
    stop = after_func(ctx, thing)
    del thing
    assert seen() is not None
    stop()
    assert seen() is None


def test_after_func_of_a_context_that_is_never_cancelled():
    assert after_func(background(), print)() is True


def test_a_registration_does_not_outlive_its_run():
    ctx, cancel = with_cancel(background())
    called = []
    gort.run(lambda: after_func(ctx, lambda: called.append(1)) and None)
    cancel()
    gort.run(lambda: gort.sleep(SOON))
    assert called == []


# --- texts


def test_str_is_gos():
    ctx = with_value(with_cancel(background()).ctx, "key", "value")
    assert str(ctx) == "context.Background.WithCancel.WithValue(key, value)"
    assert str(without_cancel(todo())) == "context.TODO.WithoutCancel"
    assert str(with_value(background(), Thing, None)).startswith("context.Background.WithValue(")
    assert str(with_value(background(), 1, None)) == "context.Background.WithValue(int, <nil>)"
    with with_timeout(background(), LONG) as timed:
        assert re.fullmatch(
            r"context\.Background\.WithDeadline\(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} \w+ m=[+-]\d+\.\d+ \[59m\d\d(\.\d+)?s\]\)",
            str(timed),
        )


def test_what_a_values_str_raises_reaches_the_caller():
    class Bad:
        def __str__(self):
            raise KeyError("bad")

    with pytest.raises(KeyError):
        str(with_value(background(), "k", Bad()))


def test_repr_is_short():
    ctx, cancel = with_cancel(background())
    assert repr(ctx) == "<Context WithCancel>"
    cancel()
    assert repr(ctx) == "<Context WithCancel (context canceled)>"


def test_tree_draws_what_would_be_cancelled():
    ctx, _ = with_cancel(background())
    a, cancel_a = with_cancel(with_value(ctx, "k", "v"))
    b, _ = with_cancel(a)
    c, _ = with_cancel(ctx)
    assert tree(ctx) == "WithCancel\n├── WithValue.WithCancel\n│   └── WithCancel\n└── WithCancel"
    cancel_a()
    assert tree(ctx) == "WithCancel\n└── WithCancel"
    assert tree(a) == "WithCancel (context canceled)"


# --- misuse


@pytest.mark.parametrize(
    "call",
    [
        lambda: with_cancel(None),
        lambda: with_cancel_cause(None),
        lambda: with_timeout(None, 1),
        lambda: with_timeout_cause(None, 1, None),
        lambda: with_deadline(None, 1),
        lambda: with_deadline_cause(None, 1, None),
        lambda: with_value(None, "k", "v"),
        lambda: without_cancel(None),
    ],
)
def test_a_nil_parent_panics(call):
    with pytest.raises(PanicError) as error:
        call()
    assert str(error.value) == "cannot create context from nil parent"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: with_value(background(), None, 1), PanicError, "nil key"),
        (lambda: with_value(background(), [], 1), PanicError, "key is not comparable"),
        (lambda: with_cancel("ctx"), TypeError, "with_cancel: ctx must be a Context, got str"),
        (lambda: with_timeout(background(), "1"), TypeError, "with_timeout: s must be a number of seconds or a timedelta, got str"),
        (lambda: with_timeout(background(), float("nan")), ValueError, "with_timeout: s must be a number of seconds, got nan"),
        (
            lambda: with_deadline(background(), datetime.timedelta(1)),
            TypeError,
            "with_deadline: d must be a time.monotonic() float or a datetime, got timedelta",
        ),
        (
            lambda: with_deadline(background(), datetime.datetime(2030, 1, 1)),
            ValueError,
            "with_deadline: d must be an aware datetime, got datetime.datetime(2030, 1, 1, 0, 0)",
        ),
        (lambda: with_cancel_cause(background()).cancel("why"), TypeError, "cancel: cause must be an exception or None, got str"),
        (lambda: after_func(background(), None), TypeError, "after_func: fn must be callable, got NoneType"),
        (lambda: copy.copy(background()), TypeError, "cannot pickle or copy gort.context.Context objects"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize("error", [Canceled(), DeadlineExceeded()])
def test_the_errors_pickle(error):
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error) and str(copied) == str(error)


# --- references


def test_a_forgotten_context_goes_away():
    parent, cancel = with_cancel(background())
    child, _ = with_timeout(with_value(parent, "k", "v"), LONG)
    seen = weakref.ref(child)
    child.done()
    del child, _
    gc.collect()
    assert seen() is None
    cancel()  # its deadline stays with the parent, as in Go


def test_the_done_channel_keeps_its_context():
    ctx, cancel = with_cancel(background())
    done = ctx.done()
    seen = weakref.ref(ctx)
    del ctx
    cancel()
    del cancel
    assert done.recv_ok() == (None, False) and seen() is not None
    del done
    assert seen() is None


def test_a_value_that_knows_its_context_is_collected(collected):
    request = Thing()
    seen = weakref.ref(request)
    request.ctx = with_cancel(with_value(background(), "request", request)).ctx
    request.done = request.ctx.done()
    del request
    collected()
    assert seen() is None


def test_a_cause_that_knows_its_context_is_collected(collected):
    def body():
        ctx, cancel = with_cancel_cause(background())
        try:
            raise KeyError("k")
        except KeyError as error:
            cancel(error)  # its traceback holds this frame, and so ctx
        return weakref.ref(ctx)

    seen = body()
    collected()
    assert seen() is None


def test_a_long_chain_of_contexts_dies_without_deep_recursion():
    ctx = background()
    for n in range(100_000):
        ctx = with_value(ctx, n, n)
    assert ctx.value(5) == 5
    del ctx
