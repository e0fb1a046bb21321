"""What only a waiting goroutine refers to is kept, though CPython's collector has to be told of it without the GIL (src/bindings/parked_frames.h)."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import types
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import gort
import pytest
from gort import Chan, WaitGroup, go
from interpreter import WITHOUT_GIL

pytestmark = pytest.mark.skipif(not WITHOUT_GIL, reason="only without the GIL")


class Uncounted:
    """A function, a class and a module that are in no namespace any more, and weak references to them."""

    def __init__(self, n: int) -> None:
        namespace: dict[str, Any] = {}
        exec(f"def function(): return {n}\nclass Class:\n  def method(self): return {n}\n", namespace)
        self.n, self.function, self.klass = n, namespace["function"], namespace["Class"]
        self.module = types.ModuleType(f"module{n}")
        self.module.function = self.function
        self.weak = [weakref.ref(x) for x in (self.function, self.klass, self.module)]

    def take(self) -> tuple[Any, Any, Any]:
        function, klass, module = self.function, self.klass, self.module
        function.__globals__.clear()
        del self.function, self.klass, self.module
        return function, klass, module


def assert_dead(weak: Iterable[weakref.ref[Any]]) -> None:
    if sys.version_info >= (3, 14):   # 3.13t keeps functions, classes and modules for good once there was a second thread
        assert all(ref() is None for ref in weak)


def holds(uncounted: Uncounted, ready: Chan, ch: Chan) -> None:
    def inner(function, klass, module):
        ready.send(1)
        (lambda a: (a, ch.recv()))(function)
        assert function() == klass().method() == module.function() == uncounted.n
        assert module.__name__ == f"module{uncounted.n}"

    inner(*uncounted.take())


@pytest.mark.parametrize("procs", [1, 3])
def test_functions_classes_and_modules_in_variables_of_those_who_wait_live(procs):
    def main():
        ready, ch, wg = Chan(), Chan(), WaitGroup()
        all_of_them = [Uncounted(n) for n in range(200)]
        for uncounted in all_of_them:
            wg.go(holds, uncounted, ready, ch)
        for _ in all_of_them:
            ready.recv()
        for _ in range(3):
            gc.collect()
            assert all(weak() is not None for uncounted in all_of_them for weak in uncounted.weak)
        for _ in all_of_them:
            ch.send(1)
        wg.wait()
        gc.collect()
        assert_dead(weak for uncounted in all_of_them for weak in uncounted.weak)

    gort.run(main, procs=procs)


@pytest.mark.parametrize("procs", [1, 3])
def test_a_special_method_that_its_class_loses_lives_until_it_returns(procs):
    # The interpreter's C code holds it, in a list of the thread's, last in, first out; those who share a thread return in another order.
    def main():
        ready, wg, chans, classes, weak = Chan(), WaitGroup(), [Chan() for _ in range(30)], [], []

        def body(ch):
            namespace = {"ready": ready, "ch": ch}
            exec("def size(self):\n  ready.send(1)\n  return ch.recv()\n", namespace)
            weak.append(weakref.ref(namespace["size"]))
            classes.append(type("Sized", (), {"__len__": namespace.pop("size")}))
            assert len(classes[-1]()) == 7

        for ch in chans:
            wg.go(body, ch)
            ready.recv()
        while classes:
            del classes.pop().__len__
        for _ in range(3):
            gc.collect()
            assert all(size() is not None for size in weak)
        for first in range(3):
            for ch in chans[first::3]:
                ch.send(7)
            gc.collect()
        wg.wait()
        gc.collect()
        assert_dead(weak)

    gort.run(main, procs=procs)


def test_variables_of_a_generator_that_waits_live():
    def main():
        ready, ch, wg = Chan(), Chan(), WaitGroup()
        all_of_them = [Uncounted(n) for n in range(50)]

        def generator(uncounted: Uncounted) -> Iterator[int]:
            function, klass, module = uncounted.take()
            yield 1
            ready.send(1)
            ch.recv()
            yield function() + klass().method() + module.function()

        def body(uncounted):
            assert list(generator(uncounted)) == [1, 3 * uncounted.n]

        for uncounted in all_of_them:
            wg.go(body, uncounted)
        for _ in all_of_them:
            ready.recv()
        gc.collect()
        assert all(weak() is not None for uncounted in all_of_them for weak in uncounted.weak)
        for _ in all_of_them:
            ch.send(1)
        wg.wait()

    gort.run(main)


def test_collections_on_other_threads_while_goroutines_switch():
    def main():
        ready, ch, wg, stop = Chan(1000), Chan(), WaitGroup(), threading.Event()

        def collects():
            while not stop.is_set():
                gc.collect()

        def spins():
            while not stop.is_set():
                gort.gosched()
                {i: [i] for i in range(50)}

        threads = [threading.Thread(target=collects) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            go(spins)
        for round in range(5):
            for n in range(60):
                wg.go(holds, Uncounted(n), ready, ch)
            for _ in range(60):
                ready.recv()
            for _ in range(60):
                ch.send(1)
            wg.wait()
        stop.set()
        for thread in threads:
            thread.join()

    gort.run(main, procs=4)


def test_those_who_begin_to_wait_after_a_freeze_are_told_of_too():
    code = """
import gc, sys
sys.path.insert(0, sys.argv[1])
import gort
from gort import Chan, WaitGroup
from test_parked_frames import Uncounted, holds

def alive(frozen):
    ready, ch, wg = Chan(), Chan(), WaitGroup()
    uncounted = [Uncounted(n) for n in range(50)]
    for u in uncounted:
        wg.go(holds, u, ready, ch)
    for _ in uncounted:
        ready.recv()
    gc.collect()
    living = sum(weak() is not None for u in uncounted for weak in u.weak)
    for _ in uncounted:
        ch.send(1)
    wg.wait()
    return living

def main():
    print(alive(0))
    gc.freeze()
    print(alive(1))
    gc.freeze()
    print(alive(1))
    gc.unfreeze()
    gc.collect()
    print(alive(0))
gort.run(main)
"""
    done = subprocess.run([sys.executable, "-c", code, os.path.dirname(__file__)], capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("150\n150\n150\n150\n", "")


def test_a_waiting_goroutine_s_frames_end_with_its_own_function():
    def main():
        frames, ch = Chan(20), Chan()

        def inner():
            frames.send(sys._getframe())
            ch.recv()

        def outer():
            inner()

        wg = WaitGroup()
        for _ in range(20):
            wg.go(outer)
        names = []
        for _ in range(20):
            frame = frames.recv()
            while frame:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
        ch.close()
        wg.wait()
        return names

    assert gort.run(main) == ["inner", "outer"] * 20


def test_loops_and_tasks_of_asyncio_belong_to_goroutines_that_share_a_thread():
    def main():
        wrong = []

        async def task(n):
            me = asyncio.current_task()
            for _ in range(10):
                loop = asyncio.get_running_loop()
                gort.gosched()
                if asyncio.get_running_loop() is not loop or asyncio.current_task() is not me or me.get_name() != str(n):
                    wrong.append(n)
                await asyncio.sleep(0)

        async def several(n):
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(task(n), name=str(n))

        wg = WaitGroup()
        for n in range(10):
            wg.go(asyncio.run, several(n))
        wg.wait()
        return wrong

    assert gort.run(main, procs=1) == []
