"""Limiter, Reservation, Sometimes, every: the arithmetic at given times, and the waiting."""

from __future__ import annotations

import copy
import datetime
import math
import time

import pytest

import gort
from gort import Limiter, context
from gort.errors import Canceled, DeadlineExceeded, RateError
from gort.sync import Group, Reservation, Sometimes, every

BACKGROUND = context.background()
SECOND = 1_000_000_000
D = SECOND // 10
START = 1_000 * SECOND
LONG = 3600.0
GO = "x/time/rate/rate_test.go "


def at(tenths):
    return START + tenths * D


@pytest.mark.go(GO + "TestEvery")
def test_every_is_the_rate_of_an_interval():
    cases = [(0, math.inf), (-1, math.inf), (1e-9, 1e9), (1e-6, 1e6), (0.001, 1000), (0.1, 10), (1, 1), (2, 0.5), (2.5, 0.4), (4, 0.25), (math.inf, 0)]
    for interval, rate in cases:
        assert every(interval) == pytest.approx(rate)
    assert every(datetime.timedelta(milliseconds=10)) == pytest.approx(100)
    assert every(5e-324) == math.inf


def allows(limiter, steps):
    """Each step (time, n) with the tokens before it and the answer."""
    return [(limiter._tokens_at(at(t)), limiter._allow_n(at(t), n)) for t, n in steps]


@pytest.mark.go(GO + "TestLimiterBurst1")
def test_a_burst_of_one():
    steps = [(0, 1), (0, 1), (0, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 1)]
    yes, no = (1, True), (0, False)
    assert allows(Limiter(10, 1), steps) == [yes, no, no, yes, no, no, (1, False), yes, no]


@pytest.mark.go(GO + "TestLimiterBurst3")
def test_a_burst_of_three():
    steps = [(0, 2), (0, 2), (0, 1), (0, 1), (1, 4), (2, 1), (3, 1), (4, 1), (4, 1), (4, 1), (4, 1), (9, 3), (9, 0)]
    said = allows(Limiter(10, 3), steps)
    assert [tokens for tokens, _ in said] == [3, 1, 1, 0, 1, 2, 2, 2, 1, 0, 0, 3, 0]
    assert [ok for _, ok in said] == [True, False, True, False, False, True, True, True, True, False, False, True, True]


@pytest.mark.go(GO + "TestLimiterJumpBackwards")
def test_a_time_before_the_last_one_adds_no_tokens():
    steps = [(1, 1), (0, 1), (0, 1), (0, 1), (0, 1), (1, 1), (1, 1), (1, 1), (2, 1), (2, 1)]
    said = allows(Limiter(10, 3), steps)
    assert [tokens for tokens, _ in said] == [3, 2, 1, 0, 0, 1, 0, 0, 1, 0]
    assert [ok for _, ok in said] == [True, True, True, False, False, True, False, False, True, False]


@pytest.mark.go(GO + "TestLimiter_noTruncationErrors, TestZeroLimit, TestTinyLimit")
@pytest.mark.parametrize("rate", [0.7692307692307693, 0, 1e-10, 5e-324])
def test_the_first_burst_is_there_and_no_more_for_a_long_time(rate):
    limiter = Limiter(rate, 1)
    assert limiter.allow()
    assert not limiter._allow_n(time.monotonic_ns(), 1)


@pytest.mark.go(GO + "TestSimultaneousRequests")
def test_of_many_at_the_same_time_the_burst_is_allowed(inside):
    def body():
        limiter, group = Limiter(1 / LONG, 5), Group()
        allowed = [group.go(limiter.allow) for _ in range(15)]
        return sum(a.result() for a in allowed)

    assert inside(body) == 5


@pytest.mark.go(GO + "TestLongRunningQPS")
def test_in_the_long_run_the_rate_is_used_and_not_exceeded():
    limiter, now, allowed = Limiter(100, 100), START, 0
    while now < START + 5 * SECOND:
        allowed += limiter._allow_n(now, 1)
        now += SECOND // 500
    assert 599 <= allowed <= 601


def tenths(reservation):
    return (reservation._act - START + D // 2) // D if reservation.ok else None


def reserves(limiter, *steps, longest=None):
    return [tenths(limiter._reserve_n(at(t), n, *(() if longest is None else (longest,)))) for t, n in steps]


@pytest.mark.go(GO + "TestSimpleReserve")
def test_a_reservation_says_when_to_act():
    assert reserves(Limiter(10, 2), (0, 2), (0, 2), (3, 2)) == [0, 2, 4]


@pytest.mark.go(GO + "TestMix")
def test_reservations_and_allow_share_the_tokens():
    limiter = Limiter(10, 2)
    assert reserves(limiter, (0, 3), (0, 2)) == [None, 0]
    assert allows(limiter, [(1, 2)]) == [(1, False)]
    assert reserves(limiter, (1, 2)) == [2]
    assert allows(limiter, [(1, 1), (3, 1)]) == [(-1, False), (1, True)]


def cancelled(before, cancels, after, *, burst=2):
    """The times of the reservations before, and after those of ``cancels`` (index, time) are cancelled."""
    limiter = Limiter(10, burst)
    made = [limiter._reserve_n(at(t), n) for t, n in before]
    for index, t in cancels:
        made[index]._cancel_at(at(t))
    return [tenths(r) for r in made], reserves(limiter, after)


@pytest.mark.parametrize(
    ("before", "cancels", "after", "burst", "expected"),
    [
        pytest.param([(0, 2), (0, 3)], [(1, 0)], (0, 2), 2, ([0, None], [2]), marks=pytest.mark.go(GO + "TestCancelInvalid")),
        pytest.param([(0, 2), (0, 2)], [(1, 1)], (1, 2), 2, ([0, 2], [2]), marks=pytest.mark.go(GO + "TestCancelLast")),
        pytest.param([(0, 2), (0, 2)], [(1, 3)], (3, 2), 2, ([0, 2], [4]), marks=pytest.mark.go(GO + "TestCancelTooLate")),
        pytest.param([(0, 2), (0, 1), (0, 1)], [(1, 0)], (0, 1), 2, ([0, 1, 2], [3]), marks=pytest.mark.go(GO + "TestCancel0Tokens")),
        pytest.param([(0, 2), (0, 2), (0, 1)], [(1, 2)], (2, 2), 2, ([0, 2, 3], [4]), marks=pytest.mark.go(GO + "TestCancel1Token")),
        pytest.param(
            [(0, 4), (0, 3), (0, 1), (0, 1)], [(3, 1), (1, 1)], (1, 3), 4, ([0, 3, 4, 5], [5]), marks=pytest.mark.go(GO + "TestCancelMulti")
        ),
        pytest.param([(1, 2), (1, 2), (1, 1)], [(1, 0)], (1, 2), 2, ([1, 3, 4], [4]), marks=pytest.mark.go(GO + "TestReserveJumpBackCancel")),
    ],
)
def test_cancel_gives_back_what_no_later_reservation_counts_on(before, cancels, after, burst, expected):
    assert cancelled(before, cancels, after, burst=burst) == expected


@pytest.mark.go(GO + "TestReserveJumpBack")
def test_reservations_with_times_that_jump_back():
    limiter = Limiter(10, 2)
    assert reserves(limiter, (1, 2), (0, 1), (2, 2), (0, 3), (2, 1)) == [1, 1, 3, None, 4]
    assert reserves(limiter, (0, 2), longest=D) == [None]
    assert reserves(limiter, (2, 1)) == [5]


@pytest.mark.go(GO + "TestReserveSetLimit")
def test_another_limit_counts_from_its_time():
    limiter = Limiter(5, 2)
    assert reserves(limiter, (0, 2), (0, 2)) == [0, 4]
    limiter._set_limit_at(at(2), 10)
    assert reserves(limiter, (2, 1)) == [4]


@pytest.mark.go(GO + "TestReserveSetBurst")
def test_another_burst_counts_from_its_time():
    limiter = Limiter(5, 2)
    assert reserves(limiter, (0, 2), (0, 2)) == [0, 4]
    limiter._set_burst_at(at(3), 4)
    assert reserves(limiter, (0, 4)) == [9]


@pytest.mark.go(GO + "TestReserveSetLimitCancel")
def test_a_reservation_is_cancelled_at_the_limit_it_was_made_at():
    limiter = Limiter(5, 2)
    reserves(limiter, (0, 2))
    second = limiter._reserve_n(at(0), 2)
    limiter._set_limit_at(at(2), 10)
    second._cancel_at(at(2))
    assert reserves(limiter, (2, 2)) == [3]


@pytest.mark.go(GO + "TestReserveMax")
def test_a_reservation_too_far_ahead_is_not_made():
    assert reserves(Limiter(10, 2), (0, 2), (0, 1), (0, 1), longest=D) == [0, 1, None]


class Clock:
    """A time that goes on only while somebody waits."""

    def __init__(self):
        self.now = START
        self.cancel_at = None

    def nap(self, s, done):
        self.now += round(s * SECOND)
        if self.cancel_at is not None and self.now > self.cancel_at[0]:
            self.now = self.cancel_at[0]
            self.cancel_at[1]()
            return False
        return True

    def wait(self, limiter, n, ctx):
        """What wait raised, and after how many tenths."""
        start, error = self.now, None
        try:
            limiter._wait_n(n, ctx, lambda: self.now, self.nap)
        except (RateError, Canceled, DeadlineExceeded) as e:
            error = e
        return error and f"{type(error).__name__}: {error}", (self.now - start + D // 2) // D


@pytest.mark.go(GO + "TestWaitSimple")
def test_wait_waits_or_says_why_it_cannot():
    limiter, clock = Limiter(10, 3), Clock()
    ctx, cancel = context.with_cancel(BACKGROUND)
    cancel()
    assert clock.wait(limiter, 1, ctx) == ("Canceled: context canceled", 0)
    assert clock.wait(limiter, 4, None) == ("RateError: rate: Wait(n=4) exceeds limiter's burst 3", 0)
    assert clock.wait(limiter, 2, BACKGROUND) == (None, 0)
    assert clock.wait(limiter, 3, None) == (None, 2)


@pytest.mark.go(GO + "TestWaitCancel")
def test_a_cancelled_wait_gives_its_tokens_back():
    limiter, clock = Limiter(10, 3), Clock()
    ctx, cancel = context.with_cancel(BACKGROUND)
    assert clock.wait(limiter, 2, ctx) == (None, 0)
    clock.cancel_at = (START + D, cancel)
    assert clock.wait(limiter, 3, ctx) == ("Canceled: context canceled", 1)
    assert limiter._tokens_at(clock.now) == 2
    assert clock.wait(limiter, 2, None) == (None, 0)


@pytest.mark.go(GO + "TestWaitTimeout")
def test_a_wait_beyond_the_deadline_is_refused_at_once():
    limiter, clock = Limiter(10, 3), Clock()

    class Deadline:
        def done(self):
            return BACKGROUND.done()

        def err(self):
            return None

        def deadline(self):
            return START / SECOND + 0.1

    assert clock.wait(limiter, 2, Deadline()) == (None, 0)
    assert clock.wait(limiter, 3, Deadline()) == ("RateError: rate: Wait(n=3) would exceed context deadline", 0)
    assert limiter._tokens_at(clock.now) == 1


@pytest.mark.go(GO + "TestWaitInf")
def test_without_a_limit_nobody_waits():
    limiter = Limiter(math.inf, 0)
    assert Clock().wait(limiter, 3, None) == (None, 0)
    assert limiter.allow(10)
    assert limiter.limit == math.inf
    assert limiter.tokens() == 0


@pytest.mark.go(GO + "TestSetAfterZeroLimit")
def test_a_limit_after_none_fills_the_bucket():
    limiter, clock = Limiter(0, 1), Clock()
    assert limiter._allow_n(START, 1)
    assert not limiter._allow_n(START, 1)
    limiter._set_limit_at(START, 10)
    assert clock.wait(limiter, 1, None) == (None, 1)


def test_wait_parks_until_the_tokens_are_there(inside):
    def body():
        limiter = Limiter(1000, 1)
        before = time.monotonic()
        for ctx in (None, BACKGROUND, context.with_cancel(BACKGROUND).ctx) * 2:
            limiter.wait(ctx=ctx)
        return time.monotonic() - before >= 0.004

    assert inside(body)


def test_cancel_ends_a_wait_and_gives_the_tokens_back(until_waiting):
    def body():
        limiter, errors = Limiter(1 / LONG, 2), []
        ctx, cancel = context.with_cancel(BACKGROUND)
        limiter.wait(2)

        def waiter():
            try:
                limiter.wait(1, ctx)
            except Canceled as error:
                errors.append(str(error))

        g = gort.go(waiter)
        until_waiting(g)
        during = limiter.tokens()
        cancel()
        g.join()
        return errors, during < -0.5, -0.5 < limiter.tokens() < 0.5

    assert gort.run(body) == (["context canceled"], True, True)


def test_the_end_of_a_run_gives_the_tokens_of_waiters_back():
    limiter = Limiter(1 / LONG, 1)

    def body():
        limiter.wait()
        gort.go(limiter.wait)
        gort.gosched()

    gort.run(body)
    assert -0.5 < limiter.tokens() < 0.5


def test_a_reservation_has_a_delay_and_can_be_cancelled(inside):
    def body():
        limiter = Limiter(1 / LONG, 1)
        first, second, third = limiter.reserve(), limiter.reserve(), limiter.reserve(2)
        delays = first.delay(), second.delay(), third.delay()
        second.cancel()
        third.cancel()
        return delays, [r.ok for r in (first, second, third)], limiter.tokens(), repr(second), repr(third)

    (now, later, never), ok, tokens, *texts = inside(body)
    assert (now, never) == (0, math.inf)
    assert LONG / 2 < later <= LONG
    assert ok == [True, True, False]
    assert -0.5 < tokens < 0.5
    assert texts == ["<Reservation of 1>", "<Reservation not ok>"]


def test_what_a_limiter_without_rate_reserves_never_comes():
    limiter = Limiter(0, 1)
    limiter.allow()
    assert limiter.reserve().delay() == math.inf
    with (
        context.with_timeout(BACKGROUND, LONG) as ctx,
        pytest.raises(RateError, match=r"^rate: Wait\(n=1\) would exceed context deadline$"),
    ):
        limiter.wait(1, ctx)


def test_limit_and_burst_are_shown_and_changed():
    limiter = Limiter(10, 3)
    assert (limiter.limit, limiter.burst, repr(limiter)) == (10, 3, "<Limiter 10/s burst 3>")
    limiter.set_limit(math.inf)
    limiter.set_burst(7)
    assert (limiter.limit, limiter.burst) == (math.inf, 7)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Limiter(math.nan, 1), ValueError, "Limiter: rate must be a number of events per second, got nan"),
        (lambda: Limiter(-1, 1), ValueError, "Limiter: rate must be at least 0, got -1"),
        (lambda: Limiter("1", 1), TypeError, "Limiter: rate must be a number of events per second, got str"),
        (lambda: Limiter(1, -1), ValueError, "Limiter: burst must be at least 0, got -1"),
        (lambda: Limiter(1, 1.0), TypeError, "Limiter: burst must be an int, got float"),
        (lambda: Limiter(1, 1).allow(-1), ValueError, "allow: n must be at least 0, got -1"),
        (lambda: Limiter(1, 1).reserve(-1), ValueError, "reserve: n must be at least 0, got -1"),
        (lambda: Limiter(1, 1).wait(-1), ValueError, "wait: n must be at least 0, got -1"),
        (lambda: Limiter(1, 1).wait(1, "ctx"), TypeError, "wait: ctx must be a Context, got str"),
        (lambda: Limiter(1, 1).set_limit(math.nan), ValueError, "set_limit: rate must be a number of events per second, got nan"),
        (lambda: Limiter(1, 1).set_burst(-1), ValueError, "set_burst: burst must be at least 0, got -1"),
        (lambda: every(math.nan), ValueError, "every: s must be a number of seconds, got nan"),
        (lambda: every("1"), TypeError, "every: s must be a number of seconds or a timedelta, got str"),
        (lambda: Sometimes(first="1"), TypeError, "Sometimes: first must be an int, got str"),
        (lambda: Sometimes(interval=math.nan), ValueError, "Sometimes: interval must be a number of seconds, got nan"),
        (lambda: Sometimes().do(1), TypeError, "do: fn must be callable, got int"),
        (lambda: copy.copy(Limiter(1, 1)), TypeError, "cannot pickle or copy gort.Limiter objects"),
        (lambda: copy.copy(Limiter(1, 1).reserve()), TypeError, "cannot pickle or copy gort.Reservation objects"),
        (lambda: type("Mine", (Reservation,), {}), TypeError, "type 'gort.Reservation' is not an acceptable base type"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == text


SOMETIMES = "x/time/rate/sometimes_test.go "


@pytest.mark.parametrize(
    ("sometimes", "expected"),
    [
        pytest.param({}, [1], marks=pytest.mark.go(SOMETIMES + "ExampleSometimes_once")),
        pytest.param({"first": 2}, [1, 2], marks=pytest.mark.go(SOMETIMES + "ExampleSometimes_first")),
        pytest.param({"every": 2}, [1, 3, 5], marks=pytest.mark.go(SOMETIMES + "ExampleSometimes_every")),
        pytest.param({"interval": 1}, [1, 4], marks=pytest.mark.go(SOMETIMES + "ExampleSometimes_interval")),
        pytest.param({"first": 2, "every": 2, "interval": 2}, [1, 2, 3, 4, 5], marks=pytest.mark.go(SOMETIMES + "ExampleSometimes_mix")),
        pytest.param({"interval": 0}, [1], marks=pytest.mark.go(SOMETIMES + "TestSometimesZero")),
        pytest.param({"interval": math.inf}, [1], marks=pytest.mark.go(SOMETIMES + "TestSometimesMax")),
        pytest.param({"interval": -1, "first": -1, "every": -1}, [1], marks=pytest.mark.go(SOMETIMES + "TestSometimesNegative")),
    ],
)
def test_sometimes_does_what_one_of_its_rules_says(sometimes, expected):
    """Six calls; between the third and the fourth two seconds pass."""
    some, now, done = Sometimes(**sometimes), START, []
    for n in range(1, 7):
        if n == 4:
            now += 2 * SECOND
        some._do(lambda n=n: done.append(n), lambda now=now: now)
    assert done == expected


def test_a_call_of_sometimes_that_raises_does_not_count(inside):
    def body():
        some, done = Sometimes(), []
        with pytest.raises(ZeroDivisionError):
            some.do(lambda: 1 / 0)
        some.do(lambda: done.append(1))
        some.do(lambda: done.append(2))
        return done

    assert inside(body) == [1]


@pytest.mark.lock_faults
def test_a_do_inside_do_waits_for_itself():
    some = Sometimes()
    with pytest.raises(gort.Deadlock):
        gort.run(some.do, lambda: some.do(print))
