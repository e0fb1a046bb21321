"""gort.sync.check: every kind of lock fault is reported with both stacks, and nothing that is none."""

from __future__ import annotations

import copy
import gc
import itertools
import math
import os
import re
import subprocess
import sys
import threading
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gort
from gort import sync
from interpreter import FREE_THREADED

pytestmark = pytest.mark.lock_faults


@pytest.fixture
def checking():
    """The check, quiet and without patience: what waits long enough to be looked at is reported."""
    with sync.check(hook=lambda fault: None, patience=0) as found:
        yield found


def unnumbered(text: str) -> str:
    """Goroutines as G1, G2, ... in the order in which the text names them."""
    names: dict[str, str] = {}
    return re.sub(r"(?<=goroutine )\d+", lambda m: names.setdefault(m[0], f"G{len(names) + 1}"), text)


def one(checking: sync.check) -> sync.LockFault:
    (fault,) = checking.faults
    return fault


def functions(stack: sync.LockStack) -> list[str]:
    return [frame.function for frame in stack.frames]


def run_until(checking: sync.check, *waiting: gort.Goroutine) -> None:
    while any(g.status != "waiting" for g in waiting):
        gort.gosched()
    checking.look()


def nest(*locks) -> None:
    for lock in locks:
        lock.lock()
    for lock in reversed(locks):
        lock.unlock()


# --- orders


def a_then_b(a, b):
    with a:
        with b:
            pass


def b_then_a(a, b):
    b.lock()
    a.lock()
    a.unlock()
    b.unlock()


def test_two_mutexes_in_both_orders(checking):
    a, b = gort.Mutex(), gort.Mutex()

    def main():
        gort.go(a_then_b, a, b).join()
        gort.go(b_then_a, a, b).join()

    gort.run(main)
    fault = one(checking)
    assert fault.kind == "order"
    assert unnumbered(fault.text) == (
        "lock order: goroutine G1 locks Mutex 1 while it holds Mutex 2; goroutine G2 has locked Mutex 2 while it held Mutex 1"
    )
    assert len(fault.goroutines) == 2
    assert {lock.address for lock in fault.locks} == {id(a), id(b)}
    assert [stack.what for stack in fault.stacks] == ["locks Mutex 1", "took Mutex 2", "locked Mutex 2", "took Mutex 1"]
    here, taken, there, there_taken = fault.stacks
    assert functions(here)[0] == functions(taken)[0] == "b_then_a"
    assert functions(there)[0] == functions(there_taken)[0] == "a_then_b"
    first = b_then_a.__code__.co_firstlineno
    assert (taken.frames[0].line, here.frames[0].line) == (first + 1, first + 2)
    assert here.frames[0].file == __file__


def test_a_fault_is_printed_with_all_stacks(checking):
    a, b = gort.Mutex(), gort.Mutex()
    a_then_b(a, b)
    b_then_a(a, b)
    text = unnumbered(str(one(checking)))
    line = b_then_a.__code__.co_firstlineno
    assert text.startswith(
        "lock order: goroutine G1 locks Mutex 1 while it holds Mutex 2; goroutine G1 has locked Mutex 2 while it held Mutex 1\n\n"
        f"goroutine G1 locks Mutex 1:\nb_then_a(...)\n\t{__file__}:{line + 2}\n"
    )
    assert f"\n\ngoroutine G1 took Mutex 2:\nb_then_a(...)\n\t{__file__}:{line + 1}\n" in text
    assert "\n\ngoroutine G1 locked Mutex 2:\na_then_b(...)\n" in text


def test_a_cycle_of_three_is_reported_when_it_closes(checking):
    locks = [gort.Mutex() for _ in range(3)]
    nest(locks[0], locks[1])
    nest(locks[1], locks[2])
    assert checking.faults == []
    nest(locks[2], locks[0])
    assert unnumbered(one(checking).text) == (
        "lock order: goroutine G1 locks Mutex 1 while it holds Mutex 3; goroutine G1 has locked Mutex 2 while it held Mutex 1; "
        "goroutine G1 has locked Mutex 3 while it held Mutex 2"
    )


def test_every_kind_of_lock_is_in_the_same_graph(checking):
    mutex, rwmutex, spin = gort.Mutex(), gort.RWMutex(), sync.SpinLock()
    nest(mutex, rwmutex)
    nest(rwmutex.rlocker(), spin)
    nest(spin, mutex)
    assert unnumbered(one(checking).text) == (
        "lock order: goroutine G1 locks Mutex 1 while it holds SpinLock 3; goroutine G1 has locked RWMutex 2 for writing while it held Mutex 1; "
        "goroutine G1 has locked SpinLock 3 while it held RWMutex 2 for reading"
    )
    assert [lock.type for lock in one(checking).locks] == ["Mutex", "SpinLock", "RWMutex"]


def test_a_pair_is_reported_once(checking):
    a, b = gort.Mutex(), gort.Mutex()
    for _ in range(3):
        nest(a, b)
        nest(b, a)
    one(checking)


def test_waiting_for_a_condition_wants_its_lock_again(checking):
    """Who waits holding another lock gets them in the other order."""
    outer, inner = gort.Mutex(), gort.Mutex()
    cond = sync.Cond(outer)

    def waiter():
        with outer, inner:
            cond.wait()

    def main():
        g = gort.go(waiter)
        while g.status != "waiting":
            gort.gosched()
        fault = one(checking)
        cond.signal()
        g.join()
        return fault

    assert unnumbered(gort.run(main).text) == (
        "lock order: goroutine G1 locks Mutex 1 while it holds Mutex 2; goroutine G1 has locked Mutex 2 while it held Mutex 1"
    )


def test_the_order_of_threads_counts_as_that_of_goroutines(checking):
    a, b = gort.Mutex(), gort.Mutex()
    for order in [(a, b), (b, a)]:
        thread = threading.Thread(target=nest, args=order)
        thread.start()
        thread.join()
    assert len(set(one(checking).goroutines)) == 2


# --- what is no fault


def test_a_consistent_order_is_none(checking):
    locks = [gort.Mutex() for _ in range(6)]

    def worker(k):
        for chosen in itertools.combinations(range(6), 3):
            nest(*(locks[i] for i in chosen))
            gort.gosched()

    def main():
        for g in [gort.go(worker, k) for k in range(4)]:
            g.join()

    gort.run(main)
    assert checking.look() == []


def test_both_orders_behind_a_gate_are_none(checking):
    gate, a, b = gort.Mutex(), gort.Mutex(), gort.Mutex()
    nest(gate, a, b)
    nest(gate, b, a)
    assert checking.faults == []
    nest(b, a)
    nest(a, b)
    one(checking)


def test_readers_in_both_orders_are_none_until_somebody_writes(checking):
    a, b = gort.RWMutex(), gort.RWMutex()
    nest(a.rlocker(), b.rlocker())
    nest(b.rlocker(), a.rlocker())
    assert checking.faults == []
    nest(a)
    nest(b)
    assert one(checking).kind == "order"


def test_trying_is_no_order_but_holding_what_was_tried_is(checking):
    a, b = gort.Mutex(), gort.Mutex()
    nest(a, b)
    b.lock()
    assert a.try_lock()
    a.unlock()
    b.unlock()
    assert checking.faults == []
    assert b.try_lock()
    nest(a)
    b.unlock()
    one(checking)


@pytest.mark.go("sync/mutex_test.go TestMutex")
def test_a_mutex_that_another_goroutine_unlocks_is_held_by_nobody(checking):
    signal, other = gort.Mutex(), gort.Mutex()

    def main():
        signal.lock()
        g = gort.go(signal.unlock)
        signal.lock()  # no re-entry: the other one unlocks it
        g.join()
        nest(other)
        gort.go(signal.unlock).join()
        nest(other, signal)

    gort.run(main)
    assert checking.look() == []


def test_a_goroutine_may_end_while_it_holds(checking):
    a, b = gort.Mutex(), gort.Mutex()

    def main():
        gort.go(a.lock).join()
        nest(b)
        a.unlock()
        nest(b, a)

    gort.run(main)
    assert checking.look() == []


def test_a_lock_at_the_address_of_another_is_another(checking):
    b = gort.Mutex()
    for _ in range(100):
        a = gort.Mutex()
        nest(a, b)
        del a
        a = gort.Mutex()  # mostly at the same address
        nest(b, a)
        del a
    assert checking.faults == []


def test_locks_that_died_are_forgotten_while_held_too(checking):
    b = gort.Mutex()
    for _ in range(100):
        a = gort.Mutex()
        a.lock()
        nest(b)
        del a
    assert checking.faults == []


def test_locks_that_were_held_before_the_check_begins_may_be_unlocked():
    a, b = gort.Mutex(), gort.RWMutex()
    with sync.check(False):
        a.lock(), b.rlock()
        with sync.check(hook=lambda fault: None, patience=0) as checking:
            a.unlock(), b.runlock()
            nest(a, b)
            a.lock()
        a.unlock()
        with sync.check(hook=lambda fault: None, patience=0) as later:
            nest(b, a)
            nest(a)
    assert (checking.faults, later.faults) == ([], [])


def test_a_condition_gives_its_lock_up_while_it_waits(checking):
    lock, other = gort.Mutex(), gort.Mutex()
    cond = sync.Cond(lock)
    ready: list[int] = []

    def waiter():
        with lock:
            cond.wait_for(lambda: ready)

    def main():
        g = gort.go(waiter)
        while g.status != "waiting":
            gort.gosched()
        with other, lock:
            ready.append(1)
            cond.signal()
        g.join()

    gort.run(main)
    assert checking.look() == []


def test_misuse_has_the_texts_of_go_and_is_no_fault_of_ours(checking):
    with pytest.raises(gort.FatalError, match="^sync: unlock of unlocked mutex$"):
        gort.Mutex().unlock()
    with pytest.raises(gort.FatalError, match="^sync: RUnlock of unlocked RWMutex$"):
        gort.RWMutex().runlock()
    with pytest.raises(gort.FatalError, match="^sync: Unlock of unlocked RWMutex$"):
        gort.RWMutex().unlock()
    assert checking.faults == []


# --- waits


def test_reentry_in_a_deadlocked_run_is_reported_with_it(checking):
    mu = gort.Mutex()

    def inner():
        with mu:
            pass

    def main():
        with mu:
            inner()

    with pytest.raises(gort.Deadlock):
        gort.run(main)
    fault = one(checking)
    assert (fault.kind, unnumbered(fault.text)) == ("re-entry", "re-entry: goroutine G1 locks Mutex 1, which it holds")
    wants, took = fault.stacks
    assert (wants.what, functions(wants)[0].rpartition(".")[2]) == ("waits for Mutex 1", "inner")
    assert (took.what, functions(took)[0].rpartition(".")[2]) == ("took Mutex 1", "main")


def test_a_deadlock_needs_no_patience():
    mu = gort.Mutex()
    with sync.check(hook=lambda fault: None, patience=math.inf) as checking:
        with pytest.raises(gort.Deadlock):
            gort.run(lambda: (mu.lock(), mu.lock()))
    assert one(checking).kind == "re-entry"


@pytest.mark.parametrize(
    "first, second, kind, text",
    [
        ("lock", "lock", "re-entry", "re-entry: goroutine G1 locks RWMutex 1 for writing, which it holds for writing"),
        ("lock", "rlock", "re-entry", "re-entry: goroutine G1 locks RWMutex 1 for reading, which it holds for writing"),
        ("rlock", "lock", "upgrade", "upgrade: goroutine G1 locks RWMutex 1 for writing, which it holds for reading"),
    ],
)
def test_locking_an_rwmutex_twice_while_others_run(checking, first, second, kind, text):
    mu = gort.RWMutex()

    def twice():
        getattr(mu, first)()
        getattr(mu, second)()

    gort.run(lambda: run_until(checking, gort.go(twice)))
    fault = one(checking)
    assert (fault.kind, unnumbered(fault.text)) == (kind, text)
    assert [functions(stack)[0].rpartition(".")[2] for stack in fault.stacks] == ["twice", "twice"]
    assert fault.stacks[0].frames[0].line == fault.stacks[1].frames[0].line + 1


def test_reading_again_behind_a_waiting_writer(checking):
    mu = gort.RWMutex()
    go_on = gort.Chan()

    def reader():
        mu.rlock()
        go_on.recv()
        mu.rlock()

    def writer():
        mu.lock()

    def main():
        r = gort.go(reader)
        while r.status != "waiting":
            gort.gosched()
        w = gort.go(writer)
        run_until(checking, w)
        assert checking.faults == []
        go_on.send(None)
        while not (r.status == "waiting" and r.wait_reason == "sync.RWMutex.RLock"):
            gort.gosched()
        checking.look()
        return r.id, w.id

    ids = gort.run(main)
    fault = one(checking)
    assert fault.kind == "recursive read"
    assert fault.goroutines == ids
    assert unnumbered(fault.text) == "recursive read: goroutine G1 locks RWMutex 1 for reading again behind goroutine G2, which waits to write"
    assert [functions(stack)[0].rpartition(".")[2] for stack in fault.stacks] == ["reader", "reader", "writer"]


def test_reading_twice_without_a_writer_is_no_fault(checking):
    mu = gort.RWMutex()
    mu.rlock(), mu.rlock(), mu.runlock(), mu.runlock()
    assert checking.look() == []


def test_goroutines_that_wait_for_each_other_while_others_run(checking):
    a, b = gort.Mutex(), gort.Mutex()
    has_b = gort.Chan()

    def one_way():
        with a:
            has_b.recv()
            with b:
                pass

    def other_way():
        with b:
            has_b.send(None)
            with a:
                pass

    def main():
        g, h = gort.go(one_way), gort.go(other_way)
        while not (g.wait_reason == h.wait_reason == "sync.Mutex.Lock"):
            gort.gosched()
        checking.look()

    gort.run(main)
    order, deadlock = checking.faults[:2]
    assert order.kind == "order"
    assert deadlock.kind == "deadlock"
    assert re.fullmatch(
        r"deadlock: goroutine (\d+) waits for Mutex (\d) and holds Mutex (\d); goroutine (?!\1)(\d+) waits for Mutex \3 and holds Mutex \2",
        deadlock.text,
    )
    assert {functions(stack)[0].rpartition(".")[2] for stack in deadlock.stacks} == {"one_way", "other_way"}


@pytest.mark.skipif(FREE_THREADED, reason="free-threaded builds do not say how many references an object has: nobody is leaked")
def test_a_goroutine_that_can_never_be_woken_while_others_run(checking):
    def waits_for_ever():
        mine = gort.Chan()
        mine.recv()

    def main():
        g = gort.go(waits_for_ever)
        run_until(checking, g)
        checking.look()
        return g.id

    ident = gort.run(main)
    fault = one(checking)
    assert (fault.kind, fault.goroutines) == ("deadlock", (ident,))
    assert fault.text == f"goroutine {ident} waits for ever: chan receive"
    assert any("waits_for_ever" in function for function in functions(fault.stacks[0]))


def test_others_that_use_locks_notice_a_wait_that_lasts_too_long(checking):
    mu, other = gort.Mutex(), gort.Mutex()

    def main():
        gort.go(lambda: (mu.lock(), mu.lock()))
        while not checking.faults:
            nest(other)
            gort.gosched()

    gort.run(main)
    assert one(checking).kind == "re-entry"


def test_a_plain_thread_that_locks_twice_is_named(checking):
    mu = gort.Mutex()

    def twice():
        mu.lock()
        mu.lock()

    thread = threading.Thread(target=twice)
    thread.start()
    while not checking.look():
        gort.gosched()
    mu.unlock()
    thread.join()
    assert one(checking).kind == "re-entry"


# --- copies


@pytest.mark.parametrize("kind", [gort.Mutex, gort.RWMutex, sync.SpinLock])
@pytest.mark.go("cmd/vet/testdata/copylock/copylock.go")
def test_copying_what_has_a_lock_in_it(checking, kind):
    class Account:
        def __init__(self):
            self.lock = kind()

    def copies(account):
        copy.deepcopy(account)

    with pytest.raises(TypeError, match=f"^cannot pickle or copy gort.*{kind.__name__} objects$"):
        copies(Account())
    fault = one(checking)
    assert (fault.kind, fault.text) == ("copy", f"copies lock value: gort.{kind.__name__}")
    assert any(name.endswith("copies") for name in functions(fault.stacks[0]))


# --- hooks and switches


def test_what_the_hook_raises_leaves_lock_and_nothing_is_taken():
    a, b = gort.Mutex(), gort.Mutex()

    class Fault(Exception):
        pass

    def hook(fault):
        raise Fault(fault.kind)

    with sync.check(hook=hook):
        nest(a, b)
        with b:
            with pytest.raises(Fault, match="order"):
                a.lock()
            assert not a.state.locked
    assert not b.state.locked


def test_a_hook_may_lock_and_park_without_being_checked():
    a, b, mine = gort.Mutex(), gort.Mutex(), gort.Mutex()
    seen = []

    def hook(fault):
        with mine:
            gort.sleep(0.0001)
            nest(b if fault else a)
        seen.append(fault.kind)

    with sync.check(hook=hook):

        def main():
            nest(mine, a, b)
            c = gort.Mutex()
            nest(b, c)
            nest(c, a)

        gort.run(main)
    assert seen == ["order"]


def test_by_default_a_fault_is_a_warning_at_the_line_that_made_it():
    a, b = gort.Mutex(), gort.Mutex()
    with sync.check(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        a_then_b(a, b)
        b_then_a(a, b)
    (warning,) = caught
    assert warning.category is sync.LockFaultWarning
    assert (warning.filename, warning.lineno) == (__file__, b_then_a.__code__.co_firstlineno + 2)
    assert str(warning.message).startswith("lock order: ")


def test_the_hook_of_the_module_can_be_replaced(monkeypatch):
    faults = []
    monkeypatch.setattr(sync, "faulthook", faults.append)
    a, b = gort.Mutex(), gort.Mutex()
    with sync.check():
        nest(a, b)
        nest(b, a)
    assert [fault.kind for fault in faults] == ["order"]


def test_checks_nest_and_the_end_of_one_brings_back_what_was_before():
    a, b, c = gort.Mutex(), gort.Mutex(), gort.Mutex()
    with sync.check(hook=lambda fault: None) as outer:
        nest(a, b)
        with sync.check(hook=lambda fault: None) as inner:
            nest(b, a)
        nest(a, c)
        with sync.check(False):
            nest(c, a)
        assert repr(inner) == "<check with 1 fault>"
        assert repr(outer) == "<check with 0 faults>"
        nest(c, a)  # it begins anew
        assert outer.faults == []
        nest(a, c)
        assert len(outer.faults) == 1


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        ({"hook": 3}, TypeError, "check: hook must be callable or None, got int"),
        ({"patience": -1}, ValueError, "check: patience must be at least 0, got -1"),
        ({"patience": math.nan}, ValueError, "check: patience must be a number of seconds, got nan"),
        ({"patience": "long"}, TypeError, "check: patience must be"),
    ],
)
def test_wrong_arguments_are_named_and_change_nothing(checking, arguments, error, text):
    with pytest.raises(error, match=f"^{text}"):
        sync.check(False, **arguments)
    a, b = gort.Mutex(), gort.Mutex()
    nest(a, b)
    nest(b, a)
    one(checking)


def test_the_environment_switches_it_on():
    code = "import gort\na, b = gort.Mutex(), gort.Mutex()\nwith a, b: pass\nwith b, a: pass\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, env={**os.environ, "GORT_DEBUG": "lockcheck=1"})
    assert done.returncode == 0
    assert "<string>:4: LockFaultWarning: lock order: goroutine " in done.stderr


def test_it_keeps_no_lock_alive(checking, collected):
    import weakref

    a, b = gort.Mutex(), gort.Mutex()
    nest(a, b)
    nest(b, a)
    gone = [weakref.ref(a), weakref.ref(b)]
    del a, b
    collected()
    assert [ref() for ref in gone] == [None, None]


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_is_checked_anew(checking):
    a, b = gort.Mutex(), gort.Mutex()
    nest(a, b)
    pid = os.fork()
    if pid == 0:
        try:
            nest(b, a)
            nest(a, b)
            os._exit(len(checking.faults))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


# --- random programs against a model

PROGRAMS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("WRT")), min_size=1, max_size=4, unique_by=lambda step: step[0]), max_size=8)


def has_cycle(programs) -> bool:
    """Whether some cycle of orders has no gate: by trying every one."""
    edges, written = [], set()
    for steps in programs:
        held: dict[int, bool] = {}  # lock -> for writing
        for lock, how in steps:
            if how == "W":
                written.add(lock)
            if how != "T":
                edges += [(a, mode, lock, how == "W", dict(held)) for a, mode in held.items()]
            held[lock] = how != "R"

    def excluded(x, y):
        return any(lock in y[4] and (x[4][lock] or y[4][lock]) for lock in x[4])

    def extend(path):
        last, first = path[-1], path[0]
        for edge in edges:
            if edge[0] != last[2] or not (last[3] or edge[1] or edge[0] in written):
                continue
            if any(excluded(edge, other) for other in path) or any(edge[0] == other[0] for other in path):
                continue
            if edge[2] == first[0]:
                if edge[3] or first[1] or first[0] in written:
                    return True
            elif extend([*path, edge]):
                return True
        return False

    return any(extend([edge]) for edge in edges)


@given(PROGRAMS)
@settings(max_examples=200, deadline=None)
def test_random_programs_have_a_fault_exactly_if_their_orders_have_a_cycle(programs):
    locks = [gort.RWMutex() for _ in range(5)]

    def play(steps):
        for lock, how in steps:
            if how == "T":
                assert locks[lock].try_lock()
            else:
                (locks[lock].lock if how == "W" else locks[lock].rlock)()
        for lock, how in steps:
            (locks[lock].runlock if how == "R" else locks[lock].unlock)()

    with sync.check(hook=lambda fault: None) as checking:
        for steps in programs:
            gort.go(play, steps).join()
    assert bool(checking.faults) == has_cycle(programs)
    assert all(fault.kind == "order" for fault in checking.faults)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), min_size=2, max_size=4), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_random_programs_that_deadlock_were_reported(programs, seed):
    """With a seed goroutines change in the middle: a program that does deadlock has shown a cycle before."""
    locks = [gort.Mutex() for _ in range(4)]

    def play(steps):
        for lock in steps:
            locks[lock].lock()
            gort.gosched()
        for lock in steps:
            locks[lock].unlock()

    def main():
        for g in [gort.go(play, steps) for steps in programs]:
            g.join()

    with sync.check(hook=lambda fault: None, patience=math.inf) as checking:
        try:
            gort.run(main, seed=seed)
        except gort.Deadlock:
            assert {"order", "deadlock"} <= {fault.kind for fault in checking.faults}
        else:
            assert "deadlock" not in {fault.kind for fault in checking.faults}
    gc.collect()


def test_the_default_hook_takes_nothing_but_faults():
    with pytest.raises(TypeError, match=r"^faulthook: fault must be a LockFault, got float$"):
        sync.faulthook(1.5)
