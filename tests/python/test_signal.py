"""gort.signal: OS signals as values in channels."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import gort
from gort.signal import dump_on, ignore, notify, reset, stop

LONG = 20  # seconds that only a hanging test waits


@pytest.fixture(autouse=True)
def handlers_are_back() -> Iterator[None]:
    yield
    reset()


def kill(number: int) -> None:
    os.kill(os.getpid(), number)


def in_run(body: Callable[[], object]) -> object:
    return gort.run(lambda: body())


def python(code: str, *, head: str = "import os, signal, sys, threading, time, gort\n", **environment: str):
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, **environment},
    )


# --- delivery


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGCHLD])
def test_a_signal_is_delivered_as_a_member_of_signals(number, inside):
    def body():
        ch = gort.Chan(1)
        notify(ch, number)
        kill(number)
        value = ch.recv(LONG)
        stop(ch)
        return value

    value = inside(body)
    assert value is number


def test_a_real_time_signal_is_delivered():
    ch = gort.Chan(1)
    notify(ch, signal.SIGRTMIN + 3)
    kill(signal.SIGRTMIN + 3)
    assert ch.recv(LONG) == signal.SIGRTMIN + 3


def test_it_comes_from_another_process():
    def main():
        ch = gort.Chan(1)
        notify(ch, signal.SIGUSR1)
        subprocess.run([sys.executable, "-c", f"import os; os.kill({os.getpid()}, {int(signal.SIGUSR1)})"], check=True)
        return ch.recv(LONG)

    assert gort.run(main) == signal.SIGUSR1


@pytest.mark.parametrize("wait", ["gort.sleep(20)", "gort.current().join()", "time.sleep(20)", "[None for _ in iter(int, 1)]"])
def test_it_is_delivered_whatever_the_main_thread_does(wait):
    done = python(f"""
        def receiver():
            ch = gort.Chan(1)
            gort.signal.notify(ch, signal.SIGUSR1)
            ready.close()
            print(ch.recv(), flush=True)
            os._exit(0)
        def main():
            gort.go(receiver)
            ready.recv()
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            {wait}
        ready = gort.Chan()
        gort.run(main)
    """)
    assert (done.stdout, done.stderr) == (f"{signal.SIGUSR1!s}\n", "")


def test_a_goroutine_that_computes_does_not_keep_it_from_others():
    done = python("""
        def busy():
            while True: pass
        def main():
            ch = gort.Chan(1)
            gort.signal.notify(ch, signal.SIGUSR1)
            for _ in range(2): gort.go(busy)
            gort.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)
            print(ch.recv(), flush=True)
            os._exit(0)
        gort.run(main)
    """)
    assert (done.stdout, done.stderr) == (f"{signal.SIGUSR1!s}\n", "")


def test_every_channel_that_wants_it_gets_it_and_no_other():
    a, b, c = gort.Chan(4), gort.Chan(4), gort.Chan(4)
    notify(a, signal.SIGUSR1)
    notify(b, signal.SIGUSR1, signal.SIGUSR2)
    notify(c, signal.SIGUSR2)
    kill(signal.SIGUSR1)
    assert a.recv(LONG) == b.recv(LONG) == signal.SIGUSR1
    kill(signal.SIGUSR2)
    assert b.recv(LONG) == c.recv(LONG) == signal.SIGUSR2
    assert len(a) == len(b) == len(c) == 0


def test_a_second_notify_adds_signals():
    ch = gort.Chan(4)
    notify(ch, signal.SIGUSR1)
    notify(ch, signal.SIGUSR2)
    kill(signal.SIGUSR1)
    assert ch.recv(LONG) == signal.SIGUSR1
    kill(signal.SIGUSR2)
    assert ch.recv(LONG) == signal.SIGUSR2


def test_what_the_channel_has_no_room_for_is_dropped():
    full, other = gort.Chan(1), gort.Chan(8)
    notify(full, signal.SIGUSR1)
    notify(other, signal.SIGUSR1)
    for _ in range(3):
        kill(signal.SIGUSR1)
        other.recv(LONG)
    assert len(full) == 1
    stop(full)
    assert full.recv() == signal.SIGUSR1 and full.try_recv() is None


def test_without_signals_all_are_wanted():
    ch = gort.Chan(8)
    notify(ch)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGWINCH):
        kill(number)
        assert ch.recv(LONG) == number


def test_a_channel_of_numbers_and_a_view_are_fine():
    numbers, view = gort.Chan(1, dtype="i32"), gort.Chan(1)
    notify(numbers, signal.SIGUSR1)
    notify(view.sender(), signal.SIGUSR1)
    kill(signal.SIGUSR1)
    assert numbers.recv(LONG) == view.recv(LONG) == signal.SIGUSR1
    stop(view)
    kill(signal.SIGUSR1)
    assert numbers.recv(LONG) == signal.SIGUSR1
    assert len(view) == 0


def test_select_waits_for_signals_beside_others():
    def main():
        a, b = gort.Chan(1), gort.Chan()
        notify(a, signal.SIGUSR1)
        gort.go(kill, signal.SIGUSR1)
        return gort.select(b, a, timeout=LONG)

    assert gort.run(main) == (1, signal.SIGUSR1, True)


def test_many_signals_in_a_row_are_each_delivered():
    def main():
        ch = gort.Chan(1)
        notify(ch, signal.SIGUSR1)
        for _ in range(300):
            kill(signal.SIGUSR1)
            assert ch.recv(LONG) == signal.SIGUSR1

    gort.run(main)


def test_a_closed_channel_is_reported_and_forgotten(monkeypatch):
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: reported.append((u.exc_type, str(u.exc_value))))
    closed, other = gort.Chan(1), gort.Chan(1)
    notify(closed, signal.SIGUSR1)
    notify(other, signal.SIGUSR1)
    closed.close()
    for _ in range(2):
        kill(signal.SIGUSR1)
        other.recv(LONG)
    stop(other)
    assert reported == [(gort.PanicError, "send on closed channel")]


# --- beside Python's handlers


def test_a_handler_of_the_program_is_called_as_well():
    hits = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: hits.append(threading.current_thread()))
    try:
        ch = gort.Chan(1)
        notify(ch, signal.SIGUSR1)
        kill(signal.SIGUSR1)
        ch.recv(LONG)
        assert hits == [threading.main_thread()]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_notify_from_another_thread_keeps_the_handler_too():
    hits = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: hits.append(number))
    try:
        ch = gort.Chan(1)
        thread = threading.Thread(target=notify, args=(ch, signal.SIGUSR1))
        thread.start()
        thread.join()
        kill(signal.SIGUSR1)
        assert ch.recv(LONG) == signal.SIGUSR1
        assert hits == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_ctrl_c_is_a_value_and_no_keyboard_interrupt_while_it_is_wanted():
    def main():
        ch = gort.Chan(1)
        notify(ch, signal.SIGINT)
        kill(signal.SIGINT)
        assert ch.recv(LONG) == signal.SIGINT
        gort.sleep(0.01)
        stop(ch)
        kill(signal.SIGINT)
        gort.sleep(LONG)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        gort.run(main)
    assert time.monotonic() - began < LONG


def test_ctrl_c_goes_to_a_handler_of_the_program_as_well():
    hits = []
    before = signal.signal(signal.SIGINT, lambda number, frame: hits.append(number))
    try:
        def main():
            ch = gort.Chan(1)
            notify(ch, signal.SIGINT)
            kill(signal.SIGINT)
            return ch.recv(LONG)

        assert gort.run(main) == signal.SIGINT
        assert hits == [signal.SIGINT]
        kill(signal.SIGINT)
        assert hits == [signal.SIGINT] * 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_notified_outside_ctrl_c_is_a_value_inside_and_after_a_run_too():
    ch = gort.Chan(1)
    notify(ch, signal.SIGINT)
    for _ in range(2):
        kill(signal.SIGINT)
        assert gort.run(lambda: ch.recv(LONG)) == signal.SIGINT
        kill(signal.SIGINT)
        assert ch.recv(LONG) == signal.SIGINT
    stop(ch)
    with pytest.raises(KeyboardInterrupt):
        kill(signal.SIGINT)
        time.sleep(LONG)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- the end


def test_stop_delivers_what_came_before_and_nothing_after():
    for _ in range(50):
        ch, other = gort.Chan(4), gort.Chan(4)
        notify(ch, signal.SIGUSR1)
        notify(other, signal.SIGUSR1)
        kill(signal.SIGUSR1)
        stop(ch)
        assert ch.try_recv() == (signal.SIGUSR1, True)
        kill(signal.SIGUSR1)
        other.recv(LONG)
        stop(other)
        assert ch.try_recv() is None


@pytest.mark.parametrize("undo", ["stop(ch)", "reset(SIGTERM)", "reset()", "pass"])
def test_afterwards_the_signal_does_what_it_did_before(undo):
    done = python(f"""
        from gort.signal import *
        from signal import SIGTERM
        def main():
            ch = gort.Chan(1)
            notify(ch, SIGTERM)
            os.kill(os.getpid(), SIGTERM)
            print(ch.recv(), flush=True)
            {undo}
        gort.run(main)                     # its end alone undoes it
        os.kill(os.getpid(), SIGTERM)
        time.sleep(20)
    """)
    assert (done.stdout, done.returncode) == (f"{signal.SIGTERM!s}\n", -signal.SIGTERM), done.stderr


def test_nothing_is_left_of_a_run_that_asked_for_signals():
    def main():
        ch = gort.Chan(1)
        gort.go(notify, ch, signal.SIGUSR1).join()
        kill(signal.SIGUSR1)
        return ch.recv(LONG)

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))

    gort.run(main)
    before, files = threads(), os.listdir("/proc/self/fd")
    for _ in range(5):
        assert gort.run(main) == signal.SIGUSR1
    deadline = time.monotonic() + LONG
    while threads() > before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert len(os.listdir("/proc/self/fd")) <= len(files)   # a collection may have closed others


def test_a_channel_is_served_when_the_only_other_one_leaves_while_it_is_registered(monkeypatch):
    # Registering runs Python code, which may let another thread stop what it has: with that the goroutine that delivers went.
    def main():
        first, second = gort.Chan(1), gort.Chan(1)
        notify(first, signal.SIGUSR1)
        known = signal.getsignal

        def getsignal(number):
            stop(first)
            return known(number)

        with monkeypatch.context() as patch:
            patch.setattr(signal, "getsignal", getsignal)
            notify(second, signal.SIGINT)
        kill(signal.SIGINT)
        return second.recv(timeout=LONG)

    assert gort.run(main) == signal.SIGINT


def test_ignore_takes_it_from_channels_and_handlers():
    done = python("""
        from gort.signal import *
        from signal import SIGUSR1, SIGUSR2
        signal.signal(SIGUSR1, lambda *a: print("handler", flush=True))
        a, b = gort.Chan(4), gort.Chan(4)
        notify(a, SIGUSR1)
        notify(b, SIGUSR1, SIGUSR2)
        ignore(SIGUSR1)
        os.kill(os.getpid(), SIGUSR1)
        os.kill(os.getpid(), SIGUSR2)
        print(b.recv().name, len(a), len(b), flush=True)
        reset(SIGUSR1)
        os.kill(os.getpid(), SIGUSR1)
        notify(a, SIGUSR1)
        ignore(SIGUSR1)
        notify(a, SIGUSR1)
        os.kill(os.getpid(), SIGUSR1)
        print(a.recv().name)
    """)
    assert (done.stdout, done.stderr) == ("SIGUSR2 0 0\nhandler\nhandler\nSIGUSR1\n", "")


def test_a_signal_of_default_action_can_be_ignored():
    ignore(signal.SIGTERM, signal.SIGHUP)
    kill(signal.SIGTERM)
    kill(signal.SIGHUP)


def test_stop_of_a_channel_that_is_not_notified_does_nothing():
    stop(gort.Chan())
    reset(signal.SIGUSR1)


# --- deadlock, fork


def test_a_goroutine_that_waits_for_a_signal_is_no_deadlock():
    def main():
        ch = gort.Chan(1)
        notify(ch, signal.SIGUSR1)
        wait = threading.Thread(target=subprocess.run, args=(["sh", "-c", f"sleep 0.3; kill -USR1 {os.getpid()}"],))
        wait.start()
        try:
            return ch.recv()
        finally:
            wait.join()

    assert gort.run(main) == signal.SIGUSR1


def test_without_a_notified_channel_a_deadlock_is_found_again():
    done = python("""
        def main():
            ch = gort.Chan(1)
            gort.signal.notify(ch, signal.SIGUSR1)
            gort.signal.stop(ch)
            ch.recv()
        try: gort.run(main)
        except gort.Deadlock as error: print(error)
    """)
    assert done.stdout.startswith("all goroutines are asleep - deadlock!"), done.stderr


def test_a_forked_child_has_a_fresh_table():
    done = python("""
        import warnings
        warnings.simplefilter("ignore")
        from gort.signal import *
        from signal import SIGUSR1, SIGTERM
        ch, new = gort.Chan(1), gort.Chan(1)
        notify(ch, SIGUSR1, SIGTERM)
        pid = os.fork()
        if pid == 0:
            notify(new, SIGUSR1)
            os.kill(os.getpid(), SIGUSR1)
            if new.recv() == SIGUSR1 and len(ch) == 0:
                os.kill(os.getpid(), SIGTERM)
                time.sleep(20)
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os.kill(os.getpid(), SIGUSR1)
        print(ch.recv(20).name)
    """)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGTERM}\nSIGUSR1\n", "")


def test_a_program_ends_although_a_channel_is_notified():
    done = python("""
        ch = gort.Chan(1)
        gort.signal.notify(ch)
    """)
    assert (done.returncode, done.stderr) == (0, "")


# --- a handler in Python, while goroutine 1 waits


def test_a_python_handler_does_all_but_wait():
    # It ran on the scheduler's stack, where a wait found no goroutine and crashed.
    done = python("""
        ch, locked, rwlocked, buffered, done = gort.Chan(), gort.Mutex(), gort.RWMutex(), gort.Chan(1), gort.Chan(1)
        locked.lock()
        rwlocked.lock()
        waits = {
            "send": lambda: ch.send(1), "recv": lambda: ch.recv(), "lock": locked.lock, "sleep": lambda: gort.sleep(0.01),
            "select": lambda: gort.select(ch, gort.Chan()), "join": lambda: gort.go(gort.sleep, 0.01).join(), "nil": gort.nil_chan.recv,
            "write": rwlocked.lock, "read": rwlocked.rlock, "rlocker": rwlocked.rlocker().lock,
        }
        texts = {}
        def handler(number, frame):
            for name, wait in waits.items():
                try: wait()
                except gort.FatalError as error: texts[name] = str(error)
            gort.gosched()
            gort.sleep(0)
            me.append(gort.current())
            buffered.send(2)
            gort.go(done.send, 3)
        me = []
        signal.signal(signal.SIGUSR1, handler)
        def kills(one):
            while one.status != "waiting": time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGUSR1)
        def main():
            threading.Thread(target=kills, args=(gort.current(),)).start()
            got = done.recv(), buffered.recv()
            assert me == [gort.current()], me
            assert rwlocked.state == (True, 0), rwlocked
            return got
        print(gort.run(main), sorted(texts) == sorted(waits), {"cannot wait" in text for text in texts.values()})
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(3, 2) True {True}\n", "")


# --- misuse


@pytest.mark.parametrize("number", [0, -1, 65, 10**30, signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV, signal.SIGURG])
@pytest.mark.parametrize("function", ["notify", "ignore", "reset", "dump_on"])
def test_a_signal_that_cannot_be_delivered_is_a_value_error(function, number):
    ch = [gort.Chan(1)] if function == "notify" else []
    with pytest.raises(ValueError) as raised:
        getattr(gort.signal, function)(*ch, signal.SIGUSR1, number)
    assert str(raised.value) == f"{function}: signals must be such as can be delivered to a channel, got {number!r}"
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_what_is_no_signal_is_a_type_error():
    with pytest.raises(TypeError, match=r"notify: signals must be ints or members of signal.Signals, got 'SIGHUP'"):
        notify(gort.Chan(1), "SIGHUP")
    with pytest.raises(TypeError, match=r"dump_on: exit must be a bool, got 2"):
        dump_on(exit=2)


@pytest.mark.parametrize("ch", [None, 3, gort.Chan().receiver(), gort.Chan(dtype="bool")])
def test_what_takes_no_ints_is_a_type_error(ch):
    with pytest.raises(TypeError, match="notify: ch must be a channel that ints can be sent to"):
        notify(ch, signal.SIGUSR1)


def test_a_nil_channel_panics_as_in_go():
    with pytest.raises(gort.PanicError, match="^os/signal: Notify using nil channel$"):
        notify(gort.nil_chan, signal.SIGUSR1)
