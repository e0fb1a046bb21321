"""What several threads and goroutines do to one object at the same moment. With a GIL they interleave; without one they run in parallel."""

import gc
import os
import signal
import threading
import time
import weakref

import gort
import pytest
from gort import context

THREADS = 4


def at_once(*functions):
    """Call the functions on a thread each, all let go at the same time, and return what they returned."""
    barrier = threading.Barrier(len(functions))
    results = [None] * len(functions)
    errors = []

    def call(i, function):
        barrier.wait()
        try:
            results[i] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i, function)) for i, function in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_all_are_given_the_same_labels():
    for _ in range(50):
        g = gort.go(time.sleep, 0)
        first, *others = at_once(*[lambda: g.labels] * THREADS)
        assert all(labels is first for labels in others)
        g.join()


def test_a_name_is_read_while_others_set_it():
    g = gort.current()

    def rename():
        for n in range(2000):
            g.name = f"name {n}"

    def read():
        for _ in range(2000):
            assert g.name.startswith(("name", "goroutine"))
            assert "Goroutine" in repr(g)

    at_once(rename, rename, read, read)
    g.name = "main"


def test_a_goroutine_is_described_while_it_ends():
    for _ in range(100):
        g = gort.go(lambda: None)

        def describe():
            while g.status != "dead":
                assert g.name and repr(g)
                g.stack(), g.waiting_on, g.wait_reason, g.wait_since

        at_once(describe, describe)
        assert (g.stack(), g.waiting_on, g.wait_reason, g.wait_since) == ("", "", "", None)


def test_a_thread_has_one_goroutine_object_whoever_asks_first():
    ready, done = threading.Event(), threading.Event()

    def stay():
        gort.num_goroutine()
        ready.set()
        done.wait()

    for _ in range(20):
        ready.clear(), done.clear()
        thread = threading.Thread(target=stay)
        before = {g.id for g in gort.runtime.goroutines()}
        thread.start()
        ready.wait()
        seen = at_once(*[lambda: [g for g in gort.runtime.goroutines() if g.id not in before]] * THREADS)
        objects = {}
        for g in (g for found in seen for g in found):
            if g.status != "dead":   # a thread that asked, and has ended meanwhile
                assert objects.setdefault(g.id, g) is g
        assert objects
        done.set()
        thread.join()


def test_done_is_one_channel_for_all():
    for _ in range(100):
        ctx, cancel = context.with_cancel(context.background())
        first, *others = at_once(*[ctx.done] * THREADS)
        assert all(channel is first for channel in others)
        cancel()


def test_done_is_asked_for_while_others_give_it_up():
    ctx, cancel = context.with_cancel(context.background())

    def ask():
        for _ in range(3000):
            assert ctx.done().name is None

    at_once(*[ask] * THREADS)
    cancel()
    assert ctx.done().recv_ok() == (None, False)


def test_a_callback_of_a_dying_done_channel_gets_a_new_one():
    ctx, cancel = context.with_cancel(context.background())
    got = []
    channel = ctx.done()
    ref = weakref.ref(channel, lambda _: got.append(ctx.done()))
    del channel
    gc.collect()
    assert ref() is None
    assert got[0] is ctx.done()
    cancel()
    assert got[0].recv_ok() == (None, False)


def test_the_cause_is_that_of_one_of_those_who_cancel():
    for _ in range(200):
        ctx, cancel = context.with_cancel_cause(context.background())
        causes = [ValueError(n) for n in range(THREADS)]
        at_once(*[lambda cause=cause: cancel(cause) for cause in causes])
        assert context.cause(ctx) in causes
        names = {id(cause) for cause in causes}
        del causes
        assert id(context.cause(ctx)) in names
        assert context.cause(ctx).args[0] in range(THREADS)


def test_a_timer_is_stopped_by_one_of_those_who_stop_it():
    for _ in range(100):
        timer = gort.after_func(60, lambda: None)
        assert sorted(at_once(*[timer.stop] * THREADS)) == [False] * (THREADS - 1) + [True]


def test_a_timer_that_is_reset_by_several_goes_off_once():
    calls = []
    for _ in range(20):
        timer = gort.after_func(60, lambda: calls.append(1))
        at_once(*[lambda: timer.reset(60)] * THREADS)
        assert timer.stop()
        timer.reset(0)
    deadline = time.monotonic() + 10
    while len(calls) < 20 and time.monotonic() < deadline:
        gort.sleep(0.01)
    gort.sleep(0.05)
    assert len(calls) == 20


def test_one_of_several_threads_gets_to_run():
    entered = threading.Semaphore(0)
    leave = threading.Event()

    def main():
        entered.release()
        leave.wait()
        return "ran"

    def attempt():
        try:
            return gort.run(main)
        except gort.FatalError as error:
            if str(error) == "gort.run called while another thread's run is going on":
                leave.set()
            return str(error)

    for _ in range(20):
        leave.clear()
        results = at_once(*[attempt] * 2)
        assert sorted(results) == ["gort.run called while another thread's run is going on", "ran"]


def test_of_several_panics_one_ends_the_run(monkeypatch):
    reported = []
    monkeypatch.setattr(gort, "panichook", lambda g, error: reported.append(error))

    def fail(start, n):
        start.recv()
        raise ValueError(n)

    def main():
        start = gort.Chan()
        for n in range(8):
            gort.go(fail, start, n)
        start.close()
        gort.Chan().recv()

    for _ in range(20):
        reported.clear()
        with pytest.raises(ValueError) as caught:
            gort.run(main)
        assert len({error.args for error in [caught.value, *reported]}) == 1 + len(reported)
        gort.run(gort.sleep, 0.001)   # nothing is left behind that would end the next one


def test_a_channel_that_was_stopped_gets_no_signal_any_more():
    def send():
        for _ in range(300):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0)

    keep = gort.Chan(1)
    gort.signal.notify(keep, signal.SIGUSR1)   # else it would end the process

    def come_and_go():
        for _ in range(300):
            ch = gort.Chan(1)
            gort.signal.notify(ch, signal.SIGUSR1)
            gort.signal.stop(ch)
            before = len(ch)
            time.sleep(0)
            assert len(ch) == before

    try:
        at_once(send, come_and_go, come_and_go)
        while keep.try_recv():
            pass
        os.kill(os.getpid(), signal.SIGUSR1)
        assert keep.recv(timeout=10) == signal.SIGUSR1
    finally:
        gort.signal.reset(signal.SIGUSR1)


def test_everybody_looks_at_everything_at_the_same_time():
    def main():
        stop = gort.Chan()
        mutex = gort.Mutex()

        def work():
            while gort.select(stop, default=True).index < 0:
                with mutex:
                    gort.go(lambda: None).join()

        for _ in range(8):
            gort.go(work)

        def look():
            for _ in range(30):
                assert "goroutine" in gort.runtime.stack(all=True)
                assert gort.sched.state().goroutines
                gort.runtime.goroutines()

        at_once(look, look)
        stop.close()

    gort.run(main)
