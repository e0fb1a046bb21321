"""SpinLock: exclusion without a queue, also where the holder needs the GIL, parks, or is a plain thread."""

from __future__ import annotations

import copy
import doctest
import subprocess
import sys
import threading
import time
import weakref
from typing import Any, Callable

import pytest

import gort
from gort import Cond, FatalError, GoExit, WaitGroup
from gort.sync import SpinLock

Inside = Callable[[Callable[[], Any]], Any]


def test_only_one_is_inside_at_a_time(inside: Inside) -> None:
    def body() -> int:
        lock, wg, count, inside_now = SpinLock(), WaitGroup(), 0, 0

        def work() -> None:
            nonlocal count, inside_now
            for _ in range(100):
                with lock:
                    inside_now += 1
                    assert inside_now == 1
                    gort.gosched()
                    count += 1
                    inside_now -= 1

        for _ in range(5):
            wg.go(work)
        wg.wait()
        return count

    assert inside(body) == 500


def test_goroutines_and_threads_exclude_each_other() -> None:
    lock, count = SpinLock(), 0

    def work() -> None:
        nonlocal count
        for n in range(300):
            with lock:
                before = count
                if n % 30 == 0:
                    time.sleep(0)  # lets the GIL go
                count = before + 1

    def body() -> None:
        goroutines = [gort.go(work) for _ in range(3)]
        for t in threads:
            t.join()
        for g in goroutines:
            g.join()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    gort.run(body)
    assert count == 1800


def test_who_waits_lets_the_thread_go_on_that_holds_it(inside: Inside) -> None:
    """With a GIL that must come free: a thread in Python code holds the lock, and gives it back only after many bytecodes."""

    def body() -> bool:
        lock, held = SpinLock(), threading.Event()

        def hold() -> None:
            with lock:
                held.set()
                sum(n for n in range(300_000))

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        with lock:
            pass
        thread.join()
        return lock.try_lock()

    assert inside(body)


def test_a_holder_may_park(inside: Inside) -> None:
    def body() -> list[str]:
        lock, said, go_on = SpinLock(), [], gort.Chan[None]()

        def other() -> None:
            with lock:
                said.append("other")

        lock.lock()
        g = gort.go(other)
        gort.after_func(0.001, lambda: go_on.send(None))
        go_on.recv()
        said.append("holder")
        lock.unlock()
        g.join()
        return said

    assert inside(body) == ["holder", "other"]


def test_try_lock_takes_a_free_lock_only(inside: Inside) -> None:
    def body() -> Any:
        lock = SpinLock()
        return lock.try_lock(), lock.try_lock(), lock.unlock(), lock.try_lock()

    assert inside(body) == (True, False, None, True)


def test_another_goroutine_may_unlock(inside: Inside) -> None:
    def body() -> bool:
        lock = SpinLock()
        lock.lock()
        gort.go(lock.unlock)
        lock.lock()
        return lock.try_lock()

    assert inside(body) is False


def test_with_gives_the_lock_and_unlocks_after_an_exception() -> None:
    lock = SpinLock()
    with pytest.raises(KeyError):
        with lock as same:
            assert same is lock and repr(lock) == "<SpinLock locked>"
            raise KeyError
    assert repr(lock) == "<SpinLock unlocked>"


def test_unlock_of_an_unlocked_one_is_fatal_and_changes_nothing(inside: Inside) -> None:
    def body() -> bool:
        lock = SpinLock()
        with pytest.raises(FatalError) as error:
            lock.unlock()
        assert str(error.value) == "sync: unlock of unlocked SpinLock"
        return lock.try_lock()

    assert inside(body)


def test_the_end_of_the_run_ends_a_wait() -> None:
    ended, began = [], []

    def wait(lock: SpinLock) -> None:
        try:
            began.append(True)
            lock.lock()
        except GoExit:
            ended.append("exit")
            raise

    def body() -> None:
        lock = SpinLock()
        lock.lock()
        gort.go(wait, lock)
        while not began:
            gort.gosched()

    gort.run(body)
    assert ended == ["exit"]


@pytest.mark.parametrize("run", ["gort.run(lock.lock)", "lock.lock()"])
def test_ctrl_c_ends_a_wait_and_leaves_the_lock_as_it_was(run: str) -> None:
    program = f"""
import os, signal, threading, gort
from gort.sync import SpinLock
lock = SpinLock()
lock.lock()
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    {run}
except KeyboardInterrupt:
    print("interrupted", lock.try_lock())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == "interrupted False\n", result.stderr


def test_a_cond_may_use_it(until_waiting: Callable[[gort.Goroutine], None]) -> None:
    def body() -> bool:
        lock = SpinLock()
        cond = Cond(lock)

        def wait() -> None:
            with lock:
                cond.wait()

        g = gort.go(wait)
        until_waiting(g)
        with lock:
            cond.signal()
        g.join()
        return lock.try_lock()

    assert gort.run(body)


def test_an_explored_run_gets_out_of_a_contended_lock() -> None:
    def body() -> int:
        lock, wg, count = SpinLock(), WaitGroup(), 0

        def work() -> None:
            nonlocal count
            for _ in range(10):
                with lock:
                    before = count
                    gort.gosched()
                    count = before + 1

        for _ in range(3):
            wg.go(work)
        wg.wait()
        return count

    for seed in range(1, 6):
        assert gort.run(body, seed=seed) == 30


@pytest.mark.lock_faults
def test_it_is_an_object_with_identity() -> None:
    lock = SpinLock()
    assert lock != SpinLock() and weakref.ref(lock)() is lock
    with pytest.raises(TypeError, match="cannot pickle or copy gort.sync.SpinLock objects"):
        copy.copy(lock)
    with pytest.raises(TypeError, match="SpinLock: takes no arguments"):
        SpinLock(1)  # type: ignore[call-arg]


def test_the_example_in_its_documentation_runs() -> None:
    examples = doctest.DocTestParser().get_doctest(SpinLock.__doc__ or "", {}, "SpinLock", None, None)
    assert examples.examples
    assert doctest.DocTestRunner().run(examples).failed == 0
