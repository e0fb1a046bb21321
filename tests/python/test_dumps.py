"""What a waiting goroutine shows: what it waits for, who holds it, since when; in its attributes, in sched.state, in dumps, in a deadlock's report."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import threading
import time

import pytest

import gort
from gort import runtime, sched

A = "0x[0-9a-f]+"


def until_waiting(*goroutines: gort.Goroutine) -> None:
    for g in goroutines:
        while g.status != "waiting":
            assert g.status != "dead"
            gort.gosched()


def seen_waiting(wait, release, look):
    """What look(goroutine) gives while a goroutine is in wait(); release() ends the wait."""

    def main():
        g = gort.go(wait)
        until_waiting(g)
        seen = look(g)
        release()
        g.join()
        return seen

    return gort.run(main)


def row_of(g: gort.Goroutine) -> sched.GoroutineState:
    return next(row for row in sched.state().goroutines if row.id == g.id)


# --- what is waited for


def test_a_receive_names_its_channel():
    ch = gort.Chan(3, name="results")
    assert re.fullmatch(rf'chan {A} "results" \(len 0, cap 3\)', seen_waiting(ch.recv, ch.close, lambda g: g.waiting_on))


def test_a_send_names_its_channel_and_how_full_it_is():
    ch = gort.Chan(2)
    ch.send(1), ch.send(2)
    assert re.fullmatch(rf"chan {A} \(len 2, cap 2\)", seen_waiting(lambda: ch.send(3), ch.recv, lambda g: g.waiting_on))


def test_a_channel_named_with_what_is_no_text_is_shown_without_name():
    ch = gort.Chan(name="\ud800")
    assert re.fullmatch(rf"chan {A} \(len 0, cap 0\)", seen_waiting(ch.recv, ch.close, lambda g: g.waiting_on))


def test_a_select_names_the_channels_of_its_arms():
    a, b = gort.Chan(name="a"), gort.Chan(name="b")
    row = seen_waiting(lambda: gort.select(a, gort.send(b, 1), None), a.close, row_of)
    assert sorted(re.sub(A, "X", arm) for arm in row.waits_for) == ['recv chan X "a" (len 0, cap 0)', 'send chan X "b" (len 0, cap 0)']
    assert row.held_by is None


def test_a_select_of_many_arms_names_them_all():
    channels = [gort.Chan() for _ in range(30)]
    row = seen_waiting(lambda: gort.select(*channels), channels[7].close, row_of)
    assert len(set(row.waits_for)) == 30


def test_a_join_names_the_goroutine():
    ch = gort.Chan()

    def main():
        reader = gort.go(ch.recv)
        until_waiting(reader)
        joiner = gort.go(reader.join)
        until_waiting(joiner)
        seen = joiner.waiting_on
        ch.close()
        joiner.join()
        return seen == f"goroutine {reader.id}"

    assert gort.run(main)


def test_a_wait_group_shows_its_counter():
    group = gort.WaitGroup()
    group.add(2)
    assert re.fullmatch(rf"WaitGroup {A} \(counter 2\)", seen_waiting(group.wait, lambda: group.add(-2), lambda g: g.waiting_on))


def test_who_does_not_wait_waits_for_nothing():
    me = gort.current()
    assert (me.waiting_on, me.wait_since) == ("", None)


# --- who holds it


def held_by(lock) -> tuple[int, sched.GoroutineState]:
    """The goroutine that takes the mutex with lock(mutex), and the row of one that waits for it."""

    def main():
        mu, go_on, held = gort.Mutex(), gort.Chan(), []

        def holder():
            lock(mu)
            held.append(True)
            go_on.recv()
            mu.unlock()

        h = gort.go(holder)
        while not held:  # it may wait in lock(mu), too
            gort.gosched()
        until_waiting(h)
        w = gort.go(lambda: mu.lock() or mu.unlock())
        until_waiting(w)
        row = row_of(w)
        go_on.close()
        w.join()
        assert not mu.state.locked
        return h.id, row

    return gort.run(main)


@pytest.mark.parametrize("lock", [gort.Mutex.lock, gort.Mutex.try_lock, gort.Mutex.__enter__], ids=["lock", "try_lock", "with"])
def test_the_holder_of_a_mutex_is_named_however_it_was_locked(lock):
    holder, row = held_by(lock)
    assert row.held_by == holder
    assert re.fullmatch(f"Mutex {A}", row.waits_for[0])


def test_the_holder_of_a_mutex_is_named_after_a_wait_for_it():
    def contended(mu):
        me = gort.current()
        gort.go(lambda: (mu.lock(), until_waiting(me), mu.unlock()))
        while not mu.state.locked:
            gort.gosched()
        mu.lock()

    holder, row = held_by(contended)
    assert row.held_by == holder


def test_the_holder_of_a_mutex_is_named_after_a_wait_for_a_condition():
    def wait(mu):
        cond, waiting = gort.Cond(mu), []

        def notify():
            while not waiting:
                gort.gosched()
            with mu:
                cond.signal()

        gort.go(notify)
        mu.lock()
        waiting.append(1)
        cond.wait()

    holder, row = held_by(wait)
    assert row.held_by == holder


def test_nobody_holds_a_mutex_that_a_condition_has_given_back():
    def main():
        mu = gort.Mutex()
        cond = gort.Cond(mu)
        g = gort.go(lambda: (mu.lock(), cond.wait(), mu.unlock()))
        until_waiting(g)
        row = row_of(g)
        mu.lock()
        w = gort.go(lambda: (mu.lock(), mu.unlock()))
        until_waiting(w)
        held = row_of(w).held_by
        cond.signal()
        mu.unlock()
        g.join(), w.join()
        return row, held

    row, held = gort.run(main)
    assert row.wait_reason == "sync.Cond.Wait" and re.fullmatch(f"Cond {A}", row.waits_for[0])
    assert held == 1


# --- since when, from where


def test_a_wait_knows_when_it_began():
    def main():
        ch = gort.Chan()
        before = time.monotonic()
        g = gort.go(ch.recv)
        until_waiting(g)
        first = g.wait_since
        gort.sleep(0.05)
        row = row_of(g)
        again = g.wait_since
        ch.close()
        g.join()
        now = time.monotonic()
        assert first <= now
        assert again == first
        assert 0.04 <= row.waiting_for <= now - first
        assert g.wait_since is None
        return before - first

    early = []
    for _ in range(10):  # to 10 ms, if sysmon can keep the time: not while the machine stalls it
        early.append(gort.run(main))
        if early[-1] <= 0.1:
            return
    pytest.fail(f"seconds before the beginning: {early}")


def test_a_second_wait_has_its_own_beginning():
    def main():
        ch = gort.Chan()
        g = gort.go(lambda: (ch.recv(), ch.recv()))
        until_waiting(g)
        first = g.wait_since
        gort.sleep(0.1)
        ch.send(1)
        until_waiting(g)
        second = g.wait_since
        ch.close()
        g.join()
        return second - first

    apart = []
    for _ in range(10):  # as above
        apart.append(gort.run(main))
        if apart[-1] >= 0.05:
            return
    pytest.fail(f"seconds from the first to the second: {apart}")


def test_state_has_the_creation_site_and_the_stack_of_parked_goroutines():
    ch = gort.Chan()

    def waits_here():
        ch.recv()

    row = seen_waiting(waits_here, ch.close, row_of)
    assert re.fullmatch(r".*test_dumps.py:\d+", row.created_at)
    assert row.stack.splitlines()[0].endswith("waits_here(...)")
    assert {g.stack for g in gort.run(lambda: sched.state(stacks=False)).goroutines} == {""}


def test_a_dump_names_what_is_waited_for_under_the_header():
    ch = gort.Chan(name="work")
    dump = seen_waiting(ch.recv, ch.close, lambda g: (g.stack(), runtime.stack(all=True)))
    for text in dump:
        assert re.search(rf'^goroutine \d+ \[chan receive\]:\nwaiting for chan {A} "work" \(len 0, cap 0\)\ncreated by ', text, re.M)


# --- deadlock


def in_a_process_of_its_own(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


DEADLOCK = """
import gort

def locks(mine, other):
    with mine:
        both.done()
        both.wait()
        with other:
            pass

both = gort.WaitGroup()
def main():
    a, b = gort.Mutex(), gort.Mutex()
    both.add(2)
    gort.go(locks, a, b)
    gort.go(locks, b, a)
    gort.select(gort.Chan(name="left"), gort.Chan(name="right"))
gort.run(main)
"""


def test_a_deadlock_that_nobody_catches_is_reported_as_go_does_with_who_holds_what():
    done = in_a_process_of_its_own(DEADLOCK)
    assert done.returncode == 1
    report = done.stderr[done.stderr.rindex("gort.errors.Deadlock:") :]
    assert report.startswith("gort.errors.Deadlock: all goroutines are asleep - deadlock!\n\ngoroutine 1 [select, locked to thread]:\nwaiting for ")
    assert '"left" (len 0, cap 0), recv chan' in report or '"right" (len 0, cap 0), recv chan' in report
    waits = re.findall(rf"^goroutine (\d+) \[sync.Mutex.Lock\]:\nwaiting for Mutex {A}, held by goroutine (\d+)\nlocks\(\.\.\.\)\n", report, re.M)
    assert len(waits) == 2 and waits[0] == waits[1][::-1]
    assert report.count("created by main in goroutine 1") == 2


def test_a_deadlock_of_many_goroutines_shows_a_hundred_and_keeps_all():
    error = gort.Deadlock("dead", "\n\n".join(f"goroutine {i} [chan receive]:\n" for i in range(150)))
    assert error.goroutines.count("goroutine ") == 150
    (note,) = error.__notes__
    assert note.count("[chan receive]") == 100 and "elided" in note
    copied = pickle.loads(pickle.dumps(error))
    assert (copied.goroutines, copied.__notes__) == (error.goroutines, error.__notes__)
    assert not hasattr(gort.Deadlock("dead"), "__notes__")


def test_a_run_that_only_foreign_threads_could_wake_is_possibly_deadlocked():
    seen = []

    def foreign():
        deadline = time.monotonic() + 30
        while not (state := sched.state()).deadlock and time.monotonic() < deadline:
            time.sleep(0.001)
        seen.append((state.deadlock, "possibly deadlocked" in repr(state), "possibly deadlocked" in state._repr_html_()))
        ch.close()

    def main():
        threads[0].start()
        gort.go(other.recv)
        ch.recv()
        seen.append(sched.state().deadlock)
        other.close()

    ch, other = gort.Chan(), gort.Chan()
    threads = [threading.Thread(target=foreign)]
    gort.run(main)
    threads[0].join()
    assert seen[0] == ("possibly deadlocked", True, True)
    assert seen[1] == ""


@pytest.mark.parametrize(
    "alive", [lambda: gort.sleep(0.2), lambda: time.sleep(0.2), lambda: [gort.gosched() for _ in range(100_000)]], ids=["sleeps", "blocks", "runs"]
)
def test_a_run_in_which_somebody_sleeps_blocks_or_runs_is_not(alive):
    seen = []

    def foreign():
        while not done:
            seen.append(sched.state(stacks=False).deadlock)
            time.sleep(0.005)

    def main():
        thread.start()
        while len(seen) < 5:  # it may come late
            gort.go(alive).join()
        done.append(1)

    done = []
    thread = threading.Thread(target=foreign)
    gort.run(main)
    thread.join()
    assert set(seen) == {""}


def test_outside_a_run_nothing_is_possibly_deadlocked():
    ch = gort.Chan()
    g = gort.go(ch.recv)
    for _ in range(5000):
        if g.status == "waiting":
            break
        time.sleep(0.001)
    deadlock = sched.state().deadlock
    ch.close()
    g.join()
    assert deadlock == ""
