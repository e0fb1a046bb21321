"""Cond: nobody misses a notification, and the lock is held when wait returns."""

from __future__ import annotations

import copy
import gc
import threading

import pytest

import gort
from gort import Chan, Cond, FatalError, Mutex, WaitGroup


def test_signal_wakes_the_one_that_has_waited_longest(until_waiting):
    def body():
        mu = Mutex()
        cond, order = Cond(mu), []

        def waits(n):
            with mu:
                cond.wait()
                order.append(n)

        goroutines = []
        for n in range(3):
            goroutines.append(gort.go(waits, n))
            until_waiting(goroutines[-1])
        for g in goroutines:
            cond.signal()
            g.join()
        return order

    assert gort.run(body) == [0, 1, 2]


@pytest.mark.go("sync/cond_test.go TestCondSignal")
def test_each_signal_wakes_one():
    def main():
        mu, n = Mutex(), 2
        cond, running, awake = Cond(mu), Chan(n), Chan(n)

        def waits():
            with mu:
                running.send(None)
                cond.wait()
                awake.send(None)

        for _ in range(n):
            gort.go(waits)
        for _ in range(n):
            running.recv()
        for left in range(n, 0, -1):
            assert awake.try_recv() is None, "it is not asleep"
            with mu:  # so they are in wait
                cond.signal()
            awake.recv()
            assert awake.try_recv() is None, f"too many are awake, {left - 1} should sleep"
        cond.signal()

    gort.run(main)


@pytest.mark.go("sync/cond_test.go TestCondSignalGenerations")
def test_a_signal_is_for_who_waited_before_it():
    def main():
        mu, n = Mutex(), 100
        cond, running, awake = Cond(mu), Chan(n), Chan(n)

        def waits(i):
            with mu:
                running.send(None)
                cond.wait()
                awake.send(i)

        order = []
        for i in range(n):
            gort.go(waits, i)
            if i > 0:
                order.append(awake.recv())
            running.recv()
            with mu:
                cond.signal()
        order.append(awake.recv())
        return order

    assert gort.run(main) == list(range(100))


@pytest.mark.go("sync/cond_test.go TestCondBroadcast")
def test_each_broadcast_wakes_every_waiter_once():
    def main():
        mu, n, over = Mutex(), 20, []
        cond, running, awake = Cond(mu), Chan(n), Chan(n)

        def waits(i):
            with mu:
                while not over:
                    running.send(i)
                    cond.wait()
                    awake.send(i)

        goroutines = [gort.go(waits, i) for i in range(n)]
        for turn in range(n):
            for _ in range(n):
                running.recv()
            assert awake.try_recv() is None, "it is not asleep"
            with mu:
                if turn == n - 1:
                    over.append(True)
                cond.broadcast()
            assert sorted(awake.recv() for _ in range(n)) == list(range(n))
        for g in goroutines:
            g.join()
        assert running.try_recv() is None
        cond.broadcast()

    gort.run(main)


@pytest.mark.go("sync/cond_test.go TestRace")
def test_three_pass_a_value_on_whoever_comes_first(inside):
    def body():
        mu, x, seen, wg = Mutex(), [0], [], WaitGroup()
        cond = Cond(mu)

        def first():
            with mu:
                x[0] = 1
                cond.wait()
                seen.append(x[0])
                x[0] = 3
                cond.signal()

        def until(values, then):
            while True:
                with mu:
                    if x[0] in values:
                        return then()
                gort.gosched()

        def second():
            x[0] = 2
            cond.signal()

        def third():
            if x[0] == 2:
                cond.wait()
                seen.append(x[0])

        for fn, *arguments in [(first,), (until, [1], second), (until, [2, 3], third)]:
            wg.go(fn, *arguments)
        wg.wait()
        return seen in ([2], [2, 3])

    assert inside(body)


@pytest.mark.go("sync/cond_test.go TestCondSignalStealing")
def test_who_waits_already_is_not_robbed_of_a_broadcast():
    def main():
        for _ in range(100):
            mu, ch, done = Mutex(), Chan(), []
            cond = Cond(mu)

            def first():
                with mu:
                    ch.send(None)
                    cond.wait()
                ch.send(None)

            def second():
                with mu:
                    while not done:
                        cond.wait()

            gort.go(first)
            ch.recv()
            with mu:  # so it is in wait
                pass
            gort.go(cond.broadcast)
            late = gort.go(second)
            ch.recv()
            with mu:
                done.append(True)
            cond.broadcast()
            late.join()

    gort.run(main)


@pytest.mark.go("sync/cond_test.go TestCondCopy")
def test_it_cannot_be_copied():
    with pytest.raises(TypeError) as error:
        copy.copy(Cond(Mutex()))
    assert str(error.value) == "cannot pickle or copy gort.Cond objects"


def test_broadcast_wakes_all(inside, until_waiting):
    def body():
        mu, wg, woken = Mutex(), WaitGroup(), []
        cond = Cond(mu)

        def waits(n):
            with mu:
                cond.wait()
                assert mu.state.locked
                woken.append(n)

        goroutines = [gort.go(waits, n) for n in range(20)]
        for g in goroutines:
            until_waiting(g)
        assert repr(cond) == "<Cond 20 waiting>"
        with mu:
            cond.broadcast()
        for g in goroutines:
            g.join()
        return sorted(woken), wg.wait()

    assert inside(body) == (list(range(20)), None)


def test_wait_for_returns_the_value_of_its_condition(inside):
    def body():
        mu, items = Mutex(), []
        cond = Cond(mu)

        def produce():
            with mu:
                items.append("item")
                cond.signal()

        with mu:
            gort.go(produce)
            return cond.wait_for(lambda: items and items[0])

    assert inside(body) == "item"


def test_signals_without_waiters_are_lost():
    cond = Cond(Mutex())
    cond.signal()
    cond.broadcast()
    assert repr(cond) == "<Cond 0 waiting>"


def test_a_queue_between_goroutines_and_threads_passes_everything_on():
    mu, items, got = Mutex(), [], []
    cond = Cond(mu)

    def produce(n):
        for i in range(50):
            with mu:
                items.append((n, i))
            cond.signal()

    def consume():
        for _ in range(50):
            with mu:
                cond.wait_for(lambda: items)
                got.append(items.pop())

    def body():
        goroutines = [gort.go(produce, 0), gort.go(consume)]
        for t in threads:
            t.join()
        for g in goroutines:
            g.join()

    threads = [threading.Thread(target=produce, args=(1,)), threading.Thread(target=consume)]
    for t in threads:
        t.start()
    gort.run(body)
    assert sorted(got) == [(n, i) for n in range(2) for i in range(50)]


def test_wait_without_the_lock_is_fatal_and_leaves_no_waiter(inside):
    def body():
        cond = Cond(Mutex())
        with pytest.raises(FatalError) as error:
            cond.wait()
        return str(error.value), repr(cond)

    assert inside(body) == ("sync: unlock of unlocked mutex", "<Cond 0 waiting>")


def test_the_lock_is_held_when_the_end_of_a_run_ends_a_wait(until_waiting):
    mu = Mutex()
    cond, seen = Cond(mu), []

    def waits():
        with mu:
            try:
                cond.wait()
            finally:
                seen.append(mu.state.locked)

    gort.run(lambda: until_waiting(gort.go(waits)))
    assert seen == [True]
    assert mu.state == (False, False, False, 0)


def test_any_lock_with_lock_and_unlock_will_do():
    class Lock:
        def __init__(self):
            self.inner, self.calls = Mutex(), []

        def lock(self):
            self.inner.lock()
            self.calls.append("lock")

        def unlock(self):
            self.calls.append("unlock")
            self.inner.unlock()

    def signal(lock, cond):
        with lock.inner:  # so not before the wait
            cond.signal()

    def body():
        lock = Lock()
        cond = Cond(lock)
        lock.lock()
        gort.go(signal, lock, cond)
        cond.wait()
        return lock.calls

    assert gort.run(body) == ["lock", "unlock", "lock"]


@pytest.mark.parametrize(("lock", "name"), [(None, "NoneType"), (3, "int"), (threading.Lock(), "_thread.lock")])
def test_what_is_no_lock_is_refused(lock, name):
    with pytest.raises(TypeError) as error:
        Cond(lock)
    assert str(error.value) == f"Cond: lock must be a lock with lock() and unlock(), got {name}"


@pytest.mark.parametrize("kind", [Mutex, gort.RWMutex])
def test_a_goroutine_that_does_not_get_its_lock_back_holds_up_neither_the_end_of_a_run_nor_a_collection(until_waiting, kind):
    lock = kind()
    cond = Cond(lock)

    def waits():
        with lock:
            cond.wait()

    def body():
        until_waiting(gort.go(waits))
        lock.lock()  # and keeps it

    with pytest.warns(ResourceWarning, match="1 goroutine did not end within grace and is abandoned"):
        gort.run(body, grace=0.01)
    gc.collect()
    lock.unlock()
