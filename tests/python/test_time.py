"""Timers: Go 1.23's channel timers (nothing stale after stop and reset), tickers, after_func, sleep."""

from __future__ import annotations

import copy
import gc
import math
import threading
import time
import weakref
from datetime import timedelta

import pytest

import gort
from gort import Chan, PanicError, Ticker, Timer, after, after_func, nil_chan, select, sleep, tick

LONG = 3600  # never reached
SOON = 0.001


class Thing:
    """Something with a weak reference, that can be called."""

    def __call__(self):
        pass


def due(timer):
    """Wait until a timer's time is over, without looking at its channel."""
    other = after(2 * SOON)
    other.recv()
    return timer


# --- channel timers


def test_after_gives_the_monotonic_time_once_it_is_over(inside):
    def body():
        before = time.monotonic()
        ch = after(SOON)
        when = ch.recv()
        return before + SOON <= when <= time.monotonic(), ch.try_recv()

    assert inside(body) == (True, None)


@pytest.mark.parametrize("s", [0, -1, -math.inf, timedelta(seconds=-1)])
def test_zero_and_less_is_now(s):
    assert select(after(s), default=True).index == 0


def test_after_takes_part_in_select(inside):
    assert inside(lambda: select(Chan(), after(LONG), after(SOON)).index) == 2


def test_a_timers_channel_shows_neither_length_nor_capacity():
    timer = due(Timer(SOON))
    assert (len(timer.c), timer.c.cap) == (0, 0)
    assert timer.c.try_recv()[1] is True


def test_stop_keeps_a_timer_from_going_off(inside):
    def body():
        timer = Timer(LONG)
        return timer.stop(), timer.stop(), timer.c.try_recv()

    assert inside(body) == (True, False, None)


def test_after_stop_nothing_stale_is_received_though_the_time_was_over():
    timer = due(Timer(SOON))
    assert timer.stop() is True  # not received: still active
    assert timer.c.try_recv() is None
    assert timer.stop() is False


def test_after_stop_nothing_stale_is_received_though_a_select_had_looked():
    timer, ready = due(Timer(SOON)), Chan(1)
    ready.send(1)
    while select(timer.c, ready).index == 0:  # evenly picked: sooner or later the other one, with the timer's value made
        timer.reset(0)
        ready.try_send(1)
    assert timer.stop() is True
    assert timer.c.try_recv() is None


def test_reset_drops_the_old_value_and_goes_off_again():
    timer = due(Timer(SOON))
    before = time.monotonic()
    assert timer.reset(SOON) is True
    assert timer.c.recv() >= before + SOON
    assert timer.reset(LONG) is False  # was received
    assert timer.stop() is True


def test_reset_reaches_one_who_waits_already(until_waiting):
    def body():
        timer, out = Timer(LONG), Chan()
        g = gort.go(lambda: out.send(timer.c.recv_ok()[1]))
        until_waiting(g)
        timer.reset(0)
        return out.recv()

    assert gort.run(body) is True


def test_a_waiter_of_a_stopped_timer_waits_for_ever(until_waiting):
    def body():
        timer = Timer(LONG)
        until_waiting(gort.go(timer.c.recv))
        timer.stop()
        timer.c.recv()

    with pytest.raises(gort.Deadlock):
        gort.run(body)


def test_a_timer_that_nobody_listens_to_hides_no_deadlock():
    def body():
        timer, ticker = Timer(LONG), Ticker(LONG)
        try:
            Chan().recv()
        finally:
            timer.stop(), ticker.stop()

    with pytest.raises(gort.Deadlock):
        gort.run(body)


def test_a_timers_channel_can_only_be_received_from():
    with pytest.raises(TypeError) as error:
        after(LONG).close()
    assert str(error.value) == "Chan.close: the channel is receive-only"
    with pytest.raises(TypeError) as error:
        after(LONG).send(1.0)
    assert str(error.value) == "Chan.send: the channel is receive-only"


def test_an_unreferenced_timer_is_freed_while_it_runs():
    timer, ticker, ch = Timer(LONG), Ticker(LONG), after(LONG)
    seen = [weakref.ref(x) for x in (timer, timer.c, ticker, ticker.c, ch)]
    del timer, ticker, ch
    assert [s() for s in seen] == [None] * 5


def test_many_wait_for_one_timer_and_one_gets_it(until_waiting):
    def body():
        timer, out = Timer(LONG), Chan(5)
        goroutines = [gort.go(lambda: out.send(timer.c.recv())) for _ in range(5)]
        for g in goroutines:
            until_waiting(g)
        for _ in range(5):
            timer.reset(0)
            assert out.recv() > 0
        return out.try_recv()

    assert gort.run(body) is None


# --- tickers


def test_a_ticker_ticks_and_keeps_its_phase(inside):
    def body():
        ticker = Ticker(SOON)
        times = [ticker.c.recv() for _ in range(5)]
        ticker.stop()
        return times == sorted(times), ticker.c.try_recv()

    assert inside(body) == (True, None)


def test_ticks_that_nobody_takes_are_lost():
    ticker = Ticker(SOON)
    after(20 * SOON).recv()
    assert ticker.c.try_recv() is not None
    ticker.reset(LONG)
    assert ticker.c.try_recv() is None
    ticker.stop()


def test_a_stopped_ticker_gives_nothing_stale_and_can_be_reset():
    ticker = due(Ticker(SOON))
    assert ticker.stop() is True
    assert ticker.c.try_recv() is None
    ticker.reset(SOON)
    assert ticker.c.recv() > 0


def test_tick_gives_ticks_or_a_nil_channel():
    assert tick(SOON).recv() > 0
    assert tick(0) is nil_chan
    assert tick(-1) is nil_chan


@pytest.mark.parametrize("s", [0, -1, timedelta(0)])
def test_a_ticker_that_is_not_positive_panics(s):
    with pytest.raises(PanicError) as error:
        Ticker(s)
    assert str(error.value) == "non-positive interval for NewTicker"
    with pytest.raises(PanicError) as error:
        Ticker(LONG).reset(s)
    assert str(error.value) == "non-positive interval for Ticker.Reset"


# --- after_func


def test_after_func_calls_in_a_goroutine_of_its_own(inside):
    def body():
        out, me = Chan(), gort.current()
        timer = after_func(SOON, lambda: out.send((gort.current() is me, gort.current().parent_id == me.id)))
        return timer.c, out.recv()

    assert inside(body) == (None, (False, True))


def test_after_func_may_be_stopped_before_it_is_called(inside):
    def body():
        called = []
        timer = after_func(LONG, lambda: called.append(1))
        return timer.stop(), timer.stop(), called

    assert inside(body) == (True, False, [])


def test_reset_calls_the_function_again(inside):
    def body():
        out = Chan(4)
        timer = after_func(0, lambda: out.send("called"))
        got = [out.recv()]
        got.append(timer.reset(0))
        got.append(out.recv())
        got.append(timer.reset(LONG))
        got.append(timer.reset(0))  # replaces the long one
        got.append(out.recv())
        return got, timer.stop()

    assert inside(body) == (["called", False, "called", False, True, "called"], False)


def test_a_hundred_after_funcs_at_once_are_all_called(inside):
    def body():
        out = Chan(100)
        for n in range(100):
            after_func(SOON, lambda n=n: out.send(n))
        return sorted(out.recv() for _ in range(100))

    assert inside(body) == list(range(100))


def test_after_func_keeps_going_off_when_its_timer_is_forgotten():
    out = Chan()
    after_func(SOON, lambda: out.send("called"))
    gc.collect()
    assert out.recv() == "called"


def test_a_pending_after_func_is_no_goroutine_and_does_not_outlive_its_run():
    called, thing = [], Thing()
    seen = weakref.ref(thing)

    def body():
        after_func(1, lambda thing=thing: called.append(1)), after_func(LONG, thing)
        return gort.num_goroutine()

    assert gort.run(body) == 1
    del thing
    after(1.1).recv()
    assert called == [] and seen() is None
    assert gort.num_goroutine() == 1


def test_a_run_that_waits_for_an_after_func_is_no_deadlock():
    def body():
        out = Chan()
        after_func(SOON, out.close)
        return out.recv_ok()

    assert gort.run(body) == (None, False)


def test_an_exception_in_after_func_ends_the_run():
    def body():
        after_func(0, lambda: 1 / 0)
        Chan().recv(timeout=LONG)

    with pytest.raises(ZeroDivisionError):
        gort.run(body)


def test_a_timer_and_its_function_in_a_cycle_are_collected(collected):
    holder = Thing()
    seen = weakref.ref(holder)
    holder.timer = after_func(LONG, lambda holder=holder: None)
    holder.timer.stop()
    del holder
    collected()
    assert seen() is None


def test_after_func_copies_the_context_variables():
    import contextvars

    variable = contextvars.ContextVar("variable", default="outside")

    def body():
        out = Chan()
        variable.set("inside")
        after_func(0, lambda: out.send(variable.get()))
        variable.set("later")
        return out.recv()

    assert gort.run(body) == "inside"


# --- sleep


def test_sleep_lets_others_run(inside):
    def body():
        order = []
        g = gort.go(lambda: (sleep(0.3), order.append("slept")))
        sleep(0)
        order.append("first")
        g.join()
        return order

    # A plain thread may have to wait for a CPU.
    assert any(inside(body) == ["first", "slept"] for _ in range(5))


def test_sleepers_wake_in_the_order_of_their_times():
    def body():
        out = Chan(4)
        for n in (3, 1, 4, 2):
            gort.go(lambda n=n: (sleep(n * 0.1), out.send(n)))
        return [out.recv() for _ in range(4)]

    # Two whose times both pass while the machine stands still may change places: who is readied last runs next, as in Go.
    assert any(gort.run(body) == [1, 2, 3, 4] for _ in range(10))


def test_threads_and_goroutines_wait_for_timers_together():
    out = Chan(20)
    threads = [threading.Thread(target=lambda: out.send(after(SOON).recv() > 0)) for _ in range(10)]
    for t in threads:
        t.start()

    def body():
        for _ in range(10):
            gort.go(lambda: out.send(after(SOON).recv() > 0))
        return [out.recv() for _ in range(20)]

    assert gort.run(body) == [True] * 20
    for t in threads:
        t.join()


def test_timers_of_waiting_threads_go_off_though_a_run_ends_meanwhile():
    """The end of the run stopped the pool's threads, and with them the one that was to wake up for the timer."""
    for _ in range(20):
        threads = [threading.Thread(target=lambda: [after(SOON).recv() for _ in range(5)]) for _ in range(3)]
        for t in threads:
            t.start()
        gort.run(lambda: sleep(2 * SOON))
        for t in threads:
            t.join(20)
            assert not t.is_alive()


# --- misuse


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: after(math.nan), ValueError, "after: s must be a number of seconds, got nan"),
        (lambda: after("1"), TypeError, "after: s must be a number of seconds or a timedelta, got str"),
        (lambda: Timer(math.nan), ValueError, "Timer: s must be a number of seconds, got nan"),
        (lambda: Ticker(math.nan), ValueError, "Ticker: s must be a number of seconds, got nan"),
        (lambda: tick(None), TypeError, "tick: s must be a number of seconds or a timedelta, got NoneType"),
        (lambda: sleep(math.nan), ValueError, "sleep: s must be a number of seconds, got nan"),
        (lambda: Timer(LONG).reset("1"), TypeError, "reset: s must be a number of seconds or a timedelta, got str"),
        (lambda: after_func(1), TypeError, "after_func: takes 2 arguments (s, fn), got 1"),
        (lambda: after_func(1, 2), TypeError, "after_func: fn must be callable, got int"),
        (lambda: after_func(LONG, None), TypeError, "after_func: fn must be callable, got NoneType"),
        (lambda: copy.copy(Timer(LONG)), TypeError, "cannot pickle or copy gort.Timer objects"),
        (lambda: copy.copy(Ticker(LONG)), TypeError, "cannot pickle or copy gort.Ticker objects"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_huge_durations_never_come():
    for s in (math.inf, 1e300, timedelta.max):
        assert select(after(s), default=True).index == -1
        timer = after_func(s, lambda: None)
        assert timer.stop() is True
