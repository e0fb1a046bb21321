"""SingleFlight: one call for all who ask at the same time."""

from __future__ import annotations

import copy
import gc
import threading
import time
import weakref

import pytest

import gort
from gort import Chan, Group, SingleFlight
from gort.sync import FlightResult
from interpreter import WITHOUT_GIL


class Broken(Exception):
    pass


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestDo")
def test_do_gives_the_value(inside):
    assert inside(lambda: SingleFlight().do("key", lambda: "bar")) == ("bar", False)


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestDoErr")
def test_do_raises_what_the_function_raised(inside):
    def body():
        with pytest.raises(Broken):
            SingleFlight().do("key", breaks)

    inside(body)


def breaks():
    raise Broken("broken")


def together(flight, fn, n, started, until_waiting):
    """n goroutines in one call of fn, which waits for started.recv() or the like; gives their futures."""
    group, goroutines = Group(), []

    def caller():
        goroutines.append(gort.current())
        return flight.do("key", fn)

    futures = [group.go(caller) for _ in range(n)]
    while len(goroutines) < n:
        gort.gosched()
    for g in goroutines:
        until_waiting(g)
    started.close()
    return futures


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestDoDupSuppress")
def test_callers_at_the_same_time_share_one_call(until_waiting):
    def body():
        calls, go_on, flight = [], Chan(), SingleFlight()

        def fn():
            calls.append(1)
            go_on.recv()
            return "bar"

        return [f.result() for f in together(flight, fn, 10, go_on, until_waiting)], len(calls), repr(flight)

    assert gort.run(body) == ([("bar", True)] * 10, 1, "<SingleFlight, calls: 0>")


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestPanicDo")
def test_what_the_function_raises_is_raised_in_every_caller(until_waiting):
    def body():
        go_on = Chan()

        def fn():
            go_on.recv()
            raise Broken("broken")

        return [f.exception() for f in together(SingleFlight(), fn, 5, go_on, until_waiting)]

    errors = gort.run(body)
    assert len(errors) == 5
    assert {id(e) for e in errors} == {id(errors[0])}
    assert isinstance(errors[0], Broken)


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestGoexitDo")
def test_a_goexit_in_the_function_ends_every_caller(until_waiting):
    def body():
        go_on = Chan()
        futures = together(SingleFlight(), lambda: (go_on.recv(), gort.goexit()), 5, go_on, until_waiting)
        while not all(f.done() for f in futures):
            gort.gosched()
        return [f.cancelled() for f in futures]

    assert gort.run(body) == [True] * 5


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestDoChan")
def test_do_chan_gives_a_channel_of_the_result(inside):
    def body():
        channel = SingleFlight().do_chan("key", lambda: "bar")
        return channel.recv(), channel.cap

    result, cap = inside(body)
    assert (result, cap) == (("bar", None, False), 1)
    assert isinstance(result, FlightResult)


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestForget")
def test_after_forget_the_next_caller_calls_again(inside):
    def body():
        flight, started, first, second = SingleFlight(), Chan(), Chan(), Chan()
        one = flight.do_chan("key", lambda: (started.send(None), first.recv()))
        started.recv()
        flight.forget("key")
        two = flight.do_chan("key", second.recv)
        first.close()
        one.recv()
        three = flight.do_chan("key", lambda: "wrong")
        second.send(2)
        return two.recv(), three.recv()

    assert inside(body) == ((2, None, True), (2, None, True))


@pytest.mark.go("x/sync/singleflight/singleflight_test.go ExampleGroup")
def test_channels_share_the_result(inside):
    def body():
        flight, block = SingleFlight(), Chan()
        channels = [flight.do_chan("key", lambda n=n: (block.recv(), n)[1]) for n in range(3)]
        block.close()
        return [c.recv() for c in channels]

    assert inside(body) == [(0, None, True)] * 3


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestPanicDoChan")
def test_an_error_comes_on_the_channel(inside):
    def body():
        return SingleFlight().do_chan("key", breaks).recv()

    value, error, shared = inside(body)
    assert isinstance(error, Broken)
    assert (value, shared) == (None, False)


@pytest.mark.go("x/sync/singleflight/singleflight_test.go TestPanicDoSharedByDoChan")
def test_an_error_of_do_comes_on_the_channels_that_share_it(inside):
    def body():
        flight, blocked, unblock, group = SingleFlight(), Chan(), Chan(), Group()

        def fn():
            blocked.close()
            unblock.recv()
            raise Broken("broken")

        caller = group.go(flight.do, "", fn)
        blocked.recv()
        channel = flight.do_chan("", lambda: "wrong")
        unblock.close()
        result = channel.recv()
        return caller.exception() is result.error, result.shared

    assert inside(body) == (True, True)


def test_after_a_goexit_the_channel_has_an_error(inside):
    def body():
        return SingleFlight().do_chan("key", gort.goexit).recv()

    value, error, _ = inside(body)
    assert (value, type(error), str(error)) == (None, gort.GortError, "runtime.Goexit was called")


def test_a_call_that_a_run_never_began_leaves_no_key_behind():
    flight = SingleFlight()
    for _ in range(20):
        channel = gort.run(flight.do_chan, "key", gort.nil_chan.recv)
        assert str(channel.recv().error) == "runtime.Goexit was called"
        assert flight.do("key", lambda: "again") == ("again", False)


def test_different_keys_are_different_calls(inside):
    def body():
        flight = SingleFlight()
        return flight.do("a", lambda: flight.do("b", lambda: 1))

    assert inside(body) == ((1, False), False)


def test_the_traceback_of_a_shared_error_does_not_grow(until_waiting):
    def body():
        go_on = Chan()

        def fn():
            go_on.recv()
            raise Broken("broken")

        futures = together(SingleFlight(), fn, 20, go_on, until_waiting)
        traceback, length = futures[0].exception().__traceback__, 0
        while traceback:
            traceback, length = traceback.tb_next, length + 1
        return length

    assert gort.run(body) < 12


def test_threads_and_goroutines_share_a_call():
    flight, started, go_on, got = SingleFlight(), Chan(), Chan(), []
    leader = threading.Thread(target=lambda: got.append(flight.do(1, lambda: (started.close(), go_on.recv()))[1]))
    leader.start()
    started.recv()
    channel = flight.do_chan(1, lambda: "wrong")
    go_on.close()
    assert channel.recv() == ((None, None), None, True)
    leader.join()
    assert got == [True]


@pytest.mark.skipif(WITHOUT_GIL, reason="an object of another thread is freed when that thread comes to it")
@pytest.mark.parametrize("ask", [lambda f, fn: f.do("key", fn), lambda f, fn: f.do_chan("key", fn).recv()], ids=["do", "do_chan"])
def test_an_error_makes_no_cycle(ask):
    class Seen(Broken):
        def __init__(self):
            seen.append(weakref.ref(self))

    def fails():
        raise Seen

    seen = []
    gc.collect()
    gc.disable()
    try:
        try:
            ask(SingleFlight(), fails)
        except Broken:
            pass
        assert len(seen) == 1
        deadline = time.monotonic() + 30  # the goroutine that called it may have some steps to go
        while seen[0]() is not None:
            assert time.monotonic() < deadline, gc.get_referrers(seen[0]())
            gort.gosched()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: SingleFlight().do("key", 3), "do: fn must be callable, got int"),
        (lambda: SingleFlight().do_chan("key", None), "do_chan: fn must be callable, got NoneType"),
        (lambda: SingleFlight().do([], print), "do: key must be hashable, got list"),
        (lambda: SingleFlight().do_chan({}, print), "do_chan: key must be hashable, got dict"),
        (lambda: SingleFlight().forget([]), "forget: key must be hashable, got list"),
        (lambda: copy.copy(SingleFlight()), "cannot pickle or copy gort.SingleFlight objects"),
    ],
)
def test_misuse_is_an_exact_error(call, text):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize("seed", range(20))
def test_under_every_schedule_shared_is_said_to_all_or_none_of_a_call(seed):
    def body():
        flight, calls, group = SingleFlight(), [], Group()

        def fn():
            calls.append(None)
            number = len(calls)
            gort.gosched()
            return number

        futures = [group.go(flight.do, "key", fn) for _ in range(5)]
        futures.append(group.go(lambda: flight.do_chan("key", fn).recv()[::2]))
        group.wait()
        return [f.result() for f in futures]

    results = gort.run(body, seed=seed)
    for number in {n for n, _ in results}:
        of_call = [shared for n, shared in results if n == number]
        assert of_call == [len(of_call) > 1] * len(of_call)
