"""Chan.stats(): what a channel has done."""

from __future__ import annotations

import pytest

import gort


@pytest.mark.parametrize("dtype", [None, "i64"])
def test_sends_receives_and_the_high_water_mark_are_counted(inside, dtype):
    def body():
        ch = gort.Chan(3, dtype=dtype)
        assert ch.stats() == (0, 0, 0.0, 0)
        for n in range(2):
            ch.send(n)
        assert ch.stats()[:2] == (2, 0)
        ch.recv()
        assert ch.try_recv() == (1, True)
        ch.send(2)
        gort.select(ch)
        ch.close()
        assert ch.recv_ok()[1] is False   # "closed" is no value
        stats = ch.stats()
        assert (stats.sends, stats.receives, stats.high_water) == (3, 3, 2)
        assert ch.receiver().stats() == ch.sender().stats() == stats
        return isinstance(stats, gort.ChanStats)

    assert inside(body)


def test_values_that_are_handed_over_count_on_both_sides():
    def main():
        ch = gort.Chan()
        sender = gort.go(lambda: [ch.send(n) for n in range(10)])
        for _ in range(10):
            ch.recv()
        sender.join()
        return ch.stats()

    stats = gort.run(main)
    assert (stats.sends, stats.receives, stats.high_water) == (10, 10, 0)


def test_what_was_not_sent_is_not_counted():
    ch = gort.Chan(1)
    ch.send(1)
    assert not ch.try_send(2)
    with pytest.raises(TimeoutError):
        ch.send(2, timeout=0)
    ch.close()
    with pytest.raises(gort.PanicError):
        ch.send(3)
    assert ch.stats()[:2] == (1, 0)


@pytest.mark.parametrize("wait", ["recv", "send", "select", "timeout"])
def test_the_time_that_somebody_waited_is_counted(wait, until_waiting):
    """At least most of it: the clock may be late once on a machine that stands still, but not every time."""
    ch, other = gort.Chan(), gort.Chan()

    def waiter():
        if wait == "recv":
            ch.recv()
        elif wait == "send":
            ch.send(1)
        elif wait == "select":
            gort.select(other, ch)
        else:
            with pytest.raises(TimeoutError):
                ch.recv(timeout=0.05)

    def main():
        for _ in range(20):
            before = ch.stats().blocked
            goroutine = gort.go(waiter)
            until_waiting(goroutine) if wait != "timeout" else gort.gosched()
            gort.sleep(0.05)
            if wait == "send":
                ch.recv()
            elif wait != "timeout":
                ch.send(1)
            goroutine.join()
            if ch.stats().blocked - before >= 0.03:
                return True
        return False

    assert gort.run(main)
    assert other.stats().blocked == 0


def test_the_nil_channel_and_a_timers():
    assert gort.nil_chan.stats() == (0, 0, 0.0, 0)
    timer = gort.Timer(0)
    timer.c.recv()
    stats = timer.c.stats()
    assert (stats.sends, stats.receives, stats.high_water) == (1, 1, 0)


def test_a_timers_value_that_stop_took_back_counts_as_received():
    timer = gort.Timer(0)
    assert timer.c.stats().high_water == 0
    timer.stop()
    stats = timer.c.stats()
    assert stats.sends == stats.receives
