"""Mutex: exclusion between goroutines and threads, and Go's fatal error."""

from __future__ import annotations

import threading

import pytest

import gort
from gort import Chan, FatalError, Mutex, WaitGroup


def test_only_one_is_inside_at_a_time(inside):
    def body():
        mu, wg, count, inside_now = Mutex(), WaitGroup(), 0, 0

        def work():
            nonlocal count, inside_now
            for _ in range(100):
                with mu:
                    inside_now += 1
                    assert inside_now == 1
                    gort.gosched()
                    count += 1
                    inside_now -= 1

        for _ in range(5):
            wg.go(work)
        wg.wait()
        return count, mu.state

    assert inside(body) == (500, (False, False, False, 0))


def test_goroutines_and_threads_exclude_each_other():
    mu, count = Mutex(), 0

    def work():
        nonlocal count
        for _ in range(200):
            with mu:
                before = count
                gort.gosched()
                count = before + 1

    def body():
        goroutines = [gort.go(work) for _ in range(3)]
        for t in threads:
            t.join()
        for g in goroutines:
            g.join()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    gort.run(body)
    assert count == 1200


@pytest.mark.go("sync/mutex_test.go TestMutex HammerMutex")
@pytest.mark.parametrize("procs", [1, 4])
def test_locks_and_tries_mix_under_load(procs):
    def main():
        mu, wg, inside_now = Mutex(), WaitGroup(), []

        def hammer():
            for i in range(300):
                if i % 3 == 0:
                    if not mu.try_lock():
                        continue
                else:
                    mu.lock()
                inside_now.append(1)
                if len(inside_now) > 1:
                    raise AssertionError("two are inside")
                if i % 7 == 0:
                    gort.gosched()
                inside_now.pop()
                mu.unlock()

        for _ in range(10):
            wg.go(hammer)
        wg.wait()
        return mu.state

    assert gort.run(main, procs=procs) == (False, False, False, 0)


@pytest.mark.go("sync/mutex_test.go TestMutexFairness")
def test_a_waiter_gets_it_from_one_that_hardly_ever_lets_go():
    def main():
        mu, stop, done = Mutex(), Chan(), Chan(1)

        def hog():
            while stop.try_recv() is None:
                with mu:
                    gort.sleep(0.0001)

        def wants_it():
            for _ in range(10):
                gort.sleep(0.0001)
                with mu:
                    pass
            done.send(True)

        g = gort.go(hog)
        gort.go(wants_it)
        got = done.recv(timeout=50)
        stop.close()
        g.join()
        return got

    assert gort.run(main)


@pytest.mark.go("sync/mutex_test.go TestMutex")
def test_try_lock_takes_a_free_mutex_only(inside):
    def body():
        mu = Mutex()
        return mu.try_lock(), mu.try_lock(), mu.unlock(), mu.try_lock()

    assert inside(body) == (True, False, None, True)


def test_another_goroutine_may_unlock(inside):
    def body():
        mu = Mutex()
        mu.lock()
        gort.go(mu.unlock)
        mu.lock()
        return mu.state.locked

    assert inside(body) is True


def test_with_gives_the_mutex_and_unlocks_after_an_exception():
    mu = Mutex()
    with pytest.raises(KeyError):
        with mu as same:
            assert same is mu
            raise KeyError
    assert not mu.state.locked


def test_state_shows_who_waits(until_waiting):
    def body():
        mu = Mutex()
        mu.lock()
        g = gort.go(lambda: mu.lock() or mu.unlock())
        until_waiting(g)
        state = mu.state
        shown = repr(mu), g.wait_reason
        mu.unlock()
        g.join()
        return state.locked, state.waiters, shown

    assert gort.run(body) == (True, 1, ("<Mutex locked, 1 waiting>", "sync.Mutex.Lock"))


@pytest.mark.go("sync/mutex_test.go TestMutexMisuse")
@pytest.mark.parametrize("program", ["unlock", "lock unlock unlock"])
def test_unlock_of_an_unlocked_mutex_is_fatal_and_changes_nothing(inside, program):
    def body():
        mu = Mutex()
        *before, wrong = program.split()
        for step in before:
            getattr(mu, step)()
        with pytest.raises(FatalError) as error:
            getattr(mu, wrong)()
        assert str(error.value) == "sync: unlock of unlocked mutex"
        return mu.try_lock()

    assert inside(body)


@pytest.mark.lock_faults
def test_a_lock_that_nobody_gives_back_is_a_deadlock():
    def body():
        mu = Mutex()
        mu.lock()
        mu.lock()

    with pytest.raises(gort.Deadlock):
        gort.run(body)


@pytest.mark.parametrize("bound, name", [
    (Mutex().lock, "Mutex.lock"), (Mutex().unlock, "Mutex.unlock"), (gort.RWMutex().rlock, "RWMutex.rlock"), (gort.sync.SpinLock().lock, "SpinLock.lock"),
    (WaitGroup().done, "WaitGroup.done"), (gort.Pool().get, "Pool.get"), (gort.gosched, "gort._gort.gosched"),
])  # fmt: skip
def test_a_method_without_arguments_says_so_as_those_of_python_do(bound, name):
    with pytest.raises(TypeError) as error:
        bound(1, 2)
    assert str(error.value) == f"{name}() takes no arguments (2 given)"
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        bound(timeout=1)


def test_the_end_of_a_run_ends_waits_for_a_lock(until_waiting):
    mu, seen = Mutex(), []

    def waits():
        try:
            with mu:
                seen.append("locked")
        finally:
            seen.append("ended")

    def body():
        mu.lock()
        until_waiting(gort.go(waits))

    gort.run(body)
    assert seen == ["ended"]
    mu.unlock()
    assert mu.state == (False, False, False, 0)
