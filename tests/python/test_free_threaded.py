"""What is different without the GIL (docs/free_threading.md). What is the same is tested by everything else."""

from __future__ import annotations

import contextlib
import contextvars
import json
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


# ---------------------------------------------------------------- goroutines that compute

MAX_HOGS = 8  # Options::max_hogs
PATIENCE = 40  # seconds, before a hog that was not made to yield ends by itself


def on_one_thread(*functions):
    """The functions as goroutines that have started on one thread; calling the result lets them go on. Call it in a run."""
    for _ in range(100):
        gate, begun, wanted = Chan(), Chan(len(functions)), [False]

        def body(function):
            begun.send(threading.get_ident())
            gate.recv_ok()
            if wanted[0]:
                function()

        members = [go(body, function) for function in functions]
        wanted[0] = len({begun.recv() for _ in functions}) == 1

        def let_go():
            gate.close()
            return members

        if wanted[0]:
            return let_go
        for g in let_go():
            g.join()
    raise AssertionError("they started on several threads each time")


def preemptions(g):
    return next(row.switches.get("preempt_signal", 0) for row in gort.sched.state(stacks=False).goroutines if row.id == g.id)


def take_turns(turns, over, i):
    end = time.monotonic() + PATIENCE
    while not over and time.monotonic() < end:
        turns[i] += 1


def wait_until(condition):
    end = time.monotonic() + PATIENCE / 2
    while not condition() and time.monotonic() < end:
        gort.sleep(0.005)
    return condition()


@pytest.mark.parametrize("procs", [1, 3])
def test_goroutines_that_compute_on_one_thread_take_turns(procs):
    def main():
        turns, over = [0, 0, 0], []
        before = gort.sched.stats()
        hogs = on_one_thread(*[lambda i=i: take_turns(turns, over, i) for i in range(3)])()
        taken = wait_until(lambda: min(map(preemptions, hogs)) >= 3)
        over.append(True)
        for g in hogs:
            g.join()
        stats = gort.sched.stats() - before
        return taken, min(turns), stats.totals["preempt_signal"]

    taken, least, counted = gort.run(main, procs=procs)
    assert taken and least > 0
    assert counted > 0   # by its P, if it had one then


def test_those_behind_one_that_computes_go_on_beside_more_such_than_threads():
    def main():
        turns, over, reached = [0] * (MAX_HOGS + 4), [], []
        rest = [lambda: take_turns([0], reached, 0), lambda: reached.append(True)]
        let_go = on_one_thread(*rest)
        hogs = [go(take_turns, turns, over, i) for i in range(len(turns))]
        all_began = wait_until(lambda: all(turns))
        members = let_go()
        seen = wait_until(lambda: bool(reached))
        over.append(True)
        for g in [*hogs, *members]:
            g.join()
        return all_began, seen

    assert gort.run(main, procs=2) == (True, True)


def test_one_that_is_traced_is_made_to_yield_as_well():
    def main():
        reached = []

        def traced():
            sys.settrace(lambda frame, event, arg: None)
            try:
                take_turns([0], reached, 0)
            finally:
                sys.settrace(None)

        members = on_one_thread(traced, lambda: reached.append(sys.gettrace()))()
        seen = wait_until(lambda: bool(reached))
        for g in members:
            g.join()
        return seen, reached

    assert gort.run(main) == (True, [None])


def test_one_inside_an_import_keeps_its_thread(tmp_path, monkeypatch):
    code = "import time\nbegin = time.monotonic()\nwhile time.monotonic() < begin + 0.3: pass\n"
    (tmp_path / "gort_test_slow_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    def main():
        order, begun = [], Chan()

        def imports():
            begun.close()
            import gort_test_slow_module

            order.append("import")
            del sys.modules[gort_test_slow_module.__name__]

        def waits():
            begun.recv_ok()
            order.append("peer")

        for g in on_one_thread(imports, waits)():
            g.join()
        return order

    for _ in range(10):
        order = gort.run(main)
        if order == ["import", "peer"]:   # else it was held up before its import
            break
    assert order == ["import", "peer"]


def with_statement(lock, work):
    with lock:
        work()


def with_statement_around_try(lock, work):
    for _ in range(1):
        with lock:
            try:
                work()
            except ValueError:
                pass


def acquire_and_release(lock, work):
    lock.acquire()
    try:
        work()
    finally:
        lock.release()


@contextlib.contextmanager
def held(lock):
    with lock:
        yield


def context_manager(lock, work):
    with held(lock):
        work()


def generator(lock, work):
    def values():
        with lock:
            yield work()

    list(values())


@pytest.mark.parametrize("hold", [with_statement, with_statement_around_try, acquire_and_release, context_manager, generator])
def test_one_that_holds_a_lock_of_the_interpreter_keeps_its_thread(hold):
    # The next goroutine of its thread that wanted the lock would block the thread, and so the holder, for ever.
    def main():
        lock, got, taken = threading.Lock(), [], Chan()

        def work():
            taken.close()
            begin = time.monotonic()
            while time.monotonic() < begin + 0.2:
                pass

        def wants():
            taken.recv_ok()
            got.append(lock.acquire(timeout=PATIENCE / 2))
            lock.release()

        for g in on_one_thread(lambda: hold(lock, work), wants, wants)():
            g.join()
        return got

    assert gort.run(main) == [True, True]


def test_one_that_has_let_go_of_its_lock_is_made_to_yield():
    def main():
        lock, reached = threading.Lock(), []

        def uses_a_lock():
            with lock:
                pass
            take_turns([0], reached, 0)

        def wants():
            reached.append(lock.acquire(blocking=False))
            lock.release()

        members = on_one_thread(uses_a_lock, wants)()
        seen = wait_until(lambda: bool(reached))
        for g in members:
            g.join()
        return seen, reached

    assert gort.run(main) == (True, [True])


def test_goroutines_made_to_yield_anywhere_go_on_unharmed():
    def main():
        wrong, over, rounds = [], [], [0] * 6

        def key(x):
            return sum(-y for y in range(x % 50))

        def works(n):
            variable.set(n)
            while not over:
                try:
                    raise KeyError(n)
                except KeyError as error:
                    values = sorted(range(300), key=key)
                    cycle = [values]
                    cycle.append(cycle)
                    if sys.exc_info()[1] is not error or variable.get() != n or len(values) != 300:
                        wrong.append(n)
                if sum(i for i in range(500)) != 124750 or json.loads(json.dumps(values)) != values:
                    wrong.append(n)
                rounds[n] += 1

        members = on_one_thread(*[lambda n=n: works(n) for n in range(3)])()
        members += on_one_thread(*[lambda n=n: works(n) for n in range(3, 6)])()
        wait_until(lambda: min(map(preemptions, members)) >= 5)
        over.append(True)
        for g in members:
            g.join()
        return wrong, min(rounds)

    variable = contextvars.ContextVar("variable", default=None)
    wrong, least = gort.run(main, procs=2)
    assert wrong == [] and least > 0
