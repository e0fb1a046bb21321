"""fork: the child has a fresh runtime and a heap that works."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

HEAD = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and later warn of threads beside fork
import gort
from gort import gc, heap

Node = heap.struct("Node", value=heap.i64, next=heap.ptr("Node"))

def chain(n):
    first = None
    for i in range(n):
        node = heap.new(Node, value=i)
        node.next, first = first, node
    return first

def total(node):
    n = 0
    while node is not None:
        n, node = n + node.value, node.next
    return n

kept = chain(1000)

def work():
    "Uses every part in the child: goroutines, a channel, a timer, the heap and its collector."
    ch = gort.Chan(4)
    def body():
        for i in range(100):
            gort.go(ch.send, i)
        gort.sleep(0.001)
        return sum(ch.recv() for _ in range(100))
    assert gort.run(body) == 4950
    chain(20000)
    gc.collect()
    assert total(kept) == 499500

def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(body: str, head: str = "") -> None:
    done = subprocess.run([sys.executable, "-c", head + HEAD + textwrap.dedent(body)], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_timer_of_the_parent_does_not_spoil_those_of_the_child():
    run("""
    never = gort.after_func(60, lambda: os._exit(1))
    pid = os.fork()
    if pid == 0:
        done = gort.Chan(1)
        gort.after_func(0.001, lambda: done.send("child"))
        os._exit(0 if done.recv(timeout=20) == "child" else 2)
    assert status_of(pid) == 0
    never.stop()
    """)


def test_a_child_of_the_main_thread_has_a_working_runtime_and_heap():
    run("""
    work()
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            work()
            sys.exit(7)
        assert status_of(pid) == 7
    work()
    """)


def test_a_fork_while_the_collector_works_leaves_both_heaps_whole():
    run("""
    stop = False
    def garbage():
        while not stop:
            chain(2000)
            gort.gosched()
    def main():
        global stop
        others = [gort.go(garbage) for _ in range(2)]
        for _ in range(10):
            before = gc.stats().num_gc
            while gc.stats().num_gc == before:
                gort.gosched()
            pid = os.fork()
            if pid == 0:
                chain(20000)
                gc.collect()
                os._exit(total(kept) != 499500)
            assert status_of(pid) == 0
        stop = True
        for g in others:
            g.join()
    gort.run(main)
    work()
    """)


@pytest.mark.parametrize("end, status", [("sys.exit(3)", 3), ("os._exit(3)", 3), ("return 5", 0), ("gort.goexit()", 0)])
def test_a_child_of_a_goroutine_goes_on_as_goroutine_1(end, status):
    run(f"""
    def forks():
        pid = os.fork()
        if pid == 0:
            work()
            {end}
        return status_of(pid)

    def main():
        got, never = [], gort.Chan()
        others = [gort.go(never.recv_ok) for _ in range(5)]
        gort.go(lambda: got.append(forks())).join()
        never.close()
        for g in others:
            g.join()
        return got

    for _ in range(3):
        assert gort.run(main) == [{status}]
    """)


def test_what_leaves_a_forked_goroutine_is_the_end_of_the_child():
    done = subprocess.run(
        [sys.executable, "-c", HEAD + "gort.run(lambda: gort.go(lambda: 1 / 0 if os.fork() == 0 else os.wait()).join())"],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr


def test_goroutine_1_that_forks_ends_its_run_in_both_processes():
    run("""
    def main():
        ch = gort.Chan()
        others = [gort.go(ch.recv_ok) for _ in range(5)]
        gort.gosched()
        pid = os.fork()
        if pid == 0:
            assert all(g.status == "dead" for g in others)
            ch.close()  # wakes nobody: they are gone
            assert gort.num_goroutine() == 1
            return "child"
        ch.close()
        for g in others:
            g.join()
        return status_of(pid)

    for _ in range(3):
        result = gort.run(main)
        if result == "child":
            work()
            sys.exit(0)
        assert result == 0
        work()
    """)


def test_a_deadlock_in_the_child_is_seen():
    run("""
    pid = os.fork()
    if pid == 0:
        try:
            gort.run(gort.Chan().recv)
        except gort.Deadlock:
            os._exit(9)
    assert status_of(pid) == 9
    """)


def test_multiprocessing_works_both_ways():
    run("""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    for way in ("fork", "forkserver"):
        with ProcessPoolExecutor(2, multiprocessing.get_context(way)) as pool:
            futures = gort.run(lambda: [pool.submit(pow, 2, n) for n in range(20)])
            assert [f.result() for f in futures] == [2**n for n in range(20)]
    """)


# Registered before gort's: they run between gort's own hooks and the fork itself.
HOOKS_BEFORE_GORTS = """
import os, time
os.register_at_fork(before=lambda: time.sleep(0.01), after_in_parent=lambda: time.sleep(0.01))
"""


def test_a_hook_of_fork_that_lets_others_run_does_not_meet_a_stopped_heap():
    run("""
    import threading
    stop = []

    def allocates():
        while not stop:
            chain(50)

    thread = threading.Thread(target=allocates)
    thread.start()
    for _ in range(10):
        pid = os.fork()
        if pid == 0:
            chain(1000)
            os._exit(0)
        assert status_of(pid) == 0
    stop.append(True)
    thread.join()
    """, head=HOOKS_BEFORE_GORTS)
