"""Custom contexts: objects of other classes as parents and arguments of gort.context's functions."""

from __future__ import annotations

import gc
import math
import threading
import time
import weakref

import pytest

import gort
from gort import Chan, PanicError, context, select
from gort.context import (
    Canceled,
    DeadlineExceeded,
    after_func,
    background,
    cause,
    with_cancel,
    with_cancel_cause,
    with_deadline,
    with_timeout,
    with_timeout_cause,
    with_value,
    without_cancel,
)
from gort.sync import Group, Limiter, Semaphore

LONG = 3600


class Wrapper:
    """Hands all on to another context."""

    def __init__(self, ctx):
        self.ctx = ctx

    def done(self):
        return self.ctx.done()

    def err(self):
        return self.ctx.err()

    def deadline(self):
        return self.ctx.deadline()

    def value(self, key):
        return self.ctx.value(key)


class OwnDone(Wrapper):
    """Hands all on but done()."""

    def __init__(self, ctx, channel=None):
        super().__init__(ctx)
        self.channel = Chan() if channel is None else channel

    def done(self):
        return self.channel


class Own:
    """A context of its own, that may tell others when it is done (with_after_func)."""

    when = None

    def __init__(self):
        self.channel, self.error = Chan(), None

    def done(self):
        return self.channel

    def err(self):
        return self.error

    def deadline(self):
        return self.when

    def value(self, key):
        return "mine" if key == "whose" else None

    def cancel(self, error=None):
        if self.error is None:
            self.error = Canceled() if error is None else error
            self.channel.close()


class WithAfterFunc(Own):
    def __init__(self):
        super().__init__()
        self.registered = {}

    def after_func(self, fn):
        key = object()
        self.registered[key] = fn
        return lambda: self.registered.pop(key, None) is not None

    def cancel(self, error=None):
        super().cancel(error)
        while self.registered:
            gort.go(self.registered.popitem()[1])


def is_done(ctx):
    return select(ctx.done(), default=True).index == 0


@pytest.fixture(params=[Own, WithAfterFunc])
def own(request):
    """A custom context that is linked by a goroutine, and one that is by its after_func; cancelled at the end, so that no goroutine is left."""
    made = request.param()
    yield made
    made.cancel()


# --- what is made from one is cancelled with it


@pytest.mark.go("context/afterfunc_test.go TestCustomContextAfterFuncCancel")
def test_a_child_is_cancelled_with_it(own):
    child, _ = with_cancel(own)
    below = with_timeout(with_value(child, "k", "v"), LONG).ctx
    assert child.err() is None and not is_done(child)
    own.cancel()
    below.done().recv()
    assert [type(c.err()) for c in (child, below)] == [Canceled] * 2
    assert [type(cause(c)) for c in (child, below)] == [Canceled] * 2


@pytest.mark.go("context/afterfunc_test.go TestCustomContextAfterFuncTimeout")
def test_a_child_with_a_deadline_is_cancelled_with_it(own):
    child, _ = with_timeout(own, LONG)
    own.cancel()
    child.done().recv()
    assert isinstance(child.err(), Canceled)


def test_inside_a_run_too(own):
    def body():
        child, _ = with_cancel(own)
        gort.go(own.cancel)
        child.done().recv()
        return type(child.err())

    assert gort.run(body) is Canceled


def test_its_error_and_cause_are_the_childs(own):
    child, _ = with_cancel(own)
    own.cancel(DeadlineExceeded())
    child.done().recv()
    assert isinstance(child.err(), DeadlineExceeded) and isinstance(cause(child), DeadlineExceeded)


def test_an_error_of_its_own_is_the_childs_cause(own):
    child, _ = with_cancel(own)
    error = KeyError("why")
    own.cancel(error)
    child.done().recv()
    assert isinstance(child.err(), Canceled) and cause(child) is error
    assert cause(own) is error


def test_a_child_of_one_that_is_done_is_born_cancelled(own):
    own.cancel()
    for child in (with_cancel(own).ctx, with_timeout(own, LONG).ctx, with_cancel(with_value(own, "k", 1)).ctx):
        assert is_done(child) and isinstance(child.err(), Canceled)


def test_a_cancelled_child_leaves_it_alone(own):
    child, cancel = with_cancel(own)
    cancel()
    assert isinstance(child.err(), Canceled) and own.err() is None


@pytest.mark.parametrize("channel", [None, gort.nil_chan])
def test_one_without_done_is_never_cancelled(channel):
    class Never(Own):
        def done(self):
            return channel

    goroutines = gort.num_goroutine()
    child, cancel = with_cancel(Never())
    assert child.err() is None and gort.num_goroutine() == goroutines
    cancel()
    assert isinstance(child.err(), Canceled)


# --- values, deadlines, texts


def test_a_value_context_of_one_hands_its_cancellation_on(own):
    ctx = with_value(own, "k", "v")
    assert (ctx.value("k"), ctx.value("whose"), ctx.value("other")) == ("v", "mine", None)
    assert ctx.done() is own.channel and ctx.err() is None and cause(ctx) is None
    own.cancel()
    assert ctx.err() is own.error and cause(ctx) is own.error


def test_without_cancel_keeps_its_values_only(own):
    ctx = without_cancel(own)
    own.cancel()
    assert (ctx.value("whose"), ctx.done(), ctx.err(), ctx.deadline(), cause(ctx)) == ("mine", None, None, None, None)
    assert with_cancel(ctx).ctx.err() is None


def test_its_deadline_is_that_of_its_children(own):
    own.when = time.monotonic() + LONG
    assert with_cancel(own).ctx.deadline() == pytest.approx(own.when, abs=1e-6)
    with with_timeout(own, 2 * LONG) as later, with_timeout(own, 1) as earlier:
        assert later.deadline() == pytest.approx(own.when, abs=1e-6)
        assert str(later).endswith(".WithCancel")
        assert earlier.deadline() < own.when


def test_a_childs_own_deadline_passes(own):
    child, _ = with_timeout_cause(own, 0.001, KeyError("late"))
    child.done().recv()
    assert isinstance(child.err(), DeadlineExceeded) and isinstance(cause(child), KeyError)
    assert own.err() is None


def test_str_shows_its_text_or_else_its_type(own):
    class Named(Own):
        def __str__(self):
            return "named"

    assert str(with_value(own, "k", "v")) == f"{type(own).__name__}.WithValue(k, v)"
    assert str(without_cancel(Named())) == "named.WithoutCancel"


# --- how it is followed


@pytest.mark.go("context/x_test.go TestCustomContextGoroutines")
def test_goroutines_are_started_only_where_nothing_else_will_do():
    def started(make):
        before = gort.num_goroutine()
        pair = make()
        count = gort.num_goroutine() - before
        pairs.append(pair)
        return count

    pairs, at_first = [], gort.num_goroutine()
    ctx1, cancel1 = with_cancel(background())
    assert started(lambda: with_cancel(OwnDone(background()))) == 1
    assert started(lambda: with_timeout(OwnDone(background()), LONG)) == 1
    assert started(lambda: with_cancel(Wrapper(ctx1))) == 0
    ctx3 = pairs[-1].ctx
    assert started(lambda: with_cancel(Wrapper(Wrapper(with_value(ctx1, "k", "v"))))) == 0
    assert started(lambda: with_cancel(OwnDone(Wrapper(ctx1)))) == 1  # ctx1 does not provide done
    assert started(lambda: with_timeout(ctx3, LONG)) == 0
    ctx4 = pairs[-1].ctx
    assert started(lambda: with_cancel(ctx4)) == 0
    assert started(lambda: with_cancel(WithAfterFunc())) == 0
    for pair in pairs:
        pair.cancel()
    cancel1()
    while gort.num_goroutine() > at_first:
        gort.gosched()
    assert started(lambda: with_cancel(Wrapper(ctx1))) == 0  # cancelled already


@pytest.mark.go("context/x_test.go TestCustomContextPropagation")
def test_a_channel_of_its_own_counts_and_not_that_of_the_context_below():
    why = KeyError("why")
    ctx1, cancel1 = with_cancel_cause(background())
    ctx2 = OwnDone(ctx1)
    ctx3, _ = with_cancel(ctx2)
    cancel1(why)
    assert ctx3.err() is None
    ctx2.channel.close()
    ctx3.done().recv()
    assert isinstance(ctx3.err(), Canceled) and cause(ctx3) is why


def test_a_wrapper_is_seen_through():
    why = KeyError("why")
    ctx, cancel = with_cancel_cause(background())
    child, cancel_child = with_cancel(Wrapper(with_value(ctx, "k", "v")))
    other, _ = with_timeout(Wrapper(Wrapper(ctx)), LONG)
    assert str(child) == "Wrapper.WithCancel" and child.value("k") == "v"
    assert str(context.tree(ctx)) == "WithCancel\n├── Custom.WithCancel\n└── Custom.WithDeadline [3.6e+03s]"
    cancel_child()
    assert ctx.err() is None and other.err() is None
    cancel(why)
    assert isinstance(other.err(), Canceled) and cause(other) is why  # at once, as if it was not there


def test_what_is_seen_through_lives_as_long_as_the_child():
    ctx, cancel = with_cancel_cause(background())
    child, _ = with_cancel(Wrapper(ctx))
    cancel(KeyError("why"))
    del ctx, cancel
    gc.collect()
    assert str(cause(child)) == "'why'"


# --- after_func


@pytest.mark.go("context/afterfunc_test.go TestCustomContextAfterFuncAfterFunc")
def test_after_func_of_one_calls_once_it_is_done(own):
    called = Chan()
    after_func(own, called.close)
    gc.collect()  # nobody holds what after_func gave
    own.cancel()
    assert called.recv_ok() == (None, False)


def test_after_func_of_one_that_is_done_calls_at_once(own):
    own.cancel()
    called = Chan()
    stop = after_func(own, called.close)
    assert called.recv_ok() == (None, False)
    assert stop() is False


def test_after_func_of_one_can_be_stopped(own):
    called = []
    stop = after_func(own, lambda: called.append(1))
    assert (stop(), stop()) == (True, False)
    own.cancel()
    other = Chan()
    after_func(own, other.close)
    other.recv()
    assert called == []


def test_after_func_of_a_wrapper_and_of_one_that_is_never_done():
    ctx, cancel = with_cancel(background())
    called = Chan()
    after_func(Wrapper(ctx), called.close)
    cancel()
    called.recv()
    assert after_func(Wrapper(background()), print)() is True


@pytest.mark.go("context/afterfunc_test.go TestCustomContextAfterFuncUnregisterCancel")
def test_cancelling_a_child_takes_its_registration_back():
    own = WithAfterFunc()
    pairs = with_cancel(own), with_cancel_cause(own)
    assert len(own.registered) == 2
    pairs[0].cancel()
    pairs[1].cancel(None)
    assert len(own.registered) == 0


@pytest.mark.go("context/afterfunc_test.go TestCustomContextAfterFuncUnregisterTimeout")
def test_cancelling_a_child_with_a_deadline_takes_its_registration_back():
    own = WithAfterFunc()
    with with_timeout(own, LONG):
        assert len(own.registered) == 1
    assert len(own.registered) == 0
    with with_timeout(own, 0.001) as ctx:
        ctx.done().recv()
    assert len(own.registered) == 0


@pytest.mark.go("context/afterfunc_test.go TestCustomContextAfterFuncUnregisterAfterFunc")
def test_stopping_an_after_func_takes_its_registration_back():
    own = WithAfterFunc()
    stop = after_func(own, print)
    assert len(own.registered) == 1
    assert stop() is True
    assert len(own.registered) == 0


# --- references


def test_a_forgotten_child_goes_away_with_its_link(own):
    goroutines = gort.num_goroutine()
    child, _ = with_cancel(with_value(own, "k", "v"))
    seen = weakref.ref(child)
    del child, _
    gc.collect()
    assert seen() is None
    while gort.num_goroutine() > goroutines:
        time.sleep(0)
    assert not getattr(own, "registered", None)


def test_one_that_knows_its_child_is_collected(collected):
    custom = WithAfterFunc()
    seen = weakref.ref(custom)
    custom.child = with_cancel(custom)
    del custom
    collected()
    assert seen() is None


def test_children_made_and_cancelled_by_many_threads_leave_nothing(own):
    def work():
        for _ in range(50):
            with with_cancel(own) as ctx:
                assert ctx.err() is None

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not getattr(own, "registered", None)


# --- Go's custom contexts with a cause


class Waits(Wrapper):
    """Done when its cancel is called, or when its parent is; has the parent's values, and so its cause."""

    def __init__(self, ctx):
        super().__init__(ctx)
        self.channel, self.once, self.error = Chan(), gort.Once(), None
        after_func(ctx, lambda: self.end(ctx.err()))

    def end(self, error):
        def first():
            self.error = error
            self.channel.close()

        self.once.do(first)

    def done(self):
        return self.channel

    def err(self):
        return self.error if select(self.channel, default=True).index == 0 else None


@pytest.mark.go("context/x_test.go TestCause/parent of custom context not canceled")
def test_a_custom_context_of_a_parent_that_is_not_cancelled_has_its_error_as_cause():
    ctx = Waits(with_cancel_cause(background()).ctx)
    ctx.end(Canceled())
    assert isinstance(ctx.err(), Canceled) and isinstance(cause(ctx), Canceled)


@pytest.mark.go("context/x_test.go TestCause/parent of custom context is canceled before")
def test_a_custom_context_of_a_parent_that_was_cancelled_before_has_its_cause():
    why = KeyError("why")
    parent, cancel = with_cancel_cause(background())
    ctx = Waits(parent)
    cancel(why)
    ctx.end(Canceled())
    ctx.done().recv()
    assert isinstance(ctx.err(), Canceled) and cause(ctx) is why


@pytest.mark.go("context/x_test.go TestCause/parent of custom context is canceled after")
def test_a_custom_context_of_a_parent_that_was_cancelled_after_it_has_its_cause():
    why = KeyError("why")
    parent, cancel = with_cancel_cause(background())
    ctx = Waits(parent)
    ctx.end(Canceled())
    cancel(why)
    assert isinstance(ctx.err(), Canceled) and cause(ctx) is why


@pytest.mark.go("context/x_test.go TestCustomContextCause")
def test_causes_of_a_custom_context_and_of_its_child_are_apart(own):
    child, cancel = with_cancel_cause(own)
    why = KeyError("why")
    cancel(why)
    assert cause(child) is why and isinstance(child.err(), Canceled)
    assert own.err() is None and cause(own) is None
    own.cancel()
    assert cause(child) is why
    assert isinstance(own.err(), Canceled) and cause(own) is own.error


def test_one_that_cancels_its_child_itself():
    class Parent(Own):
        def cancel(self, error=None):
            super().cancel(error)
            self.cancel_child()

    own = Parent()
    child, own.cancel_child = with_cancel(own)
    own.cancel()
    assert isinstance(child.err(), Canceled) and isinstance(cause(child), Canceled)


# --- misuse


def broken(**methods):
    return type("Broken", (Own,), {name: lambda self, *_, result=result: result for name, result in methods.items()})()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: with_cancel(7), TypeError, "with_cancel: ctx must be a Context, got int"),
        (
            lambda: with_value(type("Half", (), {"done": lambda self: None, "err": lambda self: None})(), "k", 1),
            TypeError,
            "with_value: ctx must have the methods done, err, deadline and value, got Half without deadline",
        ),
        (lambda: with_cancel(broken(done=3)), TypeError, "Broken.done: must return a Chan or None, got int"),
        (lambda: with_value(broken(done=3), "k", 1).done(), TypeError, "Broken.done: must return a Chan or None, got int"),
        (lambda: with_cancel(broken(deadline="x")), TypeError, "Broken.deadline: must return a time.monotonic() float or None, got str"),
        (lambda: with_cancel(broken(deadline=math.nan)), ValueError, "deadline: its result must be a number of seconds, got nan"),
        (lambda: cause(broken(err="why")), TypeError, "Broken.err: must return an exception or None, got str"),
        (lambda: with_value(broken(err="why"), "k", 1).err(), TypeError, "Broken.err: must return an exception or None, got str"),
        (lambda: with_cancel(broken(after_func=None)), TypeError, "Broken.after_func: must return a function, got NoneType"),
        (lambda: with_cancel(broken(done=closed())), PanicError, "context: internal error: missing cancel error"),
        (lambda: after_func(Own(), None), TypeError, "after_func: fn must be callable, got NoneType"),
        (lambda: with_deadline(Own(), "soon"), TypeError, "with_deadline: d must be a time.monotonic() float or a datetime, got str"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def closed():
    channel = Chan()
    channel.close()
    return channel


@pytest.mark.parametrize("method", ["done", "err", "deadline", "value"])
def test_what_its_methods_raise_reaches_the_caller(method):
    def fail(self, *_):
        raise KeyError(method)

    ctx = type("Fails", (Own,), {method: fail})()
    if method == "err":
        ctx.channel.close()
    with pytest.raises(KeyError, match=method):
        with_cancel(ctx)


def test_what_its_str_raises_reaches_the_caller():
    class Bad(Own):
        def __str__(self):
            raise KeyError("bad")

    with pytest.raises(KeyError):
        str(with_value(Bad(), "k", 1))


# --- who waits with one


def test_semaphores_limiters_and_groups_take_one(own):
    semaphore, limiter = Semaphore(1), Limiter(1, 1)
    semaphore.acquire(ctx=own)
    limiter.wait(ctx=own)
    group, ctx = Group.with_context(own)
    own.cancel()
    ctx.done().recv()
    with pytest.raises(Canceled):
        semaphore.acquire(ctx=own)
    with pytest.raises(Canceled):
        limiter.wait(ctx=own)
    group.wait()
