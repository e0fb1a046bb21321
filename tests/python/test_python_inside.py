"""Ordinary Python inside goroutines: over a park, and over a call that blocks and so moves the goroutine to another OS thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import logging
import os
import random
import subprocess
import sys
import threading
import time
import warnings

import gort
import pytest


def park():
    gort.sleep(0.0005)


def migrate():
    """Block: others get the lane meanwhile, and at the next park this goroutine goes on wherever the lane is then."""
    time.sleep(0.003)
    gort.gosched()
    park()


both_ways = pytest.mark.parametrize("wait", [park, migrate])


def run_all(*functions):
    """Runs the functions in goroutines beside one that keeps the lane busy; raises what one of them raised."""
    stop = []

    def others():
        while not stop:
            gort.gosched()

    def main():
        busy = gort.go(others)
        for g in [gort.go(f) for f in functions]:
            g.join()
        stop.append(True)
        busy.join()

    gort.run(main)


def test_blocking_calls_do_move_goroutines():
    idents = set()

    def body():
        for n in range(500):
            migrate()
            idents.add(threading.get_ident())
            if n >= 10 and len(idents) > 1:
                break

    run_all(*[body] * 4)
    assert len(idents) > 1


# ---------------------------------------------------------------- context variables


def test_a_goroutine_starts_with_a_copy_of_the_context_at_go():
    variable = contextvars.ContextVar("variable", default="default")
    seen = []

    def child():
        seen.append(variable.get())
        variable.set("child's")

    def body():
        gort.go(child).join()
        variable.set("first")
        g = gort.go(child)
        variable.set("after go")
        g.join()
        contextvars.copy_context().run(lambda: (variable.set("inner"), gort.go(child).join()))
        seen.append(variable.get())

    run_all(body)
    assert seen == ["default", "first", "inner", "after go"]


@both_ways
def test_tokens_and_contexts_work_over_a_park(wait):
    variable = contextvars.ContextVar("variable", default=0)
    checks = []

    def body(value):
        token = variable.set(value)
        wait()
        context = contextvars.copy_context()
        checks.append(context.run(lambda: (wait(), variable.get())[1]) == value)
        with pytest.raises(RuntimeError, match="already entered"):
            context.run(lambda: (wait(), context.run(wait)))
        variable.reset(token)
        checks.append(variable.get() == 0)

    run_all(*[lambda i=i: body(i + 1) for i in range(4)])
    assert checks == [True] * 8


def test_a_goroutine_cannot_enter_the_context_that_another_is_in():
    errors, refused = [], gort.Chan()

    def body(context):
        try:
            context.run(refused.recv)
        except RuntimeError as error:
            errors.append(str(error))
            refused.close()

    context = contextvars.copy_context()
    run_all(lambda: body(context), lambda: body(context))
    assert len(errors) == 1 and "already entered" in errors[0]


# ---------------------------------------------------------------- thread locals


@both_ways
def test_thread_locals_belong_to_the_goroutine(wait):
    class Local(threading.local):
        def __init__(self):
            self.made = gort.current().id

    local, checks = Local(), []

    def body(value):
        checks.append(local.made == gort.current().id and not hasattr(local, "x"))
        local.x = value
        for _ in range(3):
            wait()
            checks.append((local.x, local.made) == (value, gort.current().id))

    run_all(*[lambda i=i: body(i) for i in range(5)])
    assert len(checks) == 20 and all(checks)


# ---------------------------------------------------------------- generators, coroutines, asyncio


@both_ways
def test_generators_live_over_a_park(wait):
    results = []

    def inner():
        try:
            received = yield 1
            wait()
            yield received
        finally:
            wait()
            results.append("closed")

    def outer():
        wait()
        yield from inner()

    def body(value):
        generator = outer()
        next(generator)
        wait()
        results.append(generator.send(value))
        wait()
        generator.close()

    run_all(lambda: body("a"), lambda: body("b"))
    assert sorted(results) == ["a", "b", "closed", "closed"]


@both_ways
def test_a_generator_that_runs_in_one_goroutine_refuses_another(wait):
    refused = gort.Chan()

    def numbers():
        wait()
        refused.recv()
        yield 1

    errors, got = [], []

    def body(shared):
        try:
            got.append(next(shared))
        except ValueError as error:
            errors.append(str(error))
            refused.close()

    shared = numbers()
    run_all(lambda: body(shared), lambda: body(shared))
    assert got == [1] and errors == ["generator already executing"]


@both_ways
def test_asyncio_runs_with_async_generators_alive_over_a_park(wait):
    results = []

    async def numbers(n):
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        finally:
            results.append("closed")

    async def work(n):
        total = 0
        async for i in numbers(n):
            total += i
        left_open = numbers(3)
        await left_open.__anext__()
        inner = asyncio.create_task(asyncio.sleep(0.001, result=1))
        total += await inner
        return total + await asyncio.to_thread(lambda: 1)

    def body(n):
        wait()
        results.append(asyncio.run(work(n)))
        wait()
        results.append(asyncio.run(work(n)))

    run_all(lambda: body(4), lambda: body(10))
    assert sorted(map(str, results)) == sorted(map(str, [8, 8, 47, 47])) + ["closed"] * 8


def test_asyncio_in_many_goroutines_at_once():
    results = []

    async def work(i):
        await asyncio.sleep(0.01)
        return i

    def body(i):
        results.append(asyncio.run(work(i)))

    run_all(*[lambda i=i: body(i) for i in range(20)])
    assert sorted(results) == list(range(20))


def test_a_goroutine_may_park_inside_a_coroutine_of_its_own_loop():
    results = []

    async def work(ch):
        await asyncio.sleep(0.001)
        ch.send(1)
        value = ch.recv()
        await asyncio.sleep(0.001)
        return value

    def partner(ch):
        ch.send(ch.recv() + 1)

    def body():
        ch = gort.Chan()
        gort.go(partner, ch)
        results.append(asyncio.run(work(ch)))

    run_all(body, body, body)
    assert results == [2, 2, 2]


def test_asyncio_outside_a_run_inside_ambient_goroutines():
    program = """
import asyncio, gort, time
async def work():
    await asyncio.sleep(0.005)
    gort.sleep(0.001)
    await asyncio.sleep(0.001)
    return 7
def body():
    for _ in range(5):
        time.sleep(0.001)
        results.append(asyncio.run(work()))
results = []
for g in [gort.go(body) for _ in range(8)]:
    g.join()
assert results == [7] * 40, results
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- exceptions, warnings, with


@both_ways
def test_the_exception_being_handled_is_kept_over_a_park(wait):
    checks = []

    def body(tag):
        try:
            try:
                raise ValueError(tag)
            except ValueError as error:
                wait()
                checks.append(sys.exc_info()[1] is error)
                try:
                    wait()
                    raise
                except ValueError as again:
                    wait()
                    checks.append(again is error)
                    raise KeyError(tag) from again
        except KeyError as outer:
            wait()
            checks.append(outer.__cause__.args == (tag,) and sys.exc_info()[1] is outer)
        wait()
        checks.append(sys.exc_info() == (None, None, None))

    run_all(*[lambda i=i: body(i) for i in range(4)])
    assert len(checks) == 16 and all(checks)


def test_a_goroutine_started_in_an_except_block_handles_nothing():
    seen = []

    def child():
        seen.append(sys.exc_info())
        try:
            raise KeyError
        except KeyError as error:
            seen.append(error.__context__)

    def body():
        try:
            raise ValueError
        except ValueError:
            gort.go(child).join()

    run_all(body)
    assert seen == [(None, None, None), None]


@both_ways
def test_exception_groups_and_exit_stacks_work_over_a_park(wait):
    results = []

    @contextlib.contextmanager
    def manager(name):
        wait()
        try:
            yield name
        finally:
            wait()
            results.append(name)

    def body():
        try:
            with contextlib.ExitStack() as stack:
                for name in "ab":
                    stack.enter_context(manager(name))
                wait()
                raise ExceptionGroup("both", [ValueError(1), KeyError(2)])
        except* ValueError as group:
            wait()
            results.append(len(group.exceptions))
        except* KeyError as group:
            wait()
            results.append(len(group.exceptions))

    run_all(body, body)
    assert sorted(map(str, results)) == ["1"] * 4 + ["a"] * 2 + ["b"] * 2


def test_warnings_name_the_line_in_the_goroutine():
    def body():
        warnings.warn("from a goroutine", UserWarning, stacklevel=1)
        park()
        warnings.warn("again", UserWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_all(body, body)
    caught = [w for w in caught if w.category is UserWarning]  # and not what a garbage collection has to say
    assert sorted(str(w.message) for w in caught) == ["again"] * 2 + ["from a goroutine"] * 2
    assert {w.filename for w in caught} == {__file__}


# ---------------------------------------------------------------- the standard library


def test_logging_from_many_goroutines_loses_nothing():
    stream = io.StringIO()
    logger = logging.getLogger("gort.test.inside")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(threadName)s %(funcName)s"))
    logger.addHandler(handler)
    logger.propagate = False

    def body(i):
        for n in range(20):
            logger.error("%d:%d", i, n)
            if n % 5 == 0:
                migrate()
            gort.gosched()

    try:
        run_all(*[lambda i=i: body(i) for i in range(10)])
    finally:
        logger.removeHandler(handler)
    lines = stream.getvalue().splitlines()
    assert sorted(line.split()[1] for line in lines) == sorted(f"{i}:{n}" for i in range(10) for n in range(20))
    assert all(line.endswith(" body") for line in lines)


DECIMAL = """
import decimal, gort, time
from decimal import Decimal

def wait(way):
    if way % 2: time.sleep(0.003)
    gort.gosched()
    gort.sleep(0.0005)

def own(precision):
    assert decimal.getcontext().prec == 28, decimal.getcontext()
    decimal.getcontext().prec = precision
    for way in range(4):
        wait(way)
        assert str(Decimal(1) / 3) == "0." + "3" * precision
    with decimal.localcontext() as context:
        context.prec = precision + 1
        wait(precision)
        assert str(Decimal(1) / 3) == "0." + "3" * (precision + 1)
    assert decimal.getcontext().prec == precision
    done.append(precision)

def child():
    wait(1)
    assert decimal.getcontext().prec == 11
    decimal.setcontext(decimal.Context(prec=12))
    done.append("child")

def parent():
    decimal.setcontext(decimal.Context(prec=11))
    gort.go(child).join()
    assert decimal.getcontext().prec == 11

def main():
    for _ in range(2):  # the second round has the thread states of the first
        for g in [gort.go(own, p) for p in range(3, 9)] + [gort.go(parent)]:
            g.join()

done = []
gort.run(main)
assert len(done) == 14
assert decimal.getcontext().prec == 28
"""


def test_the_decimal_context_belongs_to_the_goroutine():
    # In a process where nobody has asked for it yet: a Context that exists at go() is shared, as among asyncio's tasks.
    done = subprocess.run([sys.executable, "-c", DECIMAL], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_random_and_hashing_give_each_goroutine_its_values():
    def body():
        values = []
        for _ in range(100):
            values.append(random.random())
            gort.gosched()
        assert len(set(values)) == 100
        done.append(1)

    done: list[int] = []
    run_all(*[body] * 5)
    assert len(done) == 5


@both_ways
def test_importing_inside_goroutines_works(wait, tmp_path, monkeypatch):
    for i in range(6):
        (tmp_path / f"inside_{wait.__name__}_{i}.py").write_text("import gort\nvalue = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    got = []

    def body(i):
        for n in (i, (i + 1) % 6):
            got.append(__import__(f"inside_{wait.__name__}_{n}").value)
            wait()

    run_all(*[lambda i=i: body(i) for i in range(6)])
    assert got == [1] * 12


def test_the_current_thread_can_be_asked_for_and_threads_end():
    names = set()

    def body():
        for _ in range(5):
            names.add(threading.current_thread().name)
            migrate()

    def active() -> int:
        # Before 3.13 threading keeps what it has made for a foreign thread after the end of that.
        return threading.active_count() if sys.version_info >= (3, 13) else len(os.listdir("/proc/self/task"))

    threads = active()
    run_all(*[body] * 4)
    assert names
    deadline = time.monotonic() + 20
    while active() > threads:
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.001)


def test_locks_conditions_and_queues_of_threading_work_between_goroutines_and_threads():
    import queue

    q: queue.Queue[int] = queue.Queue(2)
    event, condition, got = threading.Event(), threading.Condition(), []
    barrier = threading.Barrier(3)

    def producer(n):
        for i in range(20):
            q.put(n * 100 + i)
        barrier.wait(20)

    def consumer():
        for _ in range(40):
            got.append(q.get())
        with condition:
            event.set()
            condition.notify_all()
        barrier.wait(20)

    def waits():
        with condition:
            assert condition.wait_for(event.is_set, 20)

    run_all(lambda: producer(1), lambda: producer(2), consumer, waits)
    assert sorted(got) == sorted([100 + i for i in range(20)] + [200 + i for i in range(20)])


def test_concurrent_futures_work_from_goroutines():
    from concurrent.futures import ThreadPoolExecutor

    results = []

    def body(pool):
        futures = [pool.submit(pow, 2, n) for n in range(10)]
        results.append([f.result() for f in futures])

    with ThreadPoolExecutor(2) as pool:
        run_all(*[lambda: body(pool)] * 3)
    assert results == [[2**n for n in range(10)]] * 3


def test_subprocesses_can_be_started_from_goroutines():
    results = []

    def body(i):
        results.append(subprocess.check_output([sys.executable, "-S", "-c", f"print({i})"], text=True))

    run_all(*[lambda i=i: body(i) for i in range(3)])
    assert sorted(results) == ["0\n", "1\n", "2\n"]
