"""fork: the child has a fresh runtime and a heap that works."""

from __future__ import annotations

import subprocess
import sys
import textwrap

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


def run(body: str) -> None:
    done = subprocess.run([sys.executable, "-c", HEAD + textwrap.dedent(body)], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")


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
