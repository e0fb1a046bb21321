"""run(seed=n): the same schedule again, and other schedules with other seeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gort
from interpreter import WITHOUT_GIL


def traced(seed: int) -> tuple[object, ...]:
    """Five goroutines with channels, select and a mutex; who did what in which order."""
    trace: list[object] = []

    def main() -> None:
        first, second, done = gort.Chan(), gort.Chan(2), gort.Chan()
        mutex, wg = gort.Mutex(), gort.WaitGroup()

        def note(what: object) -> None:
            with mutex:
                trace.append(what)

        def producer(name: str, ch: gort.Chan[int]) -> None:
            for i in range(5):
                ch.send(i)
                note(f"{name}{i}")

        def consumer() -> None:
            for _ in range(10):
                index, value, _ = gort.select(first, second)
                note((index, value))
            done.close()

        def worker(name: str) -> None:
            for i in range(4):
                note(f"{name}{i}")
                gort.gosched()
            done.recv_ok()
            note(f"{name} ends")

        wg.go(producer, "a", first)
        wg.go(producer, "b", second)
        wg.go(consumer)
        wg.go(worker, "c")
        wg.go(worker, "d")
        for i in range(3):
            note(f"main{i}")
        wg.wait()
        note("main ends")

    gort.run(main, seed=seed)
    assert len(trace) == 34
    return tuple(trace)


def test_one_seed_takes_the_same_way_a_hundred_times():
    assert len({traced(7) for _ in range(100)}) == 1


def test_other_seeds_take_other_ways():
    assert len({traced(seed) for seed in range(50)}) > 45


def test_another_process_takes_the_same_way():
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_seed; print(test_seed.traced(7))"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
        assert (done.stdout, done.stderr) == (f"{traced(7)}\n", "")


class Store:
    """It must hold one item. Who finds it empty fills it; the mistake is that looking and filling are two critical sections."""

    def __init__(self) -> None:
        self.mutex = gort.Mutex()
        self.items = 1

    def take(self) -> None:
        with self.mutex:
            self.items = 0

    def refill(self, atomic: bool) -> None:
        if atomic:
            with self.mutex:
                if self.items == 0:
                    self.items += 1
            return
        with self.mutex:
            empty = self.items == 0
        with self.mutex:
            if empty:
                self.items += 1


def overfull(seed: int | None, atomic: bool = False) -> bool:
    store = Store()

    def main() -> None:
        wg = gort.WaitGroup()
        for _ in range(3):
            wg.go(store.refill, atomic)
        wg.go(store.take)
        wg.wait()

    gort.run(main, seed=seed)
    return store.items > 2


def test_seeds_find_a_planted_atomicity_bug_and_the_seed_shows_it_again():
    found = [seed for seed in range(1000) if overfull(seed)]
    assert found
    assert all(overfull(found[0]) for _ in range(20))
    assert not any(overfull(seed, atomic=True) for seed in range(200))


@pytest.mark.skipif(WITHOUT_GIL, reason="without the GIL goroutines run at the same time, and the bug may show by itself")
def test_a_run_without_a_seed_is_not_explored():
    gort.run(lambda: None, seed=3)
    assert not any(overfull(None) for _ in range(200))


def test_goroutines_that_only_try_let_others_run():
    def main() -> object:
        ch = gort.Chan()
        gort.go(ch.send, 5)
        while (got := ch.try_recv()) is None:
            pass
        return got

    assert gort.run(main, seed=1) == (5, True)


def test_sleeping_and_blocking_calls_work_in_a_seeded_run():
    def main() -> list[str]:
        import time

        ch = gort.Chan(4)
        for name, wait in (("sleep", gort.sleep), ("block", time.sleep)):
            gort.go(lambda name=name, wait=wait: (wait(0.01), ch.send(name)))
        with pytest.raises(TimeoutError):
            gort.Chan().recv(timeout=0.01)
        return sorted(ch.recv(timeout=20) for _ in range(2))

    assert gort.run(main, seed=1) == ["block", "sleep"]


def test_ctrl_c_ends_a_seeded_run_that_computes():
    code = """
import os, signal, threading, gort
def busy():
    while True: pass
def main():
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    gort.go(busy).join()
try: gort.run(main, seed=1)
except KeyboardInterrupt: print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_the_child_of_a_goroutine_in_a_seeded_run_is_not_explored():
    code = """
import os, warnings
warnings.simplefilter("ignore")
import gort
def busy():
    while not stop: pass
def child():
    global stop
    def main():
        global stop
        gort.go(busy)
        gort.sleep(0.01)   # comes back only if busy has to end its time slice
        stop = True
    gort.run(main)
stop = False
def forks():
    pid = os.fork()
    if pid == 0:
        child()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
gort.run(lambda: gort.go(forks).join(), seed=1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_panic_and_a_deadlock_end_a_seeded_run():
    def panics() -> None:
        gort.go(lambda: 1 / 0)
        gort.Chan().recv()

    for _ in range(20):
        with pytest.raises(ZeroDivisionError):
            gort.run(panics, seed=2)
        with pytest.raises(gort.Deadlock):
            gort.run(gort.Chan().recv, seed=2)
