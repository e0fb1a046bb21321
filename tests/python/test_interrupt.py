"""Ctrl-C raises KeyboardInterrupt in goroutine 1, wherever that is, and in no other goroutine."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, threading, time
import gort

others = []

def bystander(wait):
    try:
        wait()
    except KeyboardInterrupt:
        others.append("interrupted")
        raise

def busy():
    while True:
        sum(range(50))
        gort.gosched()

def main():
    for wait in (lambda: gort.sleep(30), lambda: gort.current().join(), busy):
        gort.go(bystander, wait)
    gort.sleep(0.05)
    began = time.monotonic()
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        WAIT
    except KeyboardInterrupt:
        print("interrupted", time.monotonic() - began < 5, others)
        raise

try:
    gort.run(main)
except KeyboardInterrupt:
    print("raised", others)
try:
    time.sleep(0.05)
except KeyboardInterrupt:
    print("late")
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize(
    "wait",
    ["gort.current().join()", "gort.sleep(20)", "time.sleep(20)", "[None for _ in iter(int, 1)]", "gort.go(busy).join()"],
)
def test_sigint_interrupts_goroutine_1(wait):
    program = PROGRAM.replace("WAIT", wait)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout.split("\n") == ["interrupted True []", "raised []", "True", ""], result.stderr


def test_a_handler_of_the_program_is_left_alone():
    program = """
import os, signal, threading, gort
hits = []
signal.signal(signal.SIGINT, lambda *a: hits.append(1))
def main():
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    while not hits: gort.sleep(0.2)
    gort.sleep(0.01)
gort.run(main)
print(hits)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == "[1]\n", result.stderr


def test_plain_thread_waiting_outside_run_is_interrupted():
    program = """
import os, signal, threading, gort
g = gort.go(gort.sleep, 30)
try:
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    g.join()
except KeyboardInterrupt:
    print("interrupted")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == "interrupted\n", result.stderr
    assert result.returncode == 0
