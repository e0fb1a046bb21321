"""Group: errors of goroutines that work on one task."""

from __future__ import annotations

import asyncio
import copy

import pytest

import gort
from gort import Group, context
from gort.errors import Canceled
from gort.sync import GroupPair

BACKGROUND = context.background()


class Doomed(Exception):
    pass


FIRST, SECOND = Doomed("1"), Doomed("2")


def fails_with(error):
    if error is not None:
        raise error


def errors_of(wait):
    try:
        wait()
    except BaseExceptionGroup as group:
        return list(group.exceptions)
    return []


@pytest.mark.go("x/sync/errgroup/errgroup_test.go TestZeroGroup")
@pytest.mark.parametrize("errors", [[], [None], [FIRST], [FIRST, None], [FIRST, None, SECOND]])
def test_every_wait_raises_the_errors_so_far_the_first_one_first(inside, errors):
    def body():
        group, so_far = Group(), []
        for error in errors:
            group.go(fails_with, error)
            so_far += [error] * (error is not None)
            assert errors_of(group.wait) == so_far
        return errors_of(group.wait) == so_far

    assert inside(body)


@pytest.mark.go("x/sync/errgroup/errgroup_test.go TestWithContext, TestCancelCause")
@pytest.mark.parametrize("errors", [[], [None], [FIRST], [FIRST, None]])
@pytest.mark.parametrize("start", [Group.go, Group.try_go])
def test_the_end_of_waiting_cancels_the_context_with_the_first_error(inside, errors, start):
    def body():
        group, ctx = Group.with_context(BACKGROUND)
        for error in errors:
            start(group, fails_with, error)
        got = errors_of(group.wait)
        return got, type(ctx.err()), context.cause(ctx)

    got, err, cause = inside(body)
    assert got == [e for e in errors if e]
    assert err is Canceled
    if got:
        assert cause is got[0]
    else:
        assert isinstance(cause, Canceled)


def test_the_first_error_cancels_the_context_at_once(inside):
    def body():
        group, ctx = Group.with_context(BACKGROUND)
        others = [group.go(ctx.done().recv) for _ in range(3)]
        group.go(fails_with, FIRST)
        for other in others:
            other.result()
        return errors_of(group.wait), context.cause(ctx)

    assert inside(body) == ([FIRST], FIRST)


@pytest.mark.go("x/sync/errgroup/errgroup_test.go TestTryGo")
def test_try_go_starts_as_many_as_the_limit(inside):
    def body():
        group, channel = Group(), gort.Chan()
        for limit in (42, 1):
            group.set_limit(limit)
            for _ in range(2):  # again after all have ended
                futures = [group.try_go(channel.send, None) for _ in range(limit)]
                assert all(futures)
                assert group.try_go(channel.send, None) is None
                for _ in range(limit):
                    channel.recv()
                group.wait()
        group.set_limit(0)
        assert [group.try_go(channel.send, None) for _ in range(1 << 10)] == [None] * (1 << 10)
        group.wait()

    inside(body)


@pytest.mark.go("x/sync/errgroup/errgroup_test.go TestGoLimit")
def test_go_waits_until_fewer_than_the_limit_are_active(inside):
    def body():
        active, most, lock, group = 0, 0, gort.Mutex(), Group()

        def work():
            nonlocal active, most
            with lock:
                active += 1
                most = max(most, active)
            gort.gosched()
            with lock:
                active -= 1

        group.set_limit(10)
        for _ in range(1 << 9):
            group.go(work)
        group.wait()
        return most <= 10

    assert inside(body)


def test_go_with_limit_0_waits_for_ever():
    def body():
        group = Group()
        group.set_limit(0)
        group.go(print)

    with pytest.raises(gort.Deadlock):
        gort.run(body)


def test_a_limit_cannot_be_changed_while_goroutines_count_for_it_but_lifted(inside):
    def body():
        group, channel = Group(), gort.Chan()
        group.set_limit(2)
        futures = [group.go(channel.recv), group.go(channel.recv)]
        with pytest.raises(gort.PanicError) as caught:
            group.set_limit(3)
        group.set_limit(-1)
        futures.append(group.go(channel.recv))
        group.set_limit(1)
        channel.close()
        group.wait()
        group.set_limit(5)
        return str(caught.value), [f.result() for f in futures]

    assert inside(body) == ("errgroup: modify limit while 2 goroutines in the group are still active", [None] * 3)


def test_with_waits_and_raises(inside):
    def body():
        done = []
        with pytest.raises(ExceptionGroup) as caught, Group() as group:
            group.go(fails_with, FIRST)
            group.go(lambda: (gort.gosched(), done.append(True)))
        return str(caught.value), list(caught.value.exceptions), done

    assert inside(body) == ("unhandled errors in a gort.Group (1 sub-exception)", [FIRST], [True])


def test_an_exception_that_leaves_the_body_is_an_error_of_the_group_and_cancels(inside):
    def body():
        with pytest.raises(ExceptionGroup) as caught, Group.with_context(BACKGROUND) as (group, ctx):
            waits = group.go(ctx.done().recv)
            raise FIRST
        return list(caught.value.exceptions), waits.result(), context.cause(ctx)

    assert inside(body) == ([FIRST], None, FIRST)


@pytest.mark.parametrize("leaves", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_passes_through_when_all_have_ended(leaves):
    def body():
        with Group.with_context(BACKGROUND) as (group, ctx):
            waits.append(group.go(ctx.done().recv))
            raise leaves

    waits = []
    with pytest.raises(leaves):
        body()
    assert waits[0].done()


def test_a_goexit_in_the_body_waits_too():
    ended = []

    def body():
        with Group.with_context(BACKGROUND) as (group, ctx):
            group.go(lambda: (ctx.done().recv(), ended.append(True)))
            gort.goexit()

    gort.go(body).join()
    assert ended == [True]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_base_exception_of_a_goroutine_is_a_member_of_a_base_exception_group(inside, error):
    def body():
        group = Group()
        group.go(fails_with, error)
        with pytest.raises(BaseExceptionGroup) as caught:
            group.wait()
        return type(caught.value), caught.value.exceptions

    assert inside(body) == (BaseExceptionGroup, (error,))


def test_a_goroutine_that_exits_counts_as_done_without_an_error(inside):
    def body():
        group = Group()
        group.set_limit(1)
        for _ in range(3):
            group.go(gort.goexit)
        group.wait()

    inside(body)


def test_the_end_of_a_run_settles_what_has_not_begun():
    def body():
        group = Group()
        group.set_limit(1)
        return group, group.go(gort.nil_chan.recv)

    group, future = gort.run(body)
    group.wait()
    group.go(int)
    group.wait()
    assert future.cancelled()


def test_groups_nest(inside):
    def body():
        def inner():
            with Group() as group:
                group.go(fails_with, FIRST)

        outer = Group()
        outer.go(inner)
        with pytest.raises(ExceptionGroup) as caught:
            outer.wait()
        return caught.value.exceptions[0].exceptions

    assert inside(body) == (FIRST,)


def test_asyncio_awaits_the_parts():
    async def main():
        group = Group()
        return await asyncio.gather(*(asyncio.wrap_future(group.go(pow, n, 2)) for n in range(4)))

    assert asyncio.run(main()) == [0, 1, 4, 9]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Group().go(3), TypeError, "go: fn must be callable, got int"),
        (lambda: Group().try_go(None), TypeError, "try_go: fn must be callable, got NoneType"),
        (lambda: Group().set_limit("1"), TypeError, "set_limit: n must be an int, got str"),
        (lambda: Group.with_context(None), gort.PanicError, "cannot create context from nil parent"),
        (lambda: copy.copy(Group()), TypeError, "cannot pickle or copy gort.Group objects"),
        (lambda: type("Mine", (Group,), {}), TypeError, "type 'gort.Group' is not an acceptable base type"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_the_pair_is_named():
    pair = Group.with_context(BACKGROUND)
    assert isinstance(pair, GroupPair)
    assert pair.group is pair[0]
    assert pair.ctx is pair[1]
    pair.group.wait()


@pytest.mark.parametrize("seed", range(20))
def test_under_every_schedule_all_errors_are_there_and_the_cause_is_the_first(seed):
    def body():
        group, ctx = Group.with_context(BACKGROUND)
        group.set_limit(2)
        for error in (FIRST, None, SECOND):
            group.go(fails_with, error)
        got = errors_of(group.wait)
        return set(got) == {FIRST, SECOND} and context.cause(ctx) is got[0]

    assert gort.run(body, seed=seed)


def test_many_goroutines_of_many_groups_end():
    def work(depth):
        if depth:
            with Group() as group:
                for _ in range(3):
                    group.go(work, depth - 1)
        return depth

    with Group() as group:
        futures = [group.go(work, 3) for _ in range(8)]
    assert [f.result() for f in futures] == [3] * 8
