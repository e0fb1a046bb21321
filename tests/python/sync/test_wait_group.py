"""WaitGroup: the counter, who waits for it, and Go's panics."""

from __future__ import annotations

import copy
import threading
import weakref

import pytest

import gort
from gort import Chan, PanicError, WaitGroup


def test_wait_returns_at_once_when_the_counter_is_zero(inside):
    inside(lambda: WaitGroup().wait())


def test_wait_returns_when_every_counted_goroutine_is_done(inside):
    def body():
        wg, done = WaitGroup(), []
        wg.add(3)

        def work(n):
            gort.gosched()
            done.append(n)
            wg.done()

        for n in range(3):
            gort.go(work, n)
        wg.wait()
        return sorted(done)

    assert inside(body) == [0, 1, 2]


@pytest.mark.go("sync/waitgroup_test.go TestWaitGroup")
def test_it_is_a_barrier_that_can_be_used_again(inside):
    def body():
        arrived, leave = WaitGroup(), WaitGroup()
        for _ in range(8):
            n = 16
            exited = Chan(n)
            arrived.add(n)
            leave.add(n)

            def work(exited=exited):
                arrived.done()
                leave.wait()
                exited.send(True)

            for _ in range(n):
                gort.go(work)
            arrived.wait()
            for _ in range(n):
                assert exited.try_recv() is None, "the group was released too soon"
                leave.done()
            for _ in range(n):
                exited.recv()

    inside(body)


@pytest.mark.go("sync/waitgroup_test.go TestWaitGroupRace")
def test_wait_returns_after_the_last_done():
    def main():
        for _ in range(300):
            wg, done = WaitGroup(), []
            wg.add(1)
            gort.go(lambda: (done.append(1), wg.done()))
            wg.add(1)
            gort.go(lambda: (done.append(2), wg.done()))
            wg.wait()
            assert sorted(done) == [1, 2], "woken too soon"

    gort.run(main)


@pytest.mark.go("sync/waitgroup_test.go TestIssue76126")
def test_a_panic_ends_the_run_and_nobody_passes_wait():
    passed = []

    def main():
        wg = WaitGroup()
        wg.go(lambda: 1 / 0)
        wg.wait()
        passed.append("wait returned")

    with pytest.raises(ZeroDivisionError):
        gort.run(main)
    assert passed == []


@pytest.mark.go("sync/waitgroup_test.go TestWaitGroupGo")
def test_go_passes_arguments_and_counts(inside):
    def body():
        wg, got = WaitGroup(), []
        assert wg.go(lambda *a, **k: got.append((a, k)), 1, 2, three=3) is None
        wg.wait()
        return got

    assert inside(body) == [((1, 2), {"three": 3})]


def test_go_counts_down_when_the_goroutine_ends_by_goexit():
    def body():
        wg = WaitGroup()
        wg.go(gort.goexit)
        wg.wait()
        return True

    assert gort.run(body)


def test_go_counts_down_when_the_goroutine_panics(monkeypatch):
    reported = []
    monkeypatch.setattr(gort, "panichook", lambda goroutine, error: reported.append(repr(error)))
    wg = WaitGroup()
    wg.go(lambda: 1 / 0)
    wg.wait()
    assert reported == ["ZeroDivisionError('division by zero')"]


def test_many_wait_for_one(inside):
    def body():
        wg, out = WaitGroup(), Chan(10)
        wg.add(1)
        for n in range(10):
            gort.go(lambda n=n: (wg.wait(), out.send(n)))
        gort.gosched()
        wg.done()
        return sorted(out.recv() for _ in range(10))

    assert inside(body) == list(range(10))


def test_a_timeout_leaves_the_counter_as_it_was(inside):
    def body():
        wg = WaitGroup()
        wg.add(1)
        for timeout in (0, 0.001):
            with pytest.raises(TimeoutError):
                wg.wait(timeout=timeout)
        wg.done()
        wg.wait(timeout=0)

    inside(body)


def test_threads_and_goroutines_count_together():
    wg = WaitGroup()
    wg.add(20)
    threads = [threading.Thread(target=wg.done) for _ in range(10)]
    for t in threads:
        t.start()
    for _ in range(10):
        gort.go(wg.done)
    wg.wait()
    for t in threads:
        t.join()


def test_it_can_be_used_again_after_wait():
    wg = WaitGroup()
    for _ in range(3):
        wg.go(lambda: None)
        wg.wait()


@pytest.mark.go("sync/waitgroup_test.go TestWaitGroupMisuse")
def test_one_done_too_many_panics():
    wg = WaitGroup()
    wg.add(1)
    wg.done()
    with pytest.raises(PanicError) as error:
        wg.done()
    assert str(error.value) == "sync: negative WaitGroup counter"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda wg: wg.done(), PanicError, "sync: negative WaitGroup counter"),
        (lambda wg: wg.add(-1), PanicError, "sync: negative WaitGroup counter"),
        (lambda wg: wg.add("1"), TypeError, "add: n must be an int, got str"),
        (lambda wg: wg.add(2**31), ValueError, "add: n must be from -2147483648 to 2147483647, got 2147483648"),
        (lambda wg: wg.go(), TypeError, "WaitGroup.go: a function is needed: WaitGroup.go(fn, *args, **kwargs)"),
        (lambda wg: wg.go(3), TypeError, "WaitGroup.go: fn must be callable, got int"),
        (lambda wg: wg.wait(1, 2), TypeError, "wait: takes at most 1 argument (timeout), got 2"),
        (lambda wg: WaitGroup(1), TypeError, "WaitGroup: takes no arguments"),
        (lambda wg: copy.copy(wg), TypeError, "cannot pickle or copy gort.WaitGroup objects"),
    ],
)
def test_misuse_is_an_exact_error_and_changes_nothing(call, error, text):
    wg = WaitGroup()
    with pytest.raises(error) as caught:
        call(wg)
    assert str(caught.value) == text
    wg.wait(timeout=0)


def test_repr_and_weak_reference():
    wg = WaitGroup()
    wg.add(2)
    assert repr(wg) == "<WaitGroup 2>"
    seen = weakref.ref(wg)
    del wg
    assert seen() is None
