"""What Go's own tests of timers check, where tests/core/chan/timers_test.cpp does not: time/sleep_test.go, time/tick_test.go."""

from __future__ import annotations

import gc
import random
import threading
import time

import pytest

import gort
from gort import Chan, Ticker, Timer, WaitGroup, after, after_func, go, gosched, select, sleep, tick

LONG = 3600
SOON = 0.001


class FuncTimer:
    """A Timer whose channel is filled by an after_func: the same by the other road."""

    def __init__(self, s):
        self.c = Chan(1)
        self.timer = after_func(s, lambda: self.c.try_send(time.monotonic()))
        self.stop, self.reset = self.timer.stop, self.timer.reset


both = pytest.mark.parametrize("make", [Timer, FuncTimer], ids=["chan", "func"])


def until_time(when):
    """Wait for the clock alone: no timer of gort's has a part in it."""
    while time.monotonic() < when:
        time.sleep(SOON)


# --- the time that is received


@both
def test_a_timer_is_not_early(make, inside):
    def body():
        before = time.monotonic()
        return make(SOON).c.recv() >= before + SOON

    assert inside(body) is True


def test_after_gives_the_time_that_was_set_however_late():
    before = time.monotonic()
    ch = after(SOON)
    made = time.monotonic()
    until_time(made + 20 * SOON)
    assert before + SOON <= ch.recv() <= made + SOON


def test_tick_gives_the_first_tick_that_nobody_took():
    before = time.monotonic()
    ch = tick(SOON)
    made = time.monotonic()
    until_time(made + 20 * SOON)
    first = ch.recv()
    assert before + SOON <= first <= made + SOON
    periods = (ch.recv() - first) / SOON
    assert periods > 18 and abs(periods - round(periods)) < 0.01


def test_a_waiting_receiver_gets_the_time_that_was_set(until_waiting):
    def body():
        out, timer = Chan(1), Timer(LONG)
        until_waiting(go(lambda: out.send(timer.c.recv())))
        before = time.monotonic()
        timer.reset(SOON)
        made = time.monotonic()
        return before + SOON <= out.recv() <= made + SOON

    assert gort.run(body) is True


@pytest.mark.go("time/sleep_test.go TestAfterTick")
def test_ten_times_after_take_ten_times_as_long(inside):
    def body():
        before = time.monotonic()
        for _ in range(10):
            after(SOON).recv()
        return time.monotonic() - before >= 10 * SOON

    assert inside(body) is True


# --- sleep


@pytest.mark.go("time/sleep_test.go TestSleep")
@pytest.mark.parametrize("s", [0, SOON, 5 * SOON])
def test_sleep_is_not_short(s, inside):
    def body():
        before = time.monotonic()
        sleep(s)
        return time.monotonic() - before >= s

    assert inside(body) is True


@pytest.mark.go("time/sleep_test.go TestSleepZeroDeadlock")
def test_sleeping_for_nothing_beside_collections_goes_on():
    def body():
        collected = Chan()
        go(lambda: ([gort.gc.collect() for _ in range(20)], collected.close()))
        for _ in range(100):
            sleep(0)
            ch = Chan(1)
            ch.send(True)
            ch.recv()
        return collected.recv_ok()

    assert gort.run(body) == (None, False)


# --- after_func


@pytest.mark.go("time/sleep_test.go TestAfterFunc")
def test_functions_that_start_the_next_one_reach_the_last(inside):
    def body():
        left, over = [10], Chan()

        def next_one():
            left[0] -= 1
            after_func(0, next_one) if left[0] else over.close()

        after_func(0, next_one)
        return over.recv_ok()

    assert inside(body) == (None, False)


@pytest.mark.go("time/sleep_test.go TestAfterFuncStarvation")
def test_two_goroutines_that_keep_each_other_busy_do_not_starve_an_after_func():
    def body():
        stop, ch, wg = [], Chan(1), WaitGroup()

        def send():
            while not stop:
                ch.send(True)
            ch.close()

        wg.go(send)
        wg.go(lambda: [None for _ in ch])
        after_func(1e-6, lambda: stop.append(1))
        wg.wait()
        return "over"

    assert gort.run(body, procs=1) == "over"


@pytest.mark.go("time/sleep_test.go TestTimerStopStress")
def test_a_hundred_timers_that_are_stopped_never_go_off(inside):
    def body():
        called, wg = [], WaitGroup()

        def one(n):
            timer = after_func(LONG, lambda: called.append(n))
            sleep(SOON)
            assert timer.stop() is True

        for n in range(100):
            wg.go(one, n)
        wg.wait()
        return called

    assert inside(body) == []


# --- moving timers


@both
def test_reset_says_whether_the_timer_was_active(make):
    timer = make(LONG)
    assert timer.reset(SOON) is True
    timer.c.recv()
    assert timer.reset(LONG) is False
    assert timer.stop() is True
    assert timer.stop() is False


@pytest.mark.go("time/sleep_test.go TestTimerModifiedEarlier")
def test_a_timer_that_is_moved_into_the_past_again_and_again_goes_off(inside):
    def body():
        for _ in range(50):
            timer = FuncTimer(LONG)
            for _ in range(10):
                if not timer.stop():
                    timer.c.recv()
                timer.reset(-LONG)
            timer.c.recv()
        return "all"

    assert inside(body) == "all"


@pytest.mark.go("time/sleep_test.go TestAdjustTimers")
@pytest.mark.parametrize("seed", range(3))
def test_timers_that_are_moved_back_and_forth_lose_no_time(seed):
    def life(timer):
        timer.c.recv()
        yield
        for s in (60, 180, 120):
            assert timer.reset(s) is False
            yield
            assert timer.stop() is True
            yield
        assert timer.reset(0) is False
        yield
        timer.c.recv()

    def body():
        choice = random.Random(seed)
        lives = [life(FuncTimer(0)) for _ in range(100)]
        while lives:
            n = choice.randrange(len(lives))
            if next(lives[n], "over") == "over":
                lives[n] = lives[-1]
                lives.pop()
        return "all"

    assert gort.run(body) == "all"


@pytest.mark.go("time/sleep_test.go TestResetResult")
def test_of_two_timers_the_one_that_was_not_chosen_is_active_still():
    def body():
        wrong, wg = [], WaitGroup()

        def one():
            for _ in range(20):
                timers = Timer(SOON / 10), Timer(SOON / 10)
                other = timers[1 - select(*(t.c for t in timers)).index]
                if not other.reset(LONG) or other.c.try_recv() is not None:
                    wrong.append(1)

        for _ in range(50):
            wg.go(one)
        wg.wait()
        return wrong

    assert gort.run(body) == []


# --- one timer's life, step by step


@pytest.mark.go("time/tick_test.go TestChan")
@pytest.mark.parametrize("make", [Timer, Ticker])
def test_nothing_stale_is_received_and_nothing_lost(make, until_waiting):
    ticks = make is Ticker

    def due():
        until_time(time.monotonic() + 2 * SOON)

    def body():
        timer = make(LONG)
        c = timer.c

        def nothing():
            assert c.try_recv() is None and (len(c), c.cap) == (0, 0)

        # Not in a heap: nobody waits.
        assert timer.stop() is True
        nothing()
        timer.reset(LONG)
        nothing()
        assert timer.reset(1e-9) is True
        due()
        assert (len(c), c.cap) == (0, 0)
        assert c.try_recv() is not None
        due()
        assert timer.reset(LONG) is ticks
        nothing()

        # In a heap: a goroutine waits.
        got = Chan()
        waiting = go(lambda: (c.recv(), got.close()))
        until_waiting(waiting)
        timer.reset(2 * LONG)
        until_waiting(waiting)
        assert got.try_recv() is None
        timer.reset(1e-9)
        assert got.recv_ok() == (None, False)
        due()
        assert (c.try_recv() is not None) is ticks
        timer.stop()
        nothing()

        # Two selects wait, and one of them gets it.
        timer.reset(LONG)
        got, stop = Chan(2), Chan()
        waiting = [go(lambda: select(c, stop).index == 0 and got.send(True)) for _ in range(2)]
        for g in waiting:
            until_waiting(g)
        assert got.try_recv() is None
        timer.reset(SOON)
        got.recv()
        timer.stop()
        stop.close()
        for g in waiting:
            g.join()
        if not ticks:
            assert got.try_recv() is None
        nothing()

        # Selects that give up on a stopped timer.
        stop = Chan()
        waiting = [go(lambda: select(c, stop)) for _ in range(2)]
        for g in waiting:
            until_waiting(g)
        stop.close()
        for g in waiting:
            g.join()

        # Old values are not received after stop and reset.
        timer.reset(1e-9)
        due()
        assert timer.stop() is True
        nothing()
        timer.reset(LONG)
        nothing()
        assert timer.reset(1e-9) is True
        assert c.recv() > 0
        due()
        assert (c.try_recv() is not None) is ticks
        assert timer.reset(LONG) is ticks
        nothing()
        timer.stop()

    gort.run(body)


@pytest.mark.go("time/tick_test.go TestTimerGC")
@pytest.mark.parametrize(
    "make",
    [
        lambda: after(LONG),
        lambda: tick(LONG),
        lambda: Timer(LONG),
        lambda: Ticker(LONG),
        lambda: Timer(LONG).stop(),
        lambda: Ticker(LONG).stop(),
    ],
    ids=["after", "tick", "Timer", "Ticker", "Timer.stop", "Ticker.stop"],
)
def test_forgotten_timers_leave_nothing(make):
    def objects():
        gc.collect()
        return len(gc.get_objects())

    before = objects()
    for _ in range(1000):
        make()
    assert objects() - before < 500


# --- many at once


def test_a_hundred_thousand_timers_cost_nothing_but_memory():
    timers = [Timer(LONG + n) for n in range(100_000)]
    first = Timer(0)
    assert first.c.recv() > 0
    assert sum(t.stop() for t in timers) == len(timers)


def test_ten_thousand_armed_timers_are_all_stopped_or_called():
    def body():
        called, wg = [], WaitGroup()
        wg.add(10_000)
        timers = [after_func(random.Random(n).random() * 0.05, lambda: (called.append(1), wg.done())) for n in range(10_000)]
        stopped = sum(t.stop() for t in timers[::3])
        wg.add(-stopped)
        wg.wait()
        return stopped + len(called)

    assert gort.run(body) == 10_000


def test_threads_and_goroutines_look_at_one_ticker():
    ticker, seen = Ticker(1e-6), []

    def look():
        for _ in range(100):
            seen.append(ticker.c.recv())
            gosched()

    def body():
        threads = [threading.Thread(target=look) for _ in range(3)]
        wg = WaitGroup()
        for t in threads:
            t.start()
        for _ in range(3):
            wg.go(look)
        wg.wait()
        for t in threads:
            t.join()

    gort.run(body)
    ticker.stop()
    assert len(seen) == len(set(seen)) == 600
