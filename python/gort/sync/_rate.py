"""Limiter, Reservation, Sometimes and every: Go's x/time/rate.

A bucket of ``burst`` tokens, full at first, filled by ``limit`` tokens a second. State: the tokens at time ``last``, which may be negative (taken in
advance), and ``last_event``, the latest time at which somebody may act. The arithmetic is Go's: times are whole nanoseconds, tokens are floats, what is
longer than Go's longest Duration is for ever. So the same calls at the same times give the same answers; tests/go_oracle compares them.

Methods with a leading underscore take the time as an argument, Go's AllowN(t, n) and so on: tests have no need to sleep.
"""

from __future__ import annotations

import datetime
import math
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from .._checks import MOST, closed, done_of, error_of, function_of, real, seconds, whole
from .._final import Final
from .._gort import Chan, Mutex, nil_chan, select, sleep
from ..errors import RateError

if TYPE_CHECKING:
    from ..context import Context

_INF = sys.float_info.max  # Go's rate.Inf: a real infinity would make NaN of "no time passed"
_FOR_EVER = MOST  # Go's InfDuration, in ns
_NEVER = -MOST - 1  # before all times


def every(s: float | datetime.timedelta) -> float:
    """The rate, in events a second, that has s seconds between two events; math.inf if s is zero or less. x/time's rate.Every."""
    interval = seconds("every", "s", s)
    return 1 / interval if interval > 0 else math.inf


class Limiter(Final):
    """Limits how often something happens: x/time's rate.Limiter, a token bucket.

    ``rate``: tokens a second that fill it; math.inf for no limit, 0 for no more than the first burst. ``burst``: how many tokens fit, all there at first,
    and so how many events can happen at once. Each event takes a token: ``allow`` says whether it may, ``wait`` parks until it may, ``reserve`` says when
    it may. Every method may be called from goroutines and plain threads; only ``wait`` parks. ValueError if a rate is NaN or negative, or a burst negative.

    >>> from gort.sync import Limiter
    >>> limiter = Limiter(0.001, 2)
    >>> [limiter.allow() for _ in range(3)]
    [True, True, False]
    """

    __slots__ = ("_burst", "_last", "_last_event", "_lock", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = _checked("Limiter", "rate", rate)
        self._burst = whole("Limiter", "burst", burst, 0)
        self._lock = Mutex()
        self._tokens = float(self._burst)
        self._last = _NEVER
        self._last_event = _NEVER

    @property
    def limit(self) -> float:
        """The rate, in tokens a second."""
        return math.inf if self._rate == _INF else self._rate

    @property
    def burst(self) -> int:
        """How many tokens fit."""
        return self._burst

    def tokens(self) -> float:
        """How many tokens there are now; negative if some were taken in advance."""
        return self._tokens_at(time.monotonic_ns())

    def _tokens_at(self, now: int) -> float:
        with self._lock:
            return self._advance(now)

    def allow(self, n: int = 1) -> bool:
        """Take n tokens if they are there; False if they are not. For events that are dropped beyond the rate."""
        return self._allow_n(time.monotonic_ns(), whole("allow", "n", n, 0))

    def _allow_n(self, now: int, n: int) -> bool:
        return self._reserve_n(now, n, 0).ok

    def reserve(self, n: int = 1) -> Reservation:
        """Take n tokens in advance. The Reservation says how long to wait before acting on it; it is not ``ok`` if n is more than the burst."""
        return self._reserve_n(time.monotonic_ns(), whole("reserve", "n", n, 0))

    def _reserve_n(self, now: int, n: int, longest: int = _FOR_EVER) -> Reservation:
        with self._lock:
            if self._rate == _INF:
                return Reservation._made(self, True, n, now, 0.0)
            tokens = self._advance(now) - n
            delay = _duration(-tokens, self._rate) if tokens < 0 else 0
            if n > self._burst or delay > longest:
                return Reservation._made(self, False, 0, _NEVER, self._rate)
            act = now + delay
            self._last = now
            self._tokens = tokens
            self._last_event = act
            return Reservation._made(self, True, n, act, self._rate)

    def wait(self, n: int = 1, ctx: Context | None = None) -> None:
        """Take n tokens; parks until they are there.

        Raises RateError, with nothing taken, if n is more than the burst or the wait would be longer than ctx's deadline allows; ctx.err() (Canceled,
        DeadlineExceeded) if ctx is done, before or while waiting. Whoever stops waiting gives back what others do not need later.
        """
        self._wait_n(whole("wait", "n", n, 0), ctx, time.monotonic_ns, _nap)

    def _wait_n(self, n: int, ctx: Any, clock: Callable[[], int], nap: Callable[[float, Chan[Any] | None], bool]) -> None:
        """nap(delay in s, done) parks for so long, or returns False once done is closed."""
        done = done_of("wait", ctx)
        now = clock()
        with self._lock:
            burst, rate = self._burst, self._rate
        if n > burst and rate != _INF:
            raise RateError(f"rate: Wait(n={n}) exceeds limiter's burst {burst}")
        if closed(done):
            raise error_of(ctx)
        longest = _FOR_EVER
        deadline = None if ctx is None else ctx.deadline()
        if deadline is not None:
            longest = _nanoseconds(deadline) - now
        reservation = self._reserve_n(now, n, longest)
        if not reservation.ok:
            raise RateError(f"rate: Wait(n={n}) would exceed context deadline")
        delay = reservation._delay_from(now)
        if delay == 0:
            return
        try:
            passed = nap(_seconds(delay), done)
        except BaseException:
            reservation._cancel_at(clock())
            raise
        if not passed:
            reservation._cancel_at(clock())
            raise error_of(ctx)

    def set_limit(self, rate: float) -> None:
        """Change the rate. Who has reserved tokens keeps the time that he was told."""
        self._set_limit_at(time.monotonic_ns(), _checked("set_limit", "rate", rate))

    def _set_limit_at(self, now: int, rate: float) -> None:
        with self._lock:
            self._tokens = self._advance(now)
            self._last = now
            self._rate = rate

    def set_burst(self, burst: int) -> None:
        """Change how many tokens fit. Who has reserved tokens keeps the time that he was told."""
        self._set_burst_at(time.monotonic_ns(), whole("set_burst", "burst", burst, 0))

    def _set_burst_at(self, now: int, burst: int) -> None:
        with self._lock:
            self._tokens = self._advance(now)
            self._last = now
            self._burst = burst

    def _advance(self, now: int) -> float:
        """The tokens at a time. REQUIRES: the lock is held."""
        passed = max(0, now - self._last)
        return min(self._tokens + _tokens(passed, self._rate), float(self._burst))

    def __repr__(self) -> str:
        return f"<Limiter {self.limit:g}/s burst {self._burst}>"


class Reservation(Final):
    """Tokens that ``Limiter.reserve`` took in advance: x/time's rate.Reservation. Every method may be called from anywhere; none parks."""

    __slots__ = ("_act", "_limiter", "_ok", "_rate", "_tokens")

    def __new__(cls, *_: object, **__: object) -> NoReturn:
        raise TypeError("cannot create 'gort.Reservation' instances: Limiter.reserve() makes them")

    @classmethod
    def _made(cls, limiter: Limiter, ok: bool, tokens: int, act: int, rate: float) -> Reservation:
        self: Reservation = object.__new__(cls)
        self._limiter = limiter
        self._ok = ok
        self._tokens = tokens
        self._act = act
        self._rate = rate  # the limiter's at that time
        return self

    @property
    def ok(self) -> bool:
        """Whether the limiter can ever give so many tokens; if not, nothing was taken."""
        return self._ok

    def delay(self) -> float:
        """Seconds from now until the holder may act; 0 for at once, math.inf if it is not ``ok`` or the rate is 0."""
        return _seconds(self._delay_from(time.monotonic_ns()))

    def _delay_from(self, now: int) -> int:
        return max(0, self._act - now) if self._ok and self._act < _FOR_EVER else _FOR_EVER

    def cancel(self) -> None:
        """Give the tokens back, as far as no later reservation counts on them. Nothing happens if the time to act has passed."""
        self._cancel_at(time.monotonic_ns())

    def _cancel_at(self, now: int) -> None:
        limiter = self._limiter
        with limiter._lock:
            if not self._ok or limiter._rate == _INF or self._tokens == 0 or self._act < now:
                return
            restored = self._tokens - _tokens(limiter._last_event - self._act, self._rate)
            if restored <= 0:
                return
            limiter._tokens = min(limiter._advance(now) + restored, float(limiter._burst))
            limiter._last = now
            if self._act == limiter._last_event:
                before = self._act + _duration(-float(self._tokens), self._rate)
                if before >= now:
                    limiter._last_event = before

    def __repr__(self) -> str:
        return f"<Reservation of {self._tokens}>" if self._ok else "<Reservation not ok>"


class Sometimes(Final):
    """Does something now and then: x/time's rate.Sometimes.

    ``do(fn)`` calls fn the first time, and later if one of these says so (zero and less say nothing): it is among the ``first`` calls, it is an
    ``every``-th call, or ``interval`` seconds have passed since fn was last called.

    >>> from gort.sync import Sometimes
    >>> now_and_then, done = Sometimes(first=2, every=4), []
    >>> for n in range(10):
    ...     now_and_then.do(lambda: done.append(n))
    >>> done
    [0, 1, 4, 8]
    """

    __slots__ = ("_count", "_every", "_first", "_interval", "_last", "_lock")

    def __init__(self, first: int = 0, every: int = 0, interval: float | datetime.timedelta = 0) -> None:
        self._first = whole("Sometimes", "first", first)
        self._every = whole("Sometimes", "every", every)
        self._interval = _nanoseconds(seconds("Sometimes", "interval", interval))
        self._lock = Mutex()
        self._count = 0
        self._last = _NEVER

    def do(self, fn: Callable[[], Any]) -> None:
        """Call fn() if it is its turn. Calls of do come one after the other (they park), so a do inside fn waits for itself.

        What fn raises passes through, and such a call does not count.
        """
        function_of("do", fn)
        self._do(fn, time.monotonic_ns)

    def _do(self, fn: Callable[[], Any], clock: Callable[[], int]) -> None:
        with self._lock:
            if (
                self._count == 0
                or self._count < self._first
                or (self._every > 0 and self._count % self._every == 0)
                or (self._interval > 0 and clock() - self._last >= self._interval)
            ):
                fn()
                if self._interval > 0:
                    self._last = clock()
            self._count += 1

    def __repr__(self) -> str:
        return f"<Sometimes after {self._count} calls>"


def _checked(function: str, name: str, value: Any) -> float:
    rate = real(function, name, value, "a number of events per second")
    if rate < 0:
        raise ValueError(f"{function}: {name} must be at least 0, got {value!r}")
    return min(rate, _INF)


def _nanoseconds(s: float) -> int:
    return int(min(max(s * 1e9, _NEVER), _FOR_EVER))


def _seconds(ns: int) -> float:
    return math.inf if ns >= _FOR_EVER else ns / 1e9


def _duration(tokens: float, rate: float) -> int:
    """How long it takes to get so many tokens."""
    if rate <= 0:
        return _FOR_EVER
    ns = tokens / rate * 1e9
    return int(min(max(ns, _NEVER), _FOR_EVER))


def _tokens(ns: int, rate: float) -> float:
    """How many tokens come in such a time."""
    if rate <= 0:
        return 0.0
    whole_seconds, rest = divmod(min(abs(ns), _FOR_EVER), 1_000_000_000)
    tokens = (whole_seconds + rest / 1e9) * rate
    return tokens if ns >= 0 else -tokens


def _nap(s: float, done: Chan[Any] | None) -> bool:
    if done is None:
        sleep(s) if s < math.inf else nil_chan.recv()
        return True
    try:
        select(done, timeout=None if s == math.inf else s)
    except TimeoutError:
        return True
    return False
