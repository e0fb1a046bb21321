"""Channels: the table of what each operation does, order, hand-over, close, timeouts, views, typed channels, and who owns the values."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import queue
import sys
import threading
import time
import weakref
from collections import Counter, deque
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort import Chan, PanicError, WaitGroup, nil_chan


class Thing:
    """Something with a weak reference."""


# --- the table: nil, open, closed


def test_a_send_to_a_full_buffer_waits_and_is_taken_in_order(inside):
    def body():
        ch = Chan(2)
        wg = WaitGroup()
        wg.go(lambda: [ch.send(n) for n in range(5)])
        got = [ch.recv() for _ in range(5)]
        wg.wait()
        return got

    assert inside(body) == [0, 1, 2, 3, 4]


def test_an_unbuffered_send_meets_its_receiver(inside):
    def body():
        ch, done = Chan(), Chan()
        gort.go(lambda: done.send(ch.recv()))
        ch.send("hello")
        return done.recv()

    assert inside(body) == "hello"


def test_a_closed_channel_gives_what_is_buffered_and_then_zero(inside):
    def body():
        ch = Chan(3, zero="nothing")
        ch.send(1)
        ch.send(2)
        ch.close()
        return [ch.recv_ok(), ch.recv_ok(), ch.recv_ok(), ch.recv(), ch.try_recv()]

    assert inside(body) == [(1, True), (2, True), ("nothing", False), "nothing", ("nothing", False)]


def test_the_zero_value_of_an_object_channel_is_none():
    ch = Chan()
    ch.close()
    assert ch.recv() is None


def test_a_send_on_a_closed_channel_panics(inside):
    def body():
        ch = Chan(1)
        ch.close()
        for attempt in (lambda: ch.send(1), lambda: ch.try_send(1)):
            with pytest.raises(PanicError) as error:
                attempt()
            assert str(error.value) == "send on closed channel"

    inside(body)


def test_a_close_of_a_closed_channel_panics(inside):
    def body():
        ch = Chan()
        ch.close()
        with pytest.raises(PanicError) as error:
            ch.close()
        assert str(error.value) == "close of closed channel"

    inside(body)


def test_a_close_wakes_waiting_senders_with_a_panic(inside, until_waiting):
    def body():
        ch = Chan()
        texts = []

        def sender():
            try:
                ch.send(1)
            except PanicError as error:
                texts.append(str(error))

        goroutines = [gort.go(sender) for _ in range(3)]
        for g in goroutines:
            until_waiting(g)
        ch.close()
        for g in goroutines:
            g.join()
        return texts

    assert inside(body) == ["send on closed channel"] * 3


def test_a_nil_channel_blocks_both_ways_and_close_of_it_panics(inside):
    def body():
        for wait in (nil_chan.recv, lambda timeout: nil_chan.send(1, timeout=timeout), nil_chan.recv_ok):
            with pytest.raises(TimeoutError):
                wait(timeout=0.001)
        assert nil_chan.try_send(1) is False
        assert nil_chan.try_recv() is None
        assert (len(nil_chan), nil_chan.cap, bool(nil_chan)) == (0, 0, False)
        with pytest.raises(PanicError) as error:
            nil_chan.close()
        assert str(error.value) == "close of nil channel"

    inside(body)


def test_a_wait_on_a_nil_channel_is_a_deadlock_when_nobody_is_left():
    with pytest.raises(gort.Deadlock):
        gort.run(lambda: nil_chan.recv())


# --- order and hand-over


def test_receivers_are_served_in_the_order_in_which_they_came(until_waiting):
    def body():
        ch, got = Chan(), []
        goroutines = []
        for n in range(5):
            goroutines.append(gort.go(lambda n=n: got.append((n, ch.recv()))))
            until_waiting(goroutines[-1])
        for value in "abcde":
            ch.send(value)
        for g in goroutines:
            g.join()
        return sorted(got)

    assert gort.run(body) == list(enumerate("abcde"))


def test_iteration_receives_until_the_channel_is_closed(inside):
    def body():
        ch = Chan()

        def produce():
            with ch:
                for n in range(10):
                    ch.send(n)

        gort.go(produce)
        return list(ch)

    assert inside(body) == list(range(10))


def test_with_closes_the_channel_also_when_the_body_raises():
    ch = Chan()
    with pytest.raises(KeyError):
        with ch as same:
            assert same is ch
            raise KeyError
    assert ch.recv_ok() == (None, False)


def test_a_chain_of_a_hundred_channels_passes_every_value_on():
    def body():
        first = left = Chan()
        for _ in range(100):
            right = Chan()
            gort.go(lambda left=left, right=right: [right.send(v + 1) for v in left] and right.close())
            left = right
        gort.go(lambda: [first.send(n) for n in range(20)] and first.close())
        return list(left)

    assert gort.run(body) == [n + 100 for n in range(20)]


def test_ten_thousand_parked_receivers_all_wake_when_the_channel_is_closed():
    def body():
        ch, woken = Chan(), []
        wg = WaitGroup()
        for _ in range(10_000):
            wg.go(lambda: woken.append(ch.recv_ok()))
        before = gort.num_goroutine()
        gort.gosched()
        ch.close()
        wg.wait()
        return before, woken

    before, woken = gort.run(body)
    assert before == 10_001
    assert woken == [(None, False)] * 10_000
    assert gort.num_goroutine() == 1


@pytest.mark.parametrize("capacity", [0, 1, 64])
def test_goroutines_and_threads_together_get_every_value_exactly_once(capacity):
    ch, per_sender = Chan(capacity), 300
    received: queue.SimpleQueue = queue.SimpleQueue()

    def send_all(sender):
        for n in range(per_sender):
            ch.send((sender, n))

    def receive_all():
        for value in ch:
            received.put(value)

    def body():
        senders = [gort.go(send_all, n) for n in range(3)]
        receivers = [gort.go(receive_all) for _ in range(3)]
        for g in senders:
            g.join()
        for t in sender_threads:
            t.join()
        ch.close()
        for g in receivers:
            g.join()
        for t in receiver_threads:
            t.join()

    sender_threads = [threading.Thread(target=send_all, args=(n,)) for n in range(3, 6)]
    receiver_threads = [threading.Thread(target=receive_all) for _ in range(3)]
    for t in sender_threads + receiver_threads:
        t.start()
    gort.run(body)
    counts = Counter(received.get() for _ in range(received.qsize()))
    assert counts == Counter((s, n) for s in range(6) for n in range(per_sender))


# --- timeouts and attempts


def test_a_timeout_sends_nothing_and_takes_nothing(inside):
    def body():
        full, empty = Chan(1), Chan(1)
        full.send("first")
        with pytest.raises(TimeoutError):
            full.send("second", timeout=0.001)
        with pytest.raises(TimeoutError):
            empty.recv(timeout=0.001)
        empty.send("kept")
        return len(full), full.recv(), full.try_recv(), empty.recv()

    assert inside(body) == (1, "first", None, "kept")


@pytest.mark.parametrize("timeout", [0, 0.0, -1, timedelta(0)])
def test_timeout_zero_tries_once(timeout):
    ch = Chan(1)
    ch.send("v", timeout)
    with pytest.raises(TimeoutError):
        ch.send("w", timeout=timeout)
    assert ch.recv(timeout=timeout) == "v"
    with pytest.raises(TimeoutError):
        ch.recv(timeout)


def test_try_send_and_try_recv_never_wait(inside):
    def body():
        ch = Chan(1)
        return [ch.try_recv(), ch.try_send(None), ch.try_send(1), ch.try_recv(), ch.try_recv()]

    assert inside(body) == [None, True, False, (None, True), None]


@pytest.mark.parametrize(
    ("timeout", "error", "text"),
    [
        (math.nan, ValueError, "recv: timeout must be a number of seconds, got nan"),
        ("soon", TypeError, "recv: timeout must be a number of seconds or a timedelta, got str"),
    ],
)
def test_a_bad_timeout_says_so(timeout, error, text):
    with pytest.raises(error) as caught:
        Chan().recv(timeout=timeout)
    assert str(caught.value) == text


# --- what it looks like


def test_len_and_cap_tell_the_buffer():
    ch = Chan(3)
    ch.send(1)
    assert (len(ch), ch.cap, bool(ch)) == (1, 3, True)
    assert bool(Chan())


def test_repr_is_short():
    ch = Chan(3, name="jobs")
    ch.send(1)
    assert repr(ch) == "<Chan 1/3 'jobs'>"
    assert repr(Chan(dtype="i64")) == "<Chan i64 0/0>"
    assert repr(nil_chan) == "<Chan nil>"
    ch.close()
    assert repr(ch) == "<Chan 1/3 closed 'jobs'>"


def test_a_subscript_is_for_type_checkers_only():
    ch = Chan[int](3)
    assert type(ch) is Chan and ch.cap == 3


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Chan(-1), ValueError, "Chan: cap must be from 0 to 17592186044416, got -1"),
        (lambda: Chan(2**70), ValueError, f"Chan: cap must be from 0 to 17592186044416, got {2**70}"),
        (lambda: Chan("3"), TypeError, "Chan: cap must be an int, got str"),
        (lambda: Chan(1.0), TypeError, "Chan: cap must be an int, got float"),
        (lambda: Chan(dtype="int"), ValueError, "Chan: dtype must be one of i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 bool, or bytesN with N from 1 to 65535, got 'int'"),
        (lambda: Chan(dtype=int), TypeError, "Chan: dtype must be a str, got type"),
        (lambda: Chan(dtype="i8", zero=1), ValueError, "Chan: zero must be left out when dtype is given, got 1"),
        (lambda: Chan(name=3), TypeError, "Chan: name must be a str, got int"),
        (lambda: Chan().send(), TypeError, "send: a value is needed: send(v, timeout=None)"),
        (lambda: Chan().send(1, 2, 3), TypeError, "send: takes at most 2 arguments (v, timeout), got 3"),
        (lambda: Chan().send(1, v=2), TypeError, "send: argument 'v' is given twice"),
        (lambda: Chan().recv(wait=1), TypeError, "recv: unexpected keyword argument 'wait'"),
        (lambda: Chan().sender().recv(), TypeError, "Chan.recv: the channel is send-only"),
        (lambda: iter(Chan().sender()), TypeError, "Chan.__iter__: the channel is send-only"),
        (lambda: Chan().receiver().send(1), TypeError, "Chan.send: the channel is receive-only"),
        (lambda: Chan().receiver().close(), TypeError, "Chan.close: the channel is receive-only"),
        (lambda: Chan().receiver().sender(), TypeError, "Chan.sender: the channel is receive-only"),
        (lambda: pickle.dumps(Chan()), TypeError, "cannot pickle or copy gort.Chan objects"),
        (lambda: copy.copy(Chan()), TypeError, "cannot pickle or copy gort.Chan objects"),
        (lambda: type("Mine", (Chan,), {}), TypeError, "type 'gort.Chan' is not an acceptable base type"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_views_are_the_same_channel_in_one_direction():
    ch = Chan(2)
    sender, receiver = ch.sender(), ch.receiver()
    sender.send(1)
    assert (len(receiver), receiver.recv()) == (1, 1)
    assert sender.sender() is sender and receiver.receiver() is receiver
    with sender:
        sender.send(2)
    assert list(receiver) == [2]


# --- typed channels


RANGES = {"i8": (-(2**7), 2**7 - 1), "i16": (-(2**15), 2**15 - 1), "i32": (-(2**31), 2**31 - 1), "i64": (-(2**63), 2**63 - 1),
          "u8": (0, 2**8 - 1), "u16": (0, 2**16 - 1), "u32": (0, 2**32 - 1), "u64": (0, 2**64 - 1)}  # fmt: skip


@given(st.sampled_from(sorted(RANGES)), st.integers(-(2**65), 2**65))
def test_an_integer_channel_takes_exactly_the_integers_of_its_type(dtype, value):
    ch = Chan(1, dtype=dtype)
    low, high = RANGES[dtype]
    if low <= value <= high:
        ch.send(value)
        assert ch.recv() == value
    else:
        with pytest.raises(ValueError) as error:
            ch.send(value)
        assert str(error.value) == f"send: v must be from {low} to {high}, got {value}"
        assert len(ch) == 0


@given(st.lists(st.floats(allow_nan=False), max_size=8))
def test_a_float_channel_gives_back_the_same_floats(values):
    ch = Chan(8, dtype="f64")
    for value in values:
        ch.send(value)
    ch.close()
    assert list(ch) == values


@pytest.mark.parametrize(("dtype", "zero"), [("i64", 0), ("u8", 0), ("f32", 0.0), ("f64", 0.0), ("bool", False), ("bytes3", bytes(3))])
def test_the_zero_value_of_a_typed_channel_is_its_types(dtype, zero):
    ch = Chan(dtype=dtype)
    ch.close()
    assert ch.recv() == zero and type(ch.recv()) is type(zero)
    assert ch.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "value", "error", "text"),
    [
        ("i64", "1", TypeError, "send: v must be an int, got str"),
        ("i64", 1.5, TypeError, "send: v must be an int, got float"),
        ("bool", 1, TypeError, "send: v must be a bool, got int"),
        ("f64", "1", TypeError, "send: v must be a float, got str"),
        ("f64", 10**400, ValueError, f"send: v must be within the range of a float, got {10**400}"),
        ("f32", 1e39, ValueError, "send: v must be within the range of an f32, got 1e+39"),
        ("bytes3", "abc", TypeError, "send: v must be bytes, got str"),
        ("bytes3", b"ab", ValueError, "send: v must be 3 bytes, got b'ab'"),
        ("bytes1", b"", ValueError, "send: v must be 1 byte, got b''"),
    ],
)
def test_a_typed_channel_refuses_what_is_not_of_its_type(dtype, value, error, text):
    ch = Chan(1, dtype=dtype)
    with pytest.raises(error) as caught:
        ch.send(value)
    assert str(caught.value) == text
    assert len(ch) == 0


@pytest.mark.parametrize("size", [1, 3, 8, 16, 1000, 65535])
@pytest.mark.parametrize("capacity", [0, 2])
def test_a_channel_of_fixed_bytes_carries_exactly_those(inside, size, capacity):
    values = [bytes((i + k) % 256 for k in range(size)) for i in range(5)]

    def main():
        ch = Chan(capacity, dtype=f"bytes{size}")

        def produce():
            for value in values:
                ch.send(value)
            ch.close()

        gort.go(produce)
        got = list(ch)
        assert ch.recv_ok() == (bytes(size), False) and ch.try_recv() == (bytes(size), False)
        assert ch.dtype == f"bytes{size}" and repr(ch) == f"<Chan bytes{size} 0/{capacity} closed>"
        return got

    assert inside(main) == values


def test_other_buffers_are_sent_as_they_are_at_that_moment():
    ch = Chan(3, dtype="bytes2")
    for value in (bytearray(b"ab"), memoryview(b"cd"), memoryview(b"e1f2")[::2]):
        ch.send(value)
    assert [ch.recv() for _ in range(3)] == [b"ab", b"cd", b"ef"]


@pytest.mark.parametrize("dtype", ["bytes", "bytes0", "bytes65536", "bytes01", "bytes-1", "bytes 1", "bytes1 ", "bytes99999999999", "\ud800"])
def test_there_are_bytes_of_1_to_65535_and_no_others(dtype):
    with pytest.raises(ValueError, match="^Chan: dtype must be one of i8"):
        Chan(dtype=dtype)


def test_fixed_bytes_have_their_references_back_after_every_way_through_a_channel(until_waiting):
    value = bytes(range(200))
    before = sys.getrefcount(value)

    def main():
        ch, got = Chan(1, dtype="bytes200"), []
        ch.send(value)
        assert not ch.try_send(value)
        with pytest.raises(TimeoutError):
            ch.send(value, timeout=0)
        assert sys.getrefcount(value) == before
        waits = gort.go(lambda: got.append(ch.recv()))
        waits.join()
        alone = [bytes(range(200))]
        counts = sys.getrefcount(got[0]), sys.getrefcount(alone[0])
        assert got == alone and counts[0] == counts[1]
        assert ch.try_send(value)
        assert sys.getrefcount(value) == before
        assert ch.recv() == value and ch.try_recv() is None
        with pytest.raises(TimeoutError):
            ch.recv(timeout=0)
        parked = gort.go(ch.recv)
        until_waiting(parked)
        ch.close()
        with pytest.raises(gort.PanicError):
            ch.send(value)

    gort.run(main)
    assert sys.getrefcount(value) == before


# --- references


def test_a_value_has_its_references_back_after_every_way_through_a_channel():
    value = Thing()
    before = sys.getrefcount(value)
    ch = Chan(2)
    ch.send(value)
    assert sys.getrefcount(value) == before + 1
    assert ch.recv() is value
    ch.send(value)
    ch.send(value)
    assert not ch.try_send(value)
    with pytest.raises(TimeoutError):
        ch.send(value, timeout=0)
    assert ch.try_recv()[0] is value and ch.recv_ok()[0] is value
    ch.close()
    with pytest.raises(PanicError):
        ch.send(value)
    with pytest.raises(PanicError):
        ch.try_send(value)
    assert sys.getrefcount(value) == before


def test_a_sender_that_is_woken_by_close_keeps_its_value(until_waiting):
    value = Thing()
    before = sys.getrefcount(value)

    def body():
        ch = Chan()

        def sender():
            with pytest.raises(PanicError):
                ch.send(value)

        g = gort.go(sender)
        until_waiting(g)
        ch.close()
        g.join()

    gort.run(body)
    assert sys.getrefcount(value) == before


def test_values_left_in_a_buffer_die_with_the_channel():
    ch = Chan(2)
    ch.send(Thing())
    ch.close()
    value = Thing()
    seen = weakref.ref(value)
    other = Chan(2)
    other.send(value)
    del value
    assert seen() is not None
    del other
    assert seen() is None


def test_a_channel_can_be_referred_to_weakly_and_dies_with_its_last_reference():
    ch = Chan()
    seen = weakref.ref(ch)
    view = ch.receiver()
    del ch
    assert seen() is not None  # the view needs it
    del view
    assert seen() is None


def test_a_cycle_through_a_buffer_is_collected(collected):
    ch = Chan(1)
    seen = weakref.ref(ch)
    ch.send([ch, ch.receiver()])
    del ch
    collected()
    assert seen() is None


def test_a_channel_in_use_survives_a_collection(collected):
    ch = Chan(2)
    thing = Thing()
    ch.send([thing])
    collected()
    assert gc.is_tracked(ch) and ch.recv() == [thing]


def test_a_goroutine_stopped_in_send_keeps_nothing(until_waiting):
    value = Thing()
    seen = weakref.ref(value)

    def body():
        ch = Chan()
        g = gort.go(ch.send, value)
        until_waiting(g)

    gort.run(body)
    del value
    gc.collect()
    assert seen() is None


def test_channels_nested_in_channels_die_without_deep_recursion():
    ch = Chan(1)
    for _ in range(100_000):
        outer = Chan(1)
        outer.send(ch)
        ch = outer
    gort.run(lambda: gort.go(lambda: None).join())
    del ch, outer


# --- against a model


@given(
    st.integers(0, 4),
    st.lists(st.one_of(st.tuples(st.just("send"), st.integers()), st.tuples(st.sampled_from(["recv", "close", "len"]), st.none())), max_size=40),
)
def test_without_waiting_a_channel_is_a_bounded_queue(capacity, steps):
    ch, model, closed = Chan(capacity), deque(), False
    for step, value in steps:
        if step == "send":
            if closed:
                with pytest.raises(PanicError):
                    ch.try_send(value)
            else:
                fits = len(model) < capacity
                assert ch.try_send(value) is fits
                if fits:
                    model.append(value)
        elif step == "recv":
            expected = (model.popleft(), True) if model else (None, False) if closed else None
            assert ch.try_recv() == expected
        elif step == "len":
            assert len(ch) == len(model)
        elif closed:
            with pytest.raises(PanicError):
                ch.close()
        else:
            ch.close()
            closed = True


@given(st.integers(0, 3), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 2**32))
def test_every_value_comes_out_once_and_each_senders_in_order(capacity, senders, receivers, seed):
    def body():
        ch = Chan(capacity)
        sending, receiving = WaitGroup(), WaitGroup()
        got = [[] for _ in range(receivers)]
        for r in range(receivers):
            receiving.go(lambda r=r: got[r].extend(ch))

        def send_all(sender, count):
            for n in range(count):
                ch.send((sender, n))
                if (seed >> n) & 1:
                    gort.gosched()

        for sender, count in enumerate(senders):
            sending.go(send_all, sender, count)
        sending.wait()
        ch.close()
        receiving.wait()
        return got

    got = gort.run(body, seed=seed)
    everything = [value for values in got for value in values]
    assert sorted(everything) == [(s, n) for s, count in enumerate(senders) for n in range(count)]
    for values in got:
        for sender in range(len(senders)):
            own = [n for s, n in values if s == sender]
            assert own == sorted(own)


def test_a_wait_of_a_plain_thread_lets_other_threads_run():
    ch = Chan()
    thread = threading.Thread(target=lambda: ch.send(time.monotonic()))
    thread.start()
    assert ch.recv() <= time.monotonic()
    thread.join()
