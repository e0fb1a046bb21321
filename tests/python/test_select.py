"""select: exactly one case happens, ready ones are picked evenly, and nothing happens on a timeout."""

from __future__ import annotations

import copy
import sys
import math
import threading
import weakref
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gort
from gort import Chan, PanicError, Selected, WaitGroup, nil_chan, recv, select, send


class Thing:
    """Something with a weak reference."""


def filled(*values):
    ch = Chan(max(1, len(values)))
    for v in values:
        ch.send(v)
    return ch


# --- one case


def test_the_ready_case_happens_and_no_other(inside):
    def body():
        empty, ready, full = Chan(1), filled("v"), filled("x")
        result = select(empty, ready, send(full, "y"))
        return result, len(empty), len(ready), len(full)

    assert inside(body) == ((1, "v", True), 0, 0, 1)


def test_a_send_case_sends_its_value(inside):
    def body():
        ch = Chan(1)
        return select(send(ch, "v"), nil_chan), ch.recv()

    assert inside(body) == ((0, None, False), "v")


def test_a_closed_channel_is_ready_with_its_zero_value(inside):
    def body():
        ch = Chan(zero="nothing")
        ch.close()
        return select(nil_chan, ch)

    assert inside(body) == (1, "nothing", False)


def test_a_send_to_a_closed_channel_panics(inside):
    def body():
        ch = Chan(1)
        ch.close()
        with pytest.raises(PanicError) as error:
            select(send(ch, 1), Chan())
        return str(error.value)

    assert inside(body) == "send on closed channel"


def test_the_result_is_a_named_tuple():
    result = select(filled("v"))
    assert isinstance(result, Selected)
    index, value, ok = result
    assert (index, value, ok) == (result.index, result.value, result.ok) == (0, "v", True)
    assert repr(result) == "gort.Selected(index=0, value='v', ok=True)"
    match result:
        case Selected(index=0, value=v):
            assert v == "v"


def test_a_parked_select_is_woken_by_a_sender(inside, until_waiting):
    def body():
        a, b, out = Chan(), Chan(), Chan(1)
        g = gort.go(lambda: out.send(select(a, b)))
        until_waiting(g)
        b.send("hello")
        return out.recv(), a.try_send(1)

    assert inside(body) == ((1, "hello", True), False)


def test_a_parked_select_is_woken_by_a_receiver(inside, until_waiting):
    def body():
        a, b, out = Chan(), Chan(), Chan(1)
        g = gort.go(lambda: out.send(select(send(a, "for a"), send(b, "for b"))))
        until_waiting(g)
        value = b.recv()
        return value, out.recv(), a.try_recv()

    assert inside(body) == ("for b", (1, None, False), None)


def test_a_parked_select_is_woken_by_close(until_waiting):
    def body():
        other, out = Chan(), Chan(1)

        def waits(case):
            try:
                out.send(select(other, case))
            except PanicError as error:
                out.send(str(error))

        for ch, case in [(ch := Chan(), ch), (ch := Chan(), send(ch, 1))]:
            until_waiting(gort.go(waits, case))
            ch.close()
            yield out.recv()

    assert gort.run(lambda: list(body())) == [(1, None, False), "send on closed channel"]


def test_one_send_wakes_one_of_many_selects(until_waiting):
    def body():
        a, b, out = Chan(), Chan(), Chan(100)
        goroutines = [gort.go(lambda: out.send(select(a, b).value)) for _ in range(10)]
        for g in goroutines:
            until_waiting(g)
        for n in range(10):
            (a if n % 2 else b).send(n)
        return sorted(out.recv() for _ in range(10)), out.try_recv()

    assert gort.run(body) == (list(range(10)), None)


def test_a_select_never_meets_itself():
    ch = Chan()
    with pytest.raises(TimeoutError):
        select(ch, send(ch, 1), timeout=0.001)


def test_the_same_channel_may_appear_in_several_cases():
    ch = Chan(1)
    assert select(ch, send(ch, 1), recv(ch)).index == 1
    assert select(ch, send(ch, 1), recv(ch)).index in (0, 2)


# --- default, timeout, no case


def test_default_is_taken_only_when_nothing_is_ready(inside):
    def body():
        ch = filled("v")
        return select(ch, default=True), select(ch, default=True), select(default=True)

    assert inside(body) == ((0, "v", True), (-1, None, False), (-1, None, False))


def test_a_timeout_does_nothing(inside):
    def body():
        empty, full = Chan(), filled("x")
        for timeout in (0, 0.001):
            with pytest.raises(TimeoutError):
                select(empty, send(full, "y"), timeout=timeout)
        return full.recv(), full.try_recv(), empty.try_send(1)

    assert inside(body) == ("x", None, False)


def test_timeout_zero_takes_what_is_ready():
    assert select(Chan(), filled("v"), timeout=0) == (1, "v", True)


def test_none_and_nil_channels_are_never_ready():
    assert select(None, nil_chan, send(nil_chan, 1), filled("v")) == (3, "v", True)
    with pytest.raises(TimeoutError):
        select(None, nil_chan, timeout=0.001)


@pytest.mark.parametrize("cases", [(), (None,), (nil_chan, None)])
def test_a_select_that_can_never_go_on_is_a_deadlock(cases):
    with pytest.raises(gort.Deadlock):
        gort.run(select, *cases)


def test_more_cases_than_fit_the_stack():
    channels = [Chan(1) for _ in range(1000)]
    channels[777].send("v")
    assert select(*channels) == (777, "v", True)
    assert select(*channels, default=True).index == -1


def test_typed_channels_convert_their_values():
    ints, reals = Chan(1, dtype="i32"), Chan(1, dtype="f64")
    assert select(send(ints, 7), reals) == (0, None, False)
    assert select(ints, reals) == (0, 7, True)
    reals.close()
    assert select(ints, reals) == (1, 0.0, False)


def test_fixed_bytes_go_through_selects():
    a, b, value = Chan(1, dtype="bytes20"), Chan(1, dtype="bytes4"), bytes(range(20))
    before = sys.getrefcount(value)
    offer = send(a, value)
    assert repr(offer) == f"send(<Chan bytes20 0/1>, {value!r})"
    assert select(offer, b) == (0, None, False)
    assert select(offer, b, default=True) == (-1, None, False)
    assert select(recv(a), b) == (0, value, True)
    with pytest.raises(TimeoutError):
        select(a, b, timeout=0)
    with pytest.raises(TypeError, match="select: case 2"):
        select(a, b, 3)
    with pytest.raises(TypeError, match="select: case 1 receives"):
        select(a, b.sender())
    b.close()
    assert select(a, b) == (1, bytes(4), False)
    with pytest.raises(PanicError):
        select(send(b, b"1234"))
    del offer
    assert sys.getrefcount(value) == before


def test_fixed_bytes_wait_in_selects(until_waiting):
    a, b, got = Chan(dtype="bytes20"), Chan(dtype="bytes20"), []

    def main():
        g = gort.go(lambda: got.append(select(a, b)))
        until_waiting(g)
        b.send(bytes(range(20)))
        g.join()
        g = gort.go(lambda: got.append(select(send(a, bytes(20)), b)))
        until_waiting(g)
        got.append(a.recv())
        g.join()

    gort.run(main)
    assert got[0] == (1, bytes(range(20)), True)
    assert got[1] == bytes(20) or got[2] == bytes(20)
    assert (0, None, False) in got[1:]


# --- misuse


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: select(3), TypeError, "select: case 0 must be a Chan, recv(ch), send(ch, v) or None, got int"),
        (lambda: select(Chan(), "b"), TypeError, "select: case 1 must be a Chan, recv(ch), send(ch, v) or None, got str"),
        (lambda: select(Chan(), wait=1), TypeError, "select: unexpected keyword argument 'wait'"),
        (lambda: select(Chan().sender()), TypeError, "select: case 0 receives, but the channel is send-only"),
        (lambda: recv(3), TypeError, "recv: ch must be a Chan, got int"),
        (lambda: recv(Chan().sender()), TypeError, "recv: the channel is send-only"),
        (lambda: send(3, 1), TypeError, "send: ch must be a Chan, got int"),
        (lambda: send(Chan()), TypeError, "send: takes 2 arguments (ch, v), got 1"),
        (lambda: send(Chan().receiver(), 1), TypeError, "send: the channel is receive-only"),
        (lambda: send(Chan(dtype="i8"), 128), ValueError, "send: v must be from -128 to 127, got 128"),
        (lambda: select(*[None] * 65537), PanicError, "reflect.Select: too many cases (max 65536)"),
        (lambda: copy.copy(recv(Chan())), TypeError, "cannot pickle or copy gort.Case objects"),
    ],
)
def test_misuse_is_an_exact_error(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


def test_repr_of_a_case():
    assert repr(send(Chan(1), "v")) == "send(<Chan 0/1>, 'v')"
    assert repr(recv(Chan(1))) == "recv(<Chan 0/1>)"


# --- references


def test_values_that_are_not_sent_keep_their_references():
    value = Thing()
    before = sys.getrefcount(value)
    full, open_, closed = filled(0), Chan(1), Chan()
    closed.close()
    assert select(send(full, value), send(open_, value), send(nil_chan, value)).index == 1
    assert open_.recv() is value
    with pytest.raises(TimeoutError):
        select(send(full, value), send(nil_chan, value), timeout=0)
    with pytest.raises(PanicError):
        select(send(closed, value), send(full, value))
    with pytest.raises(TypeError):
        select(send(full, value), 3)
    assert sys.getrefcount(value) == before


def test_a_case_may_be_used_again():
    value, ch = Thing(), Chan(3)
    before = sys.getrefcount(value)
    case = send(ch, value)
    for _ in range(3):
        assert select(case, nil_chan).index == 0
    assert [ch.recv() for _ in range(3)] == [value] * 3
    del case
    assert sys.getrefcount(value) == before


def test_a_cycle_through_a_case_is_collected(collected):
    thing = Thing()
    seen = weakref.ref(thing)
    thing.case = send(Chan(), thing)
    del thing
    collected()
    assert seen() is None


# --- fairness


def is_even(counts: Counter, arms: int) -> bool:
    """By the chi-square test, which a fair select fails one time in a billion (Wilson and Hilferty's approximation of its bound)."""
    picks, degrees = sum(counts.values()), arms - 1
    bound = degrees * (1 - 2 / (9 * degrees) + 6 * math.sqrt(2 / (9 * degrees))) ** 3
    return sum((counts[n] - picks / arms) ** 2 for n in range(arms)) / (picks / arms) < bound


@pytest.mark.go("runtime/chan_test.go TestSelectFairness")
@pytest.mark.parametrize("arms", range(2, 11))
def test_ready_cases_are_picked_evenly(arms):
    channels = [Chan(1) for _ in range(arms)]
    counts: Counter = Counter()
    for _ in range(500 * arms):
        for ch in channels:
            ch.try_send(None)
        counts[select(*channels).index] += 1
    assert is_even(counts, arms)


def test_ready_sends_and_receives_are_picked_evenly():
    full, free = [Chan(1) for _ in range(3)], [Chan(1) for _ in range(3)]
    counts: Counter = Counter()
    for _ in range(3000):
        for ch in full:
            ch.try_send(None)
        for ch in free:
            ch.try_recv()
        counts[select(*full, *[send(ch, 1) for ch in free]).index] += 1
    assert is_even(counts, 6)


def test_the_first_pick_is_even_over_seeds():
    def first():
        channels = [Chan(1) for _ in range(4)]
        for ch in channels:
            ch.send(None)
        return select(*channels).index

    assert is_even(Counter(gort.run(first, seed=seed) for seed in range(1, 4001)), 4)


def test_a_select_that_is_always_late_loses_no_arm():
    # parked each time, and woken by two senders in turn: who comes first is not for select to choose
    def main():
        channels = [Chan(), Chan()]

        def feed(ch):
            for _ in range(300):
                ch.send(None)

        for ch in channels:
            gort.go(feed, ch)
        return Counter(select(*channels).index for _ in range(600))

    assert gort.run(main) == {0: 300, 1: 300}


# --- against a model


operations = st.one_of(
    st.tuples(st.just("select"), st.lists(st.tuples(st.sampled_from(["send", "recv", "nil"]), st.integers(0, 2)), max_size=5)),
    st.tuples(st.just("close"), st.integers(0, 2)),
)


@given(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)), st.lists(operations, max_size=25))
def test_without_waiting_select_does_one_of_the_ready_operations_of_a_model(capacities, steps):
    channels = [Chan(c) for c in capacities]
    queues = [deque() for _ in capacities]
    closed = [False, False, False]
    serial = 0
    for step, argument in steps:
        if step == "close":
            if not closed[argument]:
                channels[argument].close()
                closed[argument] = True
            continue
        cases, ready = [], []
        for index, (kind, n) in enumerate(argument):
            serial += 1
            if kind == "nil":
                cases.append(None)
            elif kind == "send":
                cases.append(send(channels[n], serial))
                if closed[n] or len(queues[n]) < capacities[n]:
                    ready.append((index, n, serial))
            else:
                cases.append(channels[n])
                if closed[n] or queues[n]:
                    ready.append((index, n, None))
        try:
            result = select(*cases, default=True)
        except PanicError:
            assert any(closed[n] and value is not None for _, n, value in ready)
            continue
        if result.index == -1:
            assert ready == []
            continue
        (chosen,) = [r for r in ready if r[0] == result.index]
        _, n, value = chosen
        if value is not None:
            assert not closed[n]
            queues[n].append(value)
        elif queues[n]:
            assert result == (result.index, queues[n].popleft(), True)
        else:
            assert result == (result.index, None, False)
    assert [len(ch) for ch in channels] == [len(q) for q in queues]


@given(st.integers(0, 2), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32))
def test_selecting_senders_and_receivers_lose_and_double_nothing(capacity, senders, receivers, seed):
    def body():
        channels = [Chan(capacity) for _ in range(3)]
        stop, sending, receiving = Chan(), WaitGroup(), WaitGroup()
        sent, got = [], []

        def send_all(sender):
            for n in range(8):
                value = (sender, n)
                select(*[send(ch, value) for ch in channels])
                sent.append(value)

        def receive_all():
            while True:
                index, value, ok = select(*channels, stop)
                if index == 3:
                    break
                got.append(value)

        for s in range(senders):
            sending.go(send_all, s)
        for _ in range(receivers):
            receiving.go(receive_all)
        sending.wait()
        stop.close()
        receiving.wait()
        for ch in channels:  # receivers may have gone while something was still buffered
            ch.close()
            got.extend(ch)
        return sent, got

    sent, got = gort.run(body, seed=seed)
    assert len(sent) == senders * 8
    assert sorted(got) == sorted(sent)


def test_selects_of_goroutines_and_threads_get_every_value_exactly_once():
    channels, stop = [Chan(n) for n in range(3)], Chan()
    got: list[tuple[int, int]] = []

    def send_all(sender):
        for n in range(200):
            select(*[send(ch, (sender, n)) for ch in channels])

    def receive_all():
        own = []
        while (result := select(stop, *channels)).index != 0:
            own.append(result.value)
        got.extend(own)

    def body():
        goroutines = [gort.go(send_all, 0), gort.go(send_all, 1)]
        receivers = [gort.go(receive_all) for _ in range(2)]
        for t in sender_threads:
            t.join()
        for g in goroutines:
            g.join()
        for ch in channels:  # the buffered rest
            while len(ch):
                gort.gosched()
        stop.close()
        for g in receivers:
            g.join()
        for t in receiver_threads:
            t.join()

    sender_threads = [threading.Thread(target=send_all, args=(n,)) for n in (2, 3)]
    receiver_threads = [threading.Thread(target=receive_all) for _ in range(2)]
    for t in sender_threads + receiver_threads:
        t.start()
    gort.run(body)
    assert Counter(got) == Counter((s, n) for s in range(4) for n in range(200))
