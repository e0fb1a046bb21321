"""What a Python function may rely on inside a goroutine, whichever OS thread it is on."""

from __future__ import annotations

import contextvars
import copy
import functools
import gc
import pickle
import subprocess
import sys
import threading
import time
import traceback
import weakref

import gort
import pytest
from interpreter import WITHOUT_GIL


def hop():
    """Yield, and now and then block so that the goroutine changes its OS thread."""
    gort.gosched()
    if hop.count % 7 == 0:
        time.sleep(0.002)
    hop.count += 1


hop.count = 0


def run_all(*functions):
    def main():
        for g in [gort.go(f) for f in functions]:
            g.join()

    gort.run(main)


def test_exceptions_being_handled_stay_with_their_goroutine():
    checks = []

    def handle(tag):
        def body():
            try:
                raise ValueError(tag)
            except ValueError as error:
                for _ in range(5):
                    hop()
                    checks.append(sys.exc_info()[1] is error)
                try:
                    raise KeyError(tag)
                except KeyError as inner:
                    hop()
                    checks.append(inner.__context__ is error)
                hop()
                checks.append(sys.exc_info()[1] is error)
            hop()
            checks.append(sys.exc_info() == (None, None, None))

        return body

    run_all(handle("a"), handle("b"))
    assert len(checks) == 16 and all(checks)


def test_traceback_spans_a_switch():
    depths = []

    def deep(n):
        if n == 0:
            hop()
            raise RuntimeError("deep")
        deep(n - 1)

    def body():
        try:
            deep(50)
        except RuntimeError as error:
            depths.append(len(traceback.extract_tb(error.__traceback__)))

    run_all(body, body)
    assert depths == [52, 52]


def test_generator_may_be_resumed_by_another_goroutine():
    def numbers():
        for i in range(6):
            hop()
            yield i

    shared, got = numbers(), []

    def body():
        for _ in range(3):
            got.append(next(shared))
            hop()

    def main():
        gort.go(body).join()
        gort.go(body).join()

    gort.run(main)
    assert got == list(range(6))


def test_python_recursion_works_and_has_its_limit():
    results = []

    def recurse(n):
        if n == 0:
            hop()
            return 0
        return 1 + recurse(n - 1)

    def endless():
        return endless()

    def body():
        results.append(recurse(800))
        for _ in range(2):
            try:
                endless()
            except RecursionError:
                results.append("limit")
            hop()

    run_all(body, body)
    assert sorted(map(str, results)) == ["800", "800"] + ["limit"] * 4


def test_deep_c_recursion_is_an_error_and_not_a_crash():
    results = []

    class Endless:
        def __repr__(self):
            return repr(self)

    def nested_map(x):
        return list(map(nested_map, [x]))

    def body():
        for attempt in (lambda: repr(Endless()), lambda: nested_map(1)):
            try:
                attempt()
            except RecursionError:
                results.append("limit")
        compile("(" * 150 + "1" + ")" * 150, "", "eval")
        compile("-" * 200 + "1", "", "eval")
        results.append("compiled")

    run_all(body)
    assert results == ["limit", "limit", "compiled"]


def test_context_variables_are_the_goroutines_own():
    variable = contextvars.ContextVar("variable", default=0)
    checks = []

    def body(value):
        variable.set(value)
        for _ in range(4):
            hop()
            checks.append(variable.get() == value)

    run_all(lambda: body(1), lambda: body(2), lambda: body(3))
    assert len(checks) == 12 and all(checks) and variable.get() == 0


def test_thread_locals_are_the_goroutines_own_and_do_not_leak():
    local, checks = threading.local(), []

    def body(value):
        checks.append(not hasattr(local, "x"))
        local.x = value
        for _ in range(4):
            hop()
            checks.append(local.x == value)

    run_all(lambda: body(1), lambda: body(2))
    run_all(lambda: body(3))
    assert all(checks) and len(checks) == 15
    assert not hasattr(local, "x")


def test_thread_local_destructor_runs_when_the_goroutine_ends():
    gone = []

    class Thing:
        def __del__(self):
            gone.append(1)

    local = threading.local()

    def body():
        local.thing = Thing()

    run_all(body)
    assert gone == [1]


def test_collector_keeps_what_only_parked_frames_hold():
    class Node:
        pass

    checks = []

    def body():
        node = Node()
        node.me = node
        reference = weakref.ref(node)
        others = [Node() for _ in range(100)]
        references = [weakref.ref(x) for x in others]
        gort.sleep(0.02)
        checks.append(reference() is node and all(r() is not None for r in references))

    def main():
        goroutines = [gort.go(body) for _ in range(20)]
        gort.gosched()
        for _ in range(3):
            gc.collect()
        for g in goroutines:
            g.join()

    gort.run(main)
    assert checks == [True] * 20


@pytest.mark.skipif(WITHOUT_GIL, reason="CPython does not know goroutines that wait: they have no thread state")
def test_faulthandler_shows_parked_goroutines():
    # In a process of its own: faulthandler shows a hundred threads, and goroutines that have ended keep their state for the next.
    program = """
import faulthandler, sys, gort

def parked_function():
    go_on.recv()

def main():
    goroutines = [gort.go(parked_function) for _ in range(3)]
    while any(g.status != "waiting" for g in goroutines):
        gort.gosched()
    faulthandler.dump_traceback(sys.stderr, all_threads=True)

go_on = gort.Chan()
gort.run(main)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr.count("parked_function")) == (0, 3), done.stderr


def test_settrace_stays_in_its_goroutine():
    events = []

    def tracer(frame, event, argument):
        events.append(gort.current().id)
        return tracer

    def traced():
        ids.append(gort.current().id)
        sys.settrace(tracer)

        def inner():
            hop()

        inner()
        hop()
        inner()
        sys.settrace(None)

    def untraced():
        for _ in range(6):
            hop()

    ids: list[int] = []
    run_all(traced, untraced)
    assert events and set(events) == set(ids)
    assert sys.gettrace() is None or "coverage" in sys.modules


def test_parking_inside_callbacks_of_c_functions_works():
    results = []

    def key(x):
        hop()
        return -x

    def body():
        results.append(sorted([3, 1, 2], key=key))
        results.append(list(map(lambda x: (hop(), x)[1], [1, 2])))

    run_all(body, body, body)
    assert results.count([3, 2, 1]) == 3 and results.count([1, 2]) == 3


def test_threads_and_goroutines_run_side_by_side():
    done = []

    def thread_body():
        for _ in range(20):
            sum(range(1000))
            time.sleep(0.0005)
        done.append("thread")

    def body():
        for _ in range(500):
            sum(range(100))
            gort.gosched()
        done.append("goroutine")

    thread = threading.Thread(target=thread_body)
    thread.start()
    run_all(body, body, body)
    thread.join()
    assert sorted(done) == ["goroutine"] * 3 + ["thread"]


def test_a_thread_started_in_a_goroutine_can_be_joined():
    done = []

    def body():
        thread = threading.Thread(target=done.append, args=(1,))
        thread.start()
        hop()
        thread.join()

    run_all(body, body)
    assert done == [1, 1]


def test_asyncio_runs_inside_goroutines():
    import asyncio

    results = []

    async def work():
        await asyncio.sleep(0.001)
        return 7

    def body():
        results.append(asyncio.run(work()))

    run_all(body, body)
    assert results == [7, 7]


def test_stress_of_hops_loses_nothing():
    sums = []

    def body():
        total = 0
        for i in range(1500):
            total += int(str(i))
            _ = {i: [i] * 3}
            hop()
        sums.append(total)

    run_all(*[body] * 8)
    assert sums == [sum(range(1500))] * 8


def test_the_last_started_runs_first_and_the_others_in_order():
    # Go: TestGoroutine order with one P (runnext)
    def main(order):
        goroutines = [gort.go(order.append, i) for i in range(10)]
        for g in goroutines:
            g.join()

    orders = []
    for _ in range(20):  # a slice that ends in between makes another order
        orders.append([])
        gort.run(lambda: gort.go(main, orders[-1]).join())
        if orders[-1] == [9, 0, 1, 2, 3, 4, 5, 6, 7, 8]:
            return
    pytest.fail(f"orders: {orders}")


def test_go_of_none_is_gos_fatal_error():
    with pytest.raises(gort.FatalError, match="^go of nil func value$"):
        gort.go(None)


@pytest.mark.parametrize("bad", [3, "f", object()])
def test_go_of_something_not_callable_is_a_type_error(bad):
    with pytest.raises(TypeError, match="go: fn must be callable, got"):
        gort.go(bad)


def test_go_passes_positional_and_keyword_arguments():
    got = []

    def body(a, b, *rest, c, **more):
        got.append((a, b, rest, c, more))

    gort.run(lambda: gort.go(body, 1, 2, 3, c=4, d=5).join())
    assert got == [(1, 2, (3,), 4, {"d": 5})]


def test_goroutine_object_tells_about_itself():
    def main():
        g = gort.go(gort.sleep, 60)  # until the end of the run
        assert g.status in ("runnable", "running", "waiting")
        while g.status != "waiting":
            gort.gosched()
        assert g.wait_reason == "sleep"
        assert g.parent_id == 1
        assert "test_goroutine.py:" in g.created_at
        assert f"goroutine {g.id} [sleep]:" in g.stack()
        g.name = "sleeper"
        assert repr(g) == f"<Goroutine {g.id} 'sleeper' [sleep]>"
        g.labels["k"] = "v"
        assert weakref.ref(g)() is g
        return g

    g = gort.run(main, grace=30)
    assert (g.status, g.wait_reason, g.stack()) == ("dead", "", "")


def test_a_goroutine_may_be_started_by_a_destructor_while_a_call_returns_into_c():
    class Resource:
        pass

    def use(_):
        resource = Resource()
        refs.append(weakref.ref(resource, functools.partial(gort.go, lambda _: sites.append(gort.current().created_at))))

    def main():
        list(map(use, [1]))
        while not sites:
            gort.gosched()

    refs, sites = [], []
    gort.run(main)
    assert len(sites) == 1


def test_goroutine_cannot_be_pickled_or_copied():
    def main():
        g = gort.go(lambda: None)
        for attempt in (lambda: pickle.dumps(g), lambda: copy.copy(g)):
            with pytest.raises(TypeError, match="gort.Goroutine"):
                attempt()

    gort.run(main)


def test_join_with_a_timeout_that_passes_raises_timeout_error():
    def main():
        ch = gort.Chan()
        g = gort.go(ch.recv)
        with pytest.raises(TimeoutError):
            g.join(timeout=0.01)
        with pytest.raises(TimeoutError):
            g.join(0)
        ch.close()
        g.join()

    gort.run(main)


def test_sleep_refuses_what_is_no_duration():
    with pytest.raises(ValueError, match="sleep: s must be a number of seconds, got nan"):
        gort.sleep(float("nan"))
    with pytest.raises(TypeError, match="sleep: s must be a number of seconds or a timedelta, got str"):
        gort.sleep("1")


def test_ambient_goroutines_run_without_run():
    done = threading.Event()
    gort.go(done.set)
    assert done.wait(60)


def test_ambient_panic_goes_to_the_panichook(monkeypatch):
    seen, called = [], threading.Event()

    def hook(goroutine, error):
        seen.append((type(goroutine).__name__, str(error)))
        called.set()

    monkeypatch.setattr(gort, "panichook", hook)

    def bad():
        raise ValueError("boom")

    gort.go(bad)
    assert called.wait(60)
    assert seen == [("Goroutine", "boom")]
