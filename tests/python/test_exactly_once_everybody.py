"""Goroutines, threads, asyncio tasks and native goroutines at once on the same channels, selects and closes in the middle: every value comes once, in order.

``pytest tests/python/test_exactly_once_everybody.py --values 10000000`` for the long run.
"""

from __future__ import annotations

import asyncio
import ctypes
import shutil
import subprocess
import threading
from array import array
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import gort
from gort import aio
from interpreter import WITHOUT_GIL

PRODUCERS, CONSUMERS, SELECTS, CHANNELS = 10, 10, 4, 4
FIRST = 1 << 40  # producer p sends p * FIRST, p * FIRST + 1, ...


class Traffic(ctypes.Structure):
    """What a native goroutine is about; see native_traffic.c."""

    _fields_ = [
        ("gort", ctypes.c_void_p), ("channels", ctypes.c_void_p * CHANNELS), ("open", ctypes.c_int64), ("first", ctypes.c_int64),
        ("count", ctypes.c_int64), ("values", ctypes.POINTER(ctypes.c_int64)), ("result", ctypes.c_int64),
    ]  # fmt: skip


class Native:
    """The functions of native_traffic.c, and what they are called with."""

    def __init__(self, library: Path) -> None:
        capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
        capsule_pointer.restype, capsule_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        self.table = capsule_pointer(gort._C_API, b"gort._C_API")
        self.functions = ctypes.CDLL(str(library))
        self.channel_of = ctypes.PyDLL(str(library)).channel_of
        self.channel_of.restype, self.channel_of.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.py_object]

    def traffic(self, channels: list[gort.Chan[int]], first: int = 0, count: int = 0, room: int = 0) -> Traffic:
        found = [self.channel_of(self.table, ch) for ch in channels]
        return Traffic(self.table, (ctypes.c_void_p * CHANNELS)(*found), len(found), first, count, (ctypes.c_int64 * room)(), 0)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Native:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "c++", "g++"))), None)
    assert compiler, "this test needs a C compiler, as building gort does"
    library = tmp_path_factory.mktemp("native") / "traffic.so"
    source = Path(__file__).with_name("native_traffic.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", f"-I{gort.get_include()}", "-o", str(library), str(source)], check=True)
    return Native(library)


def those_open(channels: list[gort.Chan[int]]) -> list[gort.Chan[int]]:
    return [ch for ch in channels if not repr(ch).endswith("closed>")]


class Everybody:
    """Ten producers, ten consumers and four selects, a kind after the other, on four channels, of which a goroutine and a task close one each in the middle.

    Every body is there twice: for goroutines and threads, which park, and for tasks, which await.
    """

    def __init__(self, values: int, channels: list[gort.Chan[int]], kinds: list[str]) -> None:
        self.channels = channels
        self.kinds = kinds
        self.producers = [kinds[n % len(kinds)] for n in range(PRODUCERS)]
        # Of each task a hundredth: an await that must wait costs some ten times what the others do.
        tasks = self.producers.count("task")
        share = (values - tasks * (values // 100)) // (PRODUCERS - tasks)
        self.counts = [values // 100 if kind == "task" else share for kind in self.producers]
        self.counts[0] += values - sum(self.counts)
        self.before_close = values // 200
        self.sending, self.all_sent = gort.WaitGroup(), gort.Chan[None]()
        self.got: list[array[int]] = []  # of each consumer on each channel, in its order
        self.tasks: list[Coroutine[Any, Any, None]] = []
        self.waits: list[Callable[[], object]] = []

    # --- goroutines and threads

    def produce(self, number: int) -> None:
        channels = self.channels
        for value in range(number * FIRST, number * FIRST + self.counts[number]):
            while True:
                try:
                    if number < PRODUCERS // 2:
                        channels[value % len(channels)].send(value)
                    else:
                        gort.select(*[gort.send(ch, value) for ch in channels])
                    break
                except gort.PanicError:
                    channels = those_open(channels)
        self.sending.done()

    def consume(self, number: int) -> None:
        self.got.append(array("q", self.channels[number % CHANNELS]))

    def select(self, _number: int) -> None:
        mine, arms = [array("q") for _ in self.channels], list(self.channels)
        while any(arms):
            index, value, ok = gort.select(*arms)
            if ok:
                mine[index].append(value)
            else:
                arms[index] = None
        self.got += mine

    def close(self, channel: int) -> None:
        mine = array("q")
        while len(mine) < self.before_close:
            index, value, _ok = gort.select(self.channels[channel], self.all_sent)
            if index == 1:
                break
            mine.append(value)
        self.channels[channel].close()
        self.got.append(mine)

    # --- tasks

    async def aproduce(self, number: int) -> None:
        channels = self.channels
        for value in range(number * FIRST, number * FIRST + self.counts[number]):
            while True:
                try:
                    if number < PRODUCERS // 2:
                        await channels[value % len(channels)].asend(value)
                    else:
                        await aio.select(*[gort.send(ch, value) for ch in channels])
                    break
                except gort.PanicError:
                    channels = those_open(channels)
        self.sending.done()

    async def aconsume(self, number: int) -> None:
        mine = array("q")
        async for value in self.channels[number % CHANNELS]:
            mine.append(value)
        self.got.append(mine)

    async def aselect(self, _number: int) -> None:
        mine, arms = [array("q") for _ in self.channels], list(self.channels)
        while any(arms):
            index, value, ok = await aio.select(*arms)
            if ok:
                mine[index].append(value)
            else:
                arms[index] = None
        self.got += mine

    async def aclose(self, channel: int) -> None:
        mine = array("q")
        while len(mine) < self.before_close:
            index, value, _ok = await aio.select(self.channels[channel], self.all_sent)
            if index == 1:
                break
            mine.append(value)
        self.channels[channel].close()
        self.got.append(mine)

    # --- all of them

    def start(self, kind: str, parks: Callable[[int], None], awaits: Callable[[int], Coroutine[Any, Any, None]], number: int) -> None:
        if kind == "task":
            self.tasks.append(awaits(number))
        elif kind == "thread":
            thread = threading.Thread(target=parks, args=(number,))
            thread.start()
            self.waits.append(thread.join)
        else:
            self.waits.append(gort.go(parks, number).join)

    def start_native(self, function: Any, about: Traffic, over: Callable[[], object]) -> None:
        goroutine = gort.go_native(function, about)

        def wait() -> None:
            goroutine.join()
            assert about.result == 0
            over()

        self.waits.append(gort.go(wait).join)

    def start_tasks(self) -> None:
        """In two loops, of a thread and of a goroutine; not of one without the GIL, where a loop that waits would hold up those that had started on its thread."""

        async def all_of(coroutines: list[Coroutine[Any, Any, None]]) -> None:
            await asyncio.gather(*coroutines)

        for loop, kind in enumerate(("thread", "thread" if WITHOUT_GIL else "goroutine")):
            self.start(kind, lambda loop: asyncio.run(all_of(self.tasks[loop::2])), self.aconsume, loop)

    def main(self, native: Native | None) -> None:
        for n in range(CONSUMERS):
            if (kind := self.kinds[n % len(self.kinds)]) == "native":
                assert native
                about = native.traffic([self.channels[n % CHANNELS]], room=sum(self.counts))
                self.start_native(native.functions.consume, about, lambda about=about: self.got.append(array("q", about.values[: about.count])))
            else:
                self.start(kind, self.consume, self.aconsume, n)
        for n in range(SELECTS):
            self.start(("goroutine", "thread", "task", "task")[n], self.select, self.aselect, n)
        self.start("goroutine", self.close, self.aclose, 2)
        self.start("task", self.close, self.aclose, 3)
        self.sending.add(PRODUCERS)
        for n, kind in enumerate(self.producers):
            if kind == "native":
                assert native
                self.start_native(native.functions.produce, native.traffic(self.channels, n * FIRST, self.counts[n]), self.sending.done)
            else:
                self.start(kind, self.produce, self.aproduce, n)
        self.start_tasks()
        self.sending.wait()
        self.all_sent.close()
        for ch in those_open(self.channels[:2]):
            ch.close()
        for wait in self.waits:
            wait()


@pytest.mark.parametrize("dtype", [None, "i64"])
@pytest.mark.parametrize("capacity", [0, 7])
def test_what_everybody_sends_everybody_gets(request, native, capacity, dtype):
    values = int(request.config.getoption("--values"))
    kinds = ["goroutine", "thread", "task", "native" if dtype else "goroutine"]  # only a typed channel is native code's as well
    everybody = Everybody(values, [gort.Chan(capacity, dtype=dtype) for _ in range(CHANNELS)], kinds)
    gort.run(everybody.main, native)
    came = [bytearray(count) for count in everybody.counts]
    for mine in everybody.got:
        last = [-1] * PRODUCERS
        for value in mine:
            producer, n = divmod(value, FIRST)
            assert n > last[producer]  # what one consumer got of one producer over one channel is in order
            last[producer] = n
            came[producer][n] += 1
    assert sum(map(sum, everybody.got)) == sum(sum(range(p * FIRST, p * FIRST + count)) for p, count in enumerate(everybody.counts))
    assert [each.count(1) for each in came] == everybody.counts
