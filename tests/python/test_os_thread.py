"""lock_os_thread: a goroutine and an OS thread that belong to each other."""

from __future__ import annotations

import sqlite3
import threading
import time

import gort
import pytest
from gort import Chan, WaitGroup, lock_os_thread, unlock_os_thread
from interpreter import WITHOUT_GIL


@pytest.mark.skipif(WITHOUT_GIL, reason="goroutines that have started on its thread before stay there (pinning_test.cpp)")
def test_a_locked_goroutine_stays_on_its_thread_over_parks_and_blocking_calls_and_nobody_else_runs_there():
    moved, intruders = [], []

    def main():
        there, back, done, home, others = Chan(), Chan(), [], [], WaitGroup()

        def locked():
            with lock_os_thread():
                home.append(threading.get_ident())
                for n in range(200):
                    back.send(there.recv())
                    if n % 20 == 0:
                        time.sleep(0.002)  # the lane goes to another thread meanwhile
                    if n % 20 == 10:
                        gort.sleep(0.001)
                    gort.gosched()
                    if threading.get_ident() != home[0]:
                        moved.append(n)
                done.append(True)
                others.wait()  # they look until then: the thread is nobody else's

        def other():
            while not done:
                if home and threading.get_ident() == home[0]:
                    intruders.append(1)
                gort.gosched()

        wg = WaitGroup()
        wg.go(locked)
        for _ in range(3):
            others.go(other)
        for n in range(200):
            there.send(n)
            assert back.recv() == n
        wg.wait()

    gort.run(main)
    assert (moved, intruders) == ([], [])


def test_a_goroutine_that_locks_on_the_thread_that_main_lends_does_not_keep_that_thread():
    def locked(there, back, on_main):
        with lock_os_thread():
            for _ in range(40):
                back.send(there.recv())
                gort.gosched()
            on_main.append(threading.current_thread() is threading.main_thread())

    def main():
        there, back, on_main = Chan(), Chan(), []

        def other():
            while not on_main:
                gort.gosched()

        wg = WaitGroup()
        for fn in (other, other):
            wg.go(fn)
        wg.go(locked, there, back, on_main)
        for n in range(40):
            there.send(n)
            assert back.recv() == n
        wg.wait()
        return on_main

    # From the second or third run on the code is known not to block, and runs on main's thread while main waits.
    assert [gort.run(main) for _ in range(5)] == [[False]] * 5


def test_what_belongs_to_a_thread_is_usable_over_parks():
    def body(results):
        with lock_os_thread():
            lock = threading.RLock()
            database = sqlite3.connect(":memory:")
            database.execute("create table t (n integer)")
            for n in range(50):
                with lock:
                    gort.sleep(0.0001)
                    database.execute("insert into t values (?)", (n,))
                    time.sleep(0.0001)
                gort.gosched()
            results.send(database.execute("select sum(n) from t").fetchone()[0])
            database.close()

    def main():
        results = Chan()
        for _ in range(4):
            gort.go(body, results)
        return [results.recv() for _ in range(4)]

    assert gort.run(main) == [1225] * 4


def test_locks_nest_and_unlocking_without_a_lock_does_nothing(inside):
    def body():
        me = gort.current()
        unlock_os_thread()
        lock_os_thread()
        lock_os_thread()
        unlock_os_thread()
        seen = ["locked to thread" in me.stack()]
        unlock_os_thread()
        unlock_os_thread()
        return [*seen, "locked to thread" in me.stack()]

    seen, plain = inside(body), inside(lambda: "locked to thread" in gort.current().stack())
    assert seen == [True, plain]


def test_a_goroutine_that_ends_locked_takes_its_thread_with_it():
    def main():
        threads = gort.runtime.num_threads
        gort.go(lambda: None).join()
        before = threads()
        for _ in range(20):
            gort.go(lock_os_thread).join()
        deadline = time.monotonic() + 10
        while threads() > before + 9 and time.monotonic() < deadline:  # a stall may have asked for a few more
            gort.sleep(0.001)
        return threads() - before

    assert gort.run(main) <= 9


def test_a_locked_plain_thread_lends_itself_to_nobody():
    ran_on = []

    def worker(c):
        for _ in range(300):
            ran_on.append(threading.get_ident())
            c.send(1)

    def main():
        for _ in range(3):  # the function earns the trust that lending asks for
            c = Chan()
            gort.go(worker, c)
            for _ in range(300):
                c.recv()
        ran_on.clear()
        with lock_os_thread():
            c = Chan()
            gort.go(worker, c)
            for _ in range(300):
                c.recv()
        return threading.get_ident()

    assert gort.run(main) not in ran_on


def test_a_locked_goroutine_can_wait_with_a_timeout_and_be_part_of_a_deadlock():
    def waits(times):
        with lock_os_thread():
            with pytest.raises(TimeoutError):
                Chan().recv(timeout=0.005)
            times.append(1)

    times = []
    gort.run(lambda: gort.go(waits, times).join())
    assert times == [1]

    def stuck():
        with lock_os_thread():
            Chan().recv()

    with pytest.raises(gort.Deadlock) as caught:
        gort.run(lambda: gort.go(stuck).join())
    assert "[chan receive, locked to thread]" in caught.value.goroutines


def test_a_run_ends_goroutines_that_are_locked(until_waiting):
    ended = []

    def stuck():
        with lock_os_thread():
            try:
                gort.nil_chan.recv()
            finally:
                ended.append(True)

    def main():
        until_waiting(gort.go(stuck))

    gort.run(main)
    assert ended == [True]
