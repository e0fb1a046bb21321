"""What is different without the GIL (docs/free_threading.md). What is the same is tested by everything else."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
import time

import gort
import pytest
from gort import Chan, WaitGroup, go
from gort.sync import Mutex
from interpreter import WITHOUT_GIL

pytestmark = pytest.mark.skipif(not WITHOUT_GIL, reason="only without the GIL")


def compute(n: int) -> int:
    x = 0
    for i in range(n):
        x += i * i % 7
    return x


def test_importing_gort_leaves_the_gil_off():
    assert not sys._is_gil_enabled()


@pytest.mark.parametrize("procs", ["1", "3"])
def test_the_python_lane_has_gomaxprocs_processors(procs):
    code = """
import gort
def lane(): return next(lane.processors for lane in gort.sched.state().lanes if lane.name == "python")
print(lane(), gort.run(lane), gort.run(lane, procs=2), gort.run(lane, seed=1), lane())
gort.gomaxprocs(4)
print(lane())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "GOMAXPROCS": procs})
    assert (done.stdout, done.stderr) == (f"{procs} {procs} 2 1 {procs}\n4\n", "")


def test_goroutines_that_compute_use_several_threads_at_once():
    def main():
        ends, begins, lock = [], [], Mutex()

        def body():
            begin = time.perf_counter()
            compute(300_000)
            with lock:
                begins.append(begin)
                ends.append(time.perf_counter())

        wg = WaitGroup()
        for _ in range(4):
            wg.go(body)
        wg.wait()
        return max(begins) < min(ends)   # all four were under way at one time

    assert any(gort.run(main, procs=4) for _ in range(10))


def test_a_goroutine_that_has_started_stays_on_its_thread():
    def main():
        moved, ch = [], Chan(3)

        def body(n):
            home = threading.get_ident()
            for i in range(300):
                if n % 2:
                    ch.send(i)
                else:
                    ch.recv()
                if i % 7 == 0:
                    gort.gosched()
                if threading.get_ident() != home:
                    moved.append(n)

        wg = WaitGroup()
        for n in range(40):
            wg.go(body, n)
        wg.wait()
        return moved

    assert gort.run(main) == []


def test_what_belongs_to_a_goroutine_goes_with_it_on_a_shared_thread():
    variable = contextvars.ContextVar("variable", default=None)
    local = threading.local()

    def main():
        wrong = []

        def generator(n):
            try:
                raise ValueError(n)
            except ValueError:
                gort.gosched()
                yield sys.exc_info()[1].args[0]
                gort.gosched()
                yield sys.exc_info()[1].args[0]

        def body(n):
            variable.set(n)
            local.value = n
            try:
                raise KeyError(n)
            except KeyError as error:
                for _ in range(20):
                    gort.gosched()
                    if sys.exc_info()[1] is not error or variable.get() != n or local.value != n or list(generator(n)) != [n, n]:
                        wrong.append(n)
            if sys.exc_info()[1] is not None:
                wrong.append(-n)

        wg = WaitGroup()
        for n in range(1, 60):
            wg.go(body, n)
        wg.wait()
        return wrong

    assert gort.run(main) == []


def test_each_goroutine_has_the_whole_depth_of_recursion_for_itself():
    def deep(n):
        gort.gosched() if n % 100 == 0 else None
        return deep(n - 1) + 1 if n else 0

    def main():
        results = Chan(20)
        for _ in range(20):
            go(lambda: results.send(deep(sys.getrecursionlimit() * 8 // 10)))
        return {results.recv() for _ in range(20)}

    assert gort.run(main, procs=1) == {sys.getrecursionlimit() * 8 // 10}


def test_one_that_blocks_holds_up_its_own_thread_alone_and_is_named():
    def main():
        before = sum(lane.stalls for lane in gort.sched.stats().lanes)
        peer, others = Chan(1), Chan(10)

        def blocks():
            def started_here():
                peer.send(1)
                gort.gosched()

            me = go(started_here)
            peer.recv()
            for n in range(5):
                go(others.send, n)   # these have not started: they do so elsewhere
            time.sleep(0.2)
            return me

        g = go(blocks)
        got = {others.recv() for _ in range(5)}
        while sum(lane.stalls for lane in gort.sched.stats().lanes) == before and g.status != "dead":
            gort.sleep(0.005)
        lane = next(lane for lane in gort.sched.stats().lanes if lane.name == "python")
        return got, lane.stalled_by == g.id, lane.stalled_while

    for _ in range(10):
        got, named, why = gort.run(main, procs=1)
        assert got == set(range(5))
        if named and why == "blocked":
            break
    else:
        pytest.fail("sysmon named another goroutine each time, or none")


def test_an_exception_from_outside_reaches_the_goroutine_that_computes_and_no_other_of_its_thread():
    def main():
        started = Chan(2)

        def endless():
            started.send(1)
            while True:
                pass

        def waits():
            started.send(1)
            Chan().recv()

        go(waits)
        go(endless)
        started.recv()
        started.recv()

    begin = time.monotonic()
    gort.run(main, grace=30)
    assert time.monotonic() - begin < 25


def test_locks_of_the_interpreter_are_let_go_of_while_their_holder_waits():
    # list.sort has its list locked while it calls the key function.
    def main():
        shared, entered, ch, done = [3, 1, 2], Chan(3), Chan(), Chan(2)

        def key(x):
            entered.send(x)
            ch.recv()
            return x

        def sorts():
            with pytest.raises(ValueError, match="list modified during sort"):
                shared.sort(key=key)
            done.send(1)

        def uses():
            entered.recv()
            shared.append(4)
            ch.close()
            done.send(1)

        go(sorts)
        go(uses)
        done.recv(timeout=20)
        done.recv(timeout=20)

    gort.run(main, procs=1)


def test_plain_threads_and_goroutines_share_everything_at_once():
    def main():
        counter, lock, total = [0], Mutex(), 8 * 500
        wg = WaitGroup()

        def add():
            for _ in range(500):
                with lock:
                    counter[0] += 1
            wg.done()

        wg.add(8)
        for _ in range(4):
            go(add)
            threading.Thread(target=add).start()
        wg.wait()
        return counter[0] == total

    assert gort.run(main)
