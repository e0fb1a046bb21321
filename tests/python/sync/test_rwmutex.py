"""RWMutex: readers together, writers alone, and nobody kept out for ever; Go's fatal errors."""

from __future__ import annotations

import copy
import random
import re
import threading
import weakref

import pytest

import gort
from gort import Chan, Cond, FatalError, RWMutex, WaitGroup, contention, sched, sync

FREE = (False, 0)


# --- who is in together


@pytest.mark.go("sync/rwmutex_test.go TestParallelReaders")
@pytest.mark.parametrize(("readers", "procs"), [(1, 4), (3, 4), (4, 2)])
def test_readers_have_it_at_the_same_time(readers, procs):
    def main():
        mu, locked, unlock, done = RWMutex(), Chan(), Chan(), Chan()

        def reads():
            mu.rlock()
            locked.send(None)
            unlock.recv()
            mu.runlock()
            done.send(None)

        for _ in range(readers):
            gort.go(reads)
        for _ in range(readers):
            locked.recv()
        state = mu.state
        for _ in range(readers):
            unlock.send(None)
        for _ in range(readers):
            done.recv()
        return state, mu.state

    assert gort.run(main, procs=procs) == ((False, readers), FREE)


@pytest.mark.go("sync/rwmutex_test.go TestRWMutex")
def test_what_can_be_had_at_once(inside):
    def body():
        mu = RWMutex()
        mu.lock()
        assert (mu.try_lock(), mu.try_rlock()) == (False, False)
        mu.unlock()
        assert mu.try_lock()
        mu.unlock()
        assert (mu.try_rlock(), mu.try_rlock(), mu.try_lock()) == (True, True, False)
        mu.runlock()
        mu.runlock()
        return mu.state

    assert inside(body) == FREE


def hammer(mu, start, readers, rounds, writers=2):
    """Starts readers and writers by start(fn, *args). Who finds somebody there that may not be there says so in the list that is returned."""
    reading, writing, wrong = [False] * readers, [False] * writers, []

    def reads(n):
        for _ in range(rounds):
            mu.rlock()
            reading[n] = True
            if any(writing):
                wrong.append(f"reader {n} beside a writer")
            gort.gosched()
            reading[n] = False
            mu.runlock()

    def writes(n):
        for _ in range(rounds):
            with mu:
                if any(reading) or any(writing):
                    wrong.append(f"writer {n} is not alone")
                writing[n] = True
                gort.gosched()
                writing[n] = False

    for n in range(writers):
        start(writes, n)
    for n in range(readers):
        start(reads, n)
    return wrong


@pytest.mark.go("sync/rwmutex_test.go TestRWMutex HammerRWMutex")
@pytest.mark.parametrize("procs", [1, 4, 10])
@pytest.mark.parametrize("readers", [1, 3, 5, 10])
def test_writers_are_alone_under_load(readers, procs):
    def main():
        mu, wg = RWMutex(), WaitGroup()
        wrong = hammer(mu, wg.go, readers, rounds=30)
        wg.wait()
        return wrong, mu.state

    assert gort.run(main, procs=procs) == ([], FREE)


def test_writers_are_alone_in_every_order():
    def main():
        mu, wg = RWMutex(), WaitGroup()
        wrong = hammer(mu, wg.go, readers=3, rounds=4)
        wg.wait()
        return wrong, mu.state

    for seed in range(1, 41):
        assert gort.run(main, seed=seed) == ([], FREE)


def test_goroutines_and_threads_share_one():
    mu, threads = RWMutex(), []

    def main():
        wg = WaitGroup()

        def start(fn, n):
            if n % 2:
                wg.go(fn, n)
            else:
                threads.append(threading.Thread(target=fn, args=(n,)))
                threads[-1].start()

        wrong = hammer(mu, start, readers=4, rounds=50)
        wg.wait()
        for t in threads:
            t.join()
        return wrong

    assert gort.run(main) == []
    assert mu.state == FREE


# --- turns


def test_a_waiting_writer_stops_new_readers_and_they_go_before_the_next_writer(until_waiting):
    def main():
        mu, order, goroutines = RWMutex(), [], []

        def start(name, lock, unlock):
            goroutines.append(gort.go(lambda: (lock(), order.append(name), unlock())))
            until_waiting(goroutines[-1])

        mu.rlock()
        start("writer 1", mu.lock, mu.unlock)
        assert (mu.state, mu.try_rlock()) == ((True, 1), False)
        start("reader", mu.rlock, mu.runlock)
        start("writer 2", mu.lock, mu.unlock)
        reasons = [g.wait_reason for g in goroutines]
        mu.runlock()
        for g in goroutines:
            g.join()
        return order, reasons, mu.state

    reasons = ["sync.RWMutex.Lock", "sync.RWMutex.RLock", "sync.Mutex.Lock"]
    assert gort.run(main) == (["writer 1", "reader", "writer 2"], reasons, FREE)


def test_all_readers_that_a_writer_kept_out_come_in_together(until_waiting):
    def main():
        mu, inside_now, go_on, wg = RWMutex(), Chan(5), Chan(), WaitGroup()

        def reads():
            with mu.rlocker():
                inside_now.send(None)
                go_on.recv_ok()

        mu.lock()
        readers = [gort.go(reads) for _ in range(5)]
        for g in readers:
            until_waiting(g)
        assert (mu.state, len(inside_now)) == ((True, 5), 0)
        mu.unlock()
        for _ in readers:
            inside_now.recv()
        state = mu.state
        go_on.close()
        for g in readers:
            g.join()
        return state, mu.state, wg.wait()

    assert gort.run(main) == ((False, 5), FREE, None)


def test_another_goroutine_may_unlock(inside):
    def body():
        mu = RWMutex()
        mu.lock()
        gort.go(mu.unlock)
        mu.rlock()
        gort.go(mu.runlock)
        mu.lock()
        return mu.state

    assert inside(body) == (True, 0)


# --- its two faces


@pytest.mark.go("sync/rwmutex_test.go TestRLocker")
def test_an_rlocker_locks_for_reading():
    def main():
        mu, wlocked, rlocked = RWMutex(), Chan(1), Chan(1)
        rl, n = mu.rlocker(), 10

        def other():
            for _ in range(n):
                rl.lock()
                rl.lock()
                rlocked.send(None)
                mu.lock()
                wlocked.send(None)

        g = gort.go(other)
        for _ in range(n):
            rlocked.recv()
            rl.unlock()
            assert wlocked.try_recv() is None, "it does not lock for reading"
            rl.unlock()
            wlocked.recv()
            assert rlocked.try_recv() is None, "it does not respect the writer"
            mu.unlock()
        g.join()
        return mu.state

    assert gort.run(main) == FREE


def test_with_locks_for_writing_and_with_rlocker_for_reading():
    mu = RWMutex()
    with pytest.raises(KeyError):
        with mu as same:
            assert same is mu and mu.state == (True, 0)
            raise KeyError
    rl = mu.rlocker()
    with pytest.raises(KeyError):
        with rl as same:
            assert same is rl and mu.state == (False, 1)
            with mu.rlocker():
                assert mu.state == sync.RWMutexState((False, 2))
            raise KeyError
    assert mu.state == FREE


def test_repr_says_who_is_there(until_waiting):
    mu, said = RWMutex(), []

    def main():
        said.append(repr(mu))
        mu.rlock()
        said.append(repr(mu))
        mu.rlock()
        said.append(repr(mu.rlocker()))
        writer = gort.go(lambda: (mu.lock(), said.append(repr(mu)), mu.unlock()))
        until_waiting(writer)
        said.append(repr(mu))
        mu.runlock()
        mu.runlock()
        writer.join()

    gort.run(main)
    assert said == [
        "<RWMutex unlocked>", "<RWMutex 1 reader>", "<RLocker of <RWMutex 2 readers>>", "<RWMutex writer, 2 readers>", "<RWMutex writer>",
    ]  # fmt: skip


def test_an_rlocker_keeps_its_mutex_alive():
    mu = RWMutex()
    seen, rl = weakref.ref(mu), mu.rlocker()
    del mu
    with rl:
        assert seen().state == (False, 1)
    seen_rl = weakref.ref(rl)
    del rl
    assert (seen(), seen_rl()) == (None, None)


@pytest.mark.parametrize("side", ["writer", "reader"])
def test_a_condition_gives_the_lock_back_while_it_waits(inside, side):
    def body():
        mu, items = RWMutex(), []
        lock = mu if side == "writer" else mu.rlocker()
        cond = Cond(lock)

        def produce():
            with mu:
                items.append("item")
                cond.broadcast()

        with lock:
            gort.go(produce)
            item = cond.wait_for(lambda: items and items[0])
            held = mu.state
        return item, held, mu.state

    assert inside(body) == ("item", (True, 0) if side == "writer" else (False, 1), FREE)


@pytest.mark.parametrize("side", ["writer", "reader"])
def test_the_lock_of_a_condition_is_held_when_the_end_of_a_run_ends_the_wait(until_waiting, side):
    mu, seen = RWMutex(), []
    lock = mu if side == "writer" else mu.rlocker()
    cond = Cond(lock)

    def waits():
        with lock:
            try:
                cond.wait()
            finally:
                seen.append(mu.state)

    gort.run(lambda: until_waiting(gort.go(waits)))
    assert seen == [(True, 0) if side == "writer" else (False, 1)]
    assert mu.state == FREE


@pytest.mark.parametrize("side", ["writer", "reader"])
def test_a_condition_without_its_lock_is_fatal(inside, side):
    def body():
        mu = RWMutex()
        cond = Cond(mu if side == "writer" else mu.rlocker())
        with pytest.raises(FatalError) as error:
            cond.wait()
        return str(error.value), repr(cond), mu.state

    text = "sync: Unlock of unlocked RWMutex" if side == "writer" else "sync: RUnlock of unlocked RWMutex"
    assert inside(body) == (text, "<Cond 0 waiting>", FREE)


# --- waits that end in another way


@pytest.mark.parametrize(("held", "wanted"), [("lock", "rlock"), ("lock", "lock"), ("rlock", "lock")])
def test_the_end_of_a_run_ends_waits_and_leaves_the_lock_whole(until_waiting, held, wanted):
    mu, seen = RWMutex(), []

    def waits():
        try:
            getattr(mu, wanted)()
            seen.append("locked")
        finally:
            seen.append("ended")

    def main():
        getattr(mu, held)()
        until_waiting(gort.go(waits))

    gort.run(main)
    assert seen == ["ended"]
    mu.unlock() if held == "lock" else mu.runlock()
    assert mu.state == FREE
    assert mu.try_lock()


def test_readers_behind_a_writer_that_is_stopped_come_in(until_waiting):
    mu = RWMutex()

    def reads():
        with mu.rlocker():
            pass

    def main():
        until_waiting(gort.go(mu.lock))
        thread.start()
        while mu.state.readers < 2:
            gort.gosched()

    thread = threading.Thread(target=reads)  # which no run stops
    mu.rlock()
    gort.run(main)
    thread.join()
    assert mu.state == (False, 1)
    mu.runlock()


@pytest.mark.parametrize("program", ["lock lock", "lock rlock", "rlock lock"])
@pytest.mark.lock_faults
def test_who_waits_for_itself_is_a_deadlock(program):
    mu = RWMutex()
    with pytest.raises(gort.Deadlock):
        gort.run(lambda: [getattr(mu, step)() for step in program.split()])
    assert sum(mu.state) == 1


@pytest.mark.lock_faults
def test_a_reader_that_locks_again_behind_a_writer_is_a_deadlock(until_waiting):
    def main():
        mu = RWMutex()
        mu.rlock()
        until_waiting(gort.go(mu.lock))
        mu.rlock()

    with pytest.raises(gort.Deadlock):
        gort.run(main)


# --- misuse


MISUSE = {
    "unlock": "Unlock",
    "rlock unlock": "Unlock",
    "lock unlock unlock": "Unlock",
    "runlock": "RUnlock",
    "lock runlock": "RUnlock",
    "rlock runlock runlock": "RUnlock",
}


@pytest.mark.go("sync/mutex_test.go TestMutexMisuse")
@pytest.mark.parametrize("program", MISUSE)
def test_unlock_of_an_unlocked_one_is_fatal_and_changes_nothing(inside, program):
    def body():
        mu = RWMutex()
        *before, wrong = program.split()
        for step in before:
            getattr(mu, step)()
        state = mu.state
        with pytest.raises(FatalError) as error:
            getattr(mu, wrong)()
        assert mu.state == state
        return str(error.value)

    assert inside(body) == f"sync: {MISUSE[program]} of unlocked RWMutex"


@pytest.mark.lock_faults
def test_what_it_cannot_do_is_refused():
    mu = RWMutex()
    for call, text in [
        (lambda: RWMutex(1), "RWMutex: takes no arguments"),
        (lambda: copy.copy(mu), "cannot pickle or copy gort.RWMutex objects"),
        (lambda: copy.copy(mu.rlocker()), "cannot pickle or copy gort.RLocker objects"),
        (lambda: sync.RLocker(), "cannot create 'gort.RLocker' instances"),
    ]:
        with pytest.raises(TypeError) as error:
            call()
        assert str(error.value) == text
    assert mu.state == FREE


# --- to be seen


@pytest.mark.parametrize("lock", [RWMutex.lock, RWMutex.try_lock, RWMutex.__enter__], ids=["lock", "try_lock", "with"])
@pytest.mark.parametrize("wanted", ["lock", "rlock"])
def test_dumps_name_the_writer_that_has_it(until_waiting, lock, wanted):
    def main():
        mu, go_on = RWMutex(), Chan()
        holder = gort.go(lambda: (lock(mu), go_on.recv_ok(), mu.unlock()))
        while not mu.state.writer:
            gort.gosched()
        until_waiting(holder)
        waiter = gort.go(getattr(mu, wanted))
        until_waiting(waiter)
        row = next(g for g in sched.state().goroutines if g.id == waiter.id)
        go_on.close()
        waiter.join()
        return row.held_by == holder.id, row.waits_for[0]

    held, waits_for = gort.run(main)
    assert held
    assert re.fullmatch(("Mutex" if wanted == "lock" else "RWMutex") + " 0x[0-9a-f]+", waits_for)


def test_nobody_is_named_who_only_waits_for_it(until_waiting):
    def main():
        mu = RWMutex()
        with mu:
            pass
        mu.rlock()
        writer = gort.go(lambda: (mu.lock(), mu.unlock()))
        until_waiting(writer)
        reader = gort.go(lambda: (mu.rlock(), mu.runlock()))
        until_waiting(reader)
        held = {g.held_by for g in sched.state().goroutines}
        mu.runlock()
        writer.join(), reader.join()
        return held

    assert gort.run(main) == {None}


def test_waits_are_in_the_report_of_contention(until_waiting):
    def main():
        mu = RWMutex()
        with mu:
            reader = gort.go(lambda: (mu.rlock(), mu.runlock()))
            until_waiting(reader)
        reader.join()
        mu.rlock()
        writer = gort.go(lambda: (mu.lock(), mu.unlock()))
        until_waiting(writer)
        mu.runlock()
        writer.join()

    with contention.measure() as report:
        gort.run(main)
    assert {"sync.RWMutex.RLock", "sync.RWMutex.Lock"} <= {row.reason for row in report.rows}


# --- against a model


@pytest.mark.parametrize("seed", range(20))
def test_what_never_waits_follows_the_rules(seed):
    """Go's rules, for one caller: try_lock if nobody is in, try_rlock if no writer is; each unlock undoes one."""
    mu, chance = RWMutex(), random.Random(seed)
    writer, readers = False, 0
    for _ in range(500):
        step = chance.choice(["try_lock", "try_rlock", "unlock", "runlock"])
        if step == "try_lock":
            expected = not writer and not readers
            assert mu.try_lock() is expected
            writer = writer or expected
        elif step == "try_rlock":
            assert mu.try_rlock() is not writer
            readers += not writer
        elif step == "unlock" and writer:
            mu.unlock()
            writer = False
        elif step == "runlock" and readers:
            mu.runlock()
            readers -= 1
        assert mu.state == (writer, readers)
