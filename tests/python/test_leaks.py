"""runtime.goroutines(leaked=True): goroutines that nobody can wake any more are named, and none that somebody can."""

from __future__ import annotations

import functools
import sys
import types
import weakref

import pytest

import gort
from gort import runtime
from interpreter import FREE_THREADED

pytestmark = pytest.mark.skipif(FREE_THREADED, reason="free-threaded builds do not say how many references an object has: nobody is leaked")

stacks_own = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="from 3.14 on it is not known which values on an evaluation stack are references: fewer goroutines are found"
)


def settle(*goroutines: gort.Goroutine) -> None:
    for g in goroutines:
        while g.status != "waiting":
            assert g.status != "dead"
            gort.gosched()


def leaked_among(start) -> tuple[list[str], list[str]]:
    """The names of the goroutines that start() has started and kept, those that are leaked and the others. The run ends them."""

    def main():
        goroutines = start()
        for name, g in goroutines.items():
            g.name = name
        settle(*goroutines.values())
        leaked = runtime.goroutines(leaked=True)
        assert {g.id for g in leaked} <= {g.id for g in runtime.goroutines()}
        named = {g.id for g in leaked}
        return sorted(n for n, g in goroutines.items() if g.id in named), sorted(n for n, g in goroutines.items() if g.id not in named)

    return gort.run(main)


def receives(ch):
    ch.recv()


def sends(ch):
    ch.send(1)


def iterates(ch):
    for _ in ch:
        pass


def locks_twice(mu):
    mu.lock()
    mu.lock()


def has_its_own():
    mine = gort.Chan()
    mine.recv()


def receives_in_a_with(ch):
    with gort.Mutex():
        ch.recv()


def receives_deep_inside(ch):
    for _ in [1]:
        try:
            with gort.Mutex(), gort.Mutex():
                for _ in [2]:
                    with gort.Mutex():
                        ch.recv()
        finally:
            pass


def receives_in_a_comprehension(ch):
    with gort.Mutex():
        return [ch.recv() for _ in range(1)]


def iterates_in_a_with(ch):
    with gort.Mutex():
        for _ in ch:
            pass


def receives_through_a_view(ch):
    view = ch.receiver()
    view.recv()


def receives_through_a_view_of_the_moment(ch):
    ch.receiver().recv()


def sends_through_a_view(ch):
    view = ch.sender()
    with gort.Mutex():
        view.send(1)


def receives_in_a_closure(ch):
    def inner():
        ch.recv()

    inner()


def receives_in_a_generator(ch):
    def values():
        receives(ch)
        yield

    with gort.Mutex():
        for _ in values():
            pass


def receives_in_a_handler(ch):
    try:
        raise ValueError
    except ValueError:
        with gort.Mutex():
            ch.recv()


def has_looked_at_its_locals(ch):
    locals()
    with gort.Mutex():
        ch.recv()


BODIES = [
    receives, sends, iterates, receives_in_a_with, receives_deep_inside, receives_in_a_comprehension, iterates_in_a_with, receives_through_a_view,
    receives_through_a_view_of_the_moment, sends_through_a_view, receives_in_a_closure, receives_in_a_generator, receives_in_a_handler,
    has_looked_at_its_locals, None,
]  # fmt: skip


def name_of(body) -> str:
    return body.__name__ if body else "no frame"


# --- what is found


def test_a_goroutine_whose_channel_nobody_has_is_leaked():
    assert leaked_among(lambda: {"leaked": gort.go(gort.Chan().recv)}) == (["leaked"], [])


def test_a_goroutine_whose_channel_somebody_has_is_not():
    def start():
        start.ch = gort.Chan()
        return {"live": gort.go(start.ch.recv)}

    assert leaked_among(start) == ([], ["live"])
    del start.ch


@pytest.mark.parametrize("body", [receives, sends, pytest.param(iterates, marks=stacks_own)], ids=lambda f: f.__name__)
def test_a_channel_that_is_an_argument_of_the_leaked_alone_is_no_way_to_it(body):
    assert leaked_among(lambda: {"leaked": gort.go(body, gort.Chan())}) == (["leaked"], [])


@pytest.mark.parametrize("body", [receives, sends, iterates], ids=lambda f: f.__name__)
def test_a_channel_that_is_an_argument_and_in_a_local_of_a_running_function_is(body):
    def start():
        ch = kept.setdefault("ch", gort.Chan())
        return {"live": gort.go(body, ch)}

    kept = {}
    assert leaked_among(start) == ([], ["live"])
    kept.clear()


def test_a_channel_that_is_a_local_of_the_leaked_alone_is_no_way_to_it():
    assert leaked_among(lambda: {"leaked": gort.go(has_its_own)}) == (["leaked"], [])


@stacks_own
def test_a_closure_of_a_function_that_has_returned_is_no_way():
    def start():
        ch = gort.Chan()
        return {"leaked": gort.go(lambda: ch.recv())}

    assert leaked_among(start) == (["leaked"], [])


def test_a_closure_of_a_function_that_still_runs_is_a_way():
    def main():
        ch = gort.Chan()
        g = gort.go(lambda: ch.recv())
        settle(g)
        leaked = runtime.goroutines(leaked=True)
        ch.close()
        return leaked

    assert gort.run(main) == []


def test_two_that_hold_what_the_other_waits_for_are_both_leaked():
    def exchange(mine, other):
        mine.recv()
        other.send(1)

    def start():
        a, b = gort.Chan(), gort.Chan()
        return {"a": gort.go(exchange, a, b), "b": gort.go(exchange, b, a)}

    assert leaked_among(start) == (["a", "b"], [])


def test_who_waits_for_the_leaked_is_leaked_and_who_waits_for_the_live_is_not():
    def start():
        start.ch = gort.Chan()
        dead, live = gort.go(gort.Chan().recv), gort.go(start.ch.recv)
        return {"dead": dead, "live": live, "joins dead": gort.go(dead.join), "joins live": gort.go(live.join)}

    assert leaked_among(start) == (["dead", "joins dead"], ["joins live", "live"])
    del start.ch


def test_a_live_goroutine_makes_live_what_it_can_reach():
    def forwards(from_, to):
        to.send(from_.recv())

    def start():
        start.first = gort.Chan()
        second, third = gort.Chan(), gort.Chan()
        return {
            "one": gort.go(forwards, start.first, second),
            "two": gort.go(forwards, second, third),
            "three": gort.go(receives, third),
            "alone": gort.go(receives, gort.Chan()),
        }

    assert leaked_among(start) == (["alone"], ["one", "three", "two"])
    del start.first


def test_a_mutex_locked_twice_by_its_only_owner_is_leaked():
    assert leaked_among(lambda: {"leaked": gort.go(locks_twice, gort.Mutex())}) == (["leaked"], [])


@pytest.mark.parametrize("first", ["lock", "rlock"])
def test_an_rwmutex_locked_twice_by_its_only_owner_is_leaked(first):
    def locks(mu):
        getattr(mu, first)()
        mu.lock()

    assert leaked_among(lambda: {"leaked": gort.go(locks, gort.RWMutex())}) == (["leaked"], [])


def test_who_waits_for_readers_that_may_still_go_is_not_leaked():
    mu = gort.RWMutex()

    def start():
        writer = gort.go(mu.lock)
        settle(writer)
        return {"waits": writer, "reads": gort.go(mu.rlocker().lock)}

    mu.rlock()
    assert leaked_among(start) == ([], ["reads", "waits"])


def test_a_wait_group_that_nobody_counts_down():
    def start():
        group = gort.WaitGroup()
        group.add(1)
        return {"leaked": gort.go(group.wait)}

    assert leaked_among(start) == (["leaked"], [])


def test_waits_that_nothing_ends_are_leaked():
    def start():
        return {"nil": gort.go(gort.nil_chan.recv), "select": gort.go(gort.select), "nils": gort.go(gort.select, None, None)}

    assert leaked_among(start) == (["nil", "nils", "select"], [])


def test_a_select_is_leaked_only_if_all_its_channels_are():
    def chooses(a, b):
        gort.select(a, b)

    def start():
        start.ch = gort.Chan()
        return {"dead": gort.go(chooses, gort.Chan(), gort.Chan()), "live": gort.go(chooses, gort.Chan(), start.ch)}

    assert leaked_among(start) == (["dead"], ["live"])
    del start.ch


@stacks_own
@pytest.mark.parametrize("body", [b for b in BODIES if b not in (None, receives_through_a_view_of_the_moment, receives_in_a_generator)], ids=name_of)
def test_wherever_the_leaked_is_in_its_function_it_is_found(body):
    assert leaked_among(lambda: {"leaked": gort.go(body, gort.Chan())}) == (["leaked"], [])


@stacks_own
@pytest.mark.parametrize("view", ["sender", "receiver"])
def test_a_channel_of_which_the_leaked_have_views_only_is_no_way_to_them(view):
    def start():
        ch = gort.Chan()
        if view == "receiver":
            return {"a": gort.go(receives, ch.receiver()), "b": gort.go(receives, ch.receiver()), "c": gort.go(receives, ch)}
        return {"a": gort.go(sends, ch.sender()), "b": gort.go(sends, ch.sender()), "c": gort.go(sends, ch)}

    assert leaked_among(start) == (["a", "b", "c"], [])


@stacks_own
def test_a_select_among_views_is_leaked():
    assert leaked_among(lambda: {"leaked": gort.go(lambda a, b: gort.select(a, b), gort.Chan().receiver(), gort.Chan())}) == (["leaked"], [])


def holds(mutex, ch):
    with mutex:
        ch.recv()


def enters(mutex):
    with mutex:
        pass


def enters_inside(mutex):
    for _ in [1]:
        with gort.Mutex():
            try:
                with mutex:
                    pass
            finally:
                pass


def enters_what_it_holds(mutex):
    with mutex:
        with mutex:
            pass


def locks(mutex):
    mutex.lock()


def waiters_for(mutex, *waiters):
    """Those who wait for the mutex of one who holds it in a with block and waits for its own channel."""
    holder = gort.go(holds, mutex, gort.Chan())
    settle(holder)
    return {"holder": holder, **{w.__name__: gort.go(w, mutex) for w in waiters}}


@stacks_own
def test_who_waits_for_the_mutex_that_a_leaked_one_is_inside_of_is_leaked():
    assert leaked_among(lambda: waiters_for(gort.Mutex(), enters, enters_inside, locks)) == (["enters", "enters_inside", "holder", "locks"], [])


@stacks_own
def test_who_enters_a_mutex_that_it_is_inside_of_is_leaked():
    assert leaked_among(lambda: {"leaked": gort.go(enters_what_it_holds, gort.Mutex())}) == (["leaked"], [])


# --- what is never named


class Enters:
    """A context manager that is a mutex by other means: its class has the methods of one."""

    def __init__(self, mutex):
        self.manager = type("Manager", (), {"__enter__": mutex.__enter__, "__exit__": mutex.__exit__})()

    def __call__(self, mutex):
        with self.manager:
            pass


MUTEX_WAYS = {
    "itself": lambda mu: mu,
    "a list": lambda mu: [mu],
    "unlock": lambda mu: mu.unlock,
    "__exit__": lambda mu: mu.__exit__,
    "two of them": lambda mu: (mu.__enter__, mu.__exit__),
    "a closure": lambda mu: lambda: mu.unlock(),
    "a partial": lambda mu: functools.partial(gort.Mutex.unlock, mu),
    "a weak reference": weakref.ref,
    "an attribute": lambda mu: types.SimpleNamespace(mu=mu),
}


@pytest.mark.parametrize("way", MUTEX_WAYS)
def test_whoever_reaches_the_mutex_makes_its_waiters_live(way):
    def start():
        mutex = gort.Mutex()
        start.way = MUTEX_WAYS[way](mutex)
        return waiters_for(mutex, enters, enters_inside, locks)

    leaked, others = leaked_among(start)
    assert {"enters", "enters_inside", "locks"} <= set(others)
    assert set(leaked) <= {"holder"}   # nobody has its channel
    del start.way


@pytest.mark.parametrize("kept", ["the manager", "its class", "nothing"])
def test_a_manager_that_has_the_methods_of_a_mutex_is_seen_through(kept):
    def start():
        mutex = gort.Mutex()
        enters_it = Enters(mutex)
        start.kept = {"the manager": enters_it.manager, "its class": type(enters_it.manager), "nothing": None}[kept]
        enters_it.__name__ = "enters_it"
        return waiters_for(mutex, enters_it, enters)

    leaked, others = leaked_among(start)
    if kept != "nothing":
        assert {"enters_it", "enters"} <= set(others)
    del start.kept


def test_a_mutex_whose_holder_is_live_keeps_its_waiters_live():
    def start():
        start.ch = gort.Chan()
        mutex = gort.Mutex()
        holder = gort.go(holds, mutex, start.ch)
        settle(holder)
        return {"holder": holder, "waiter": gort.go(enters, mutex), "locks": gort.go(locks, mutex)}

    assert leaked_among(start) == ([], ["holder", "locks", "waiter"])
    del start.ch


@pytest.mark.parametrize("kept", ["sender", "receiver"])
@pytest.mark.parametrize("by", ["sender", "receiver", "itself"])
def test_whoever_has_a_view_makes_the_waiters_live(kept, by):
    def start():
        ch = gort.Chan()
        start.kept = getattr(ch, kept)()
        mine = ch if by == "itself" else getattr(ch, by)()
        return {"a": gort.go(sends if by == "sender" else receives, mine), "b": gort.go(sends if by == "sender" else receives, mine)}

    assert leaked_among(start) == ([], ["a", "b"])
    del start.kept


class Box:
    pass


def through_attribute(ch):
    box = Box()
    box.ch = ch
    return box


WAYS = {
    "a list": lambda ch: [ch],
    "a dict in a tuple": lambda ch: ({"k": ch},),
    "an attribute": through_attribute,
    "a bound method": lambda ch: ch.close,
    "a partial": lambda ch: functools.partial(print, ch),
    "a closure": lambda ch: lambda: ch,
    "a default": lambda ch: eval("lambda c=ch: c", {"ch": ch}),
    "a generator": lambda ch: (c for c in [ch]),
    "a weak reference": weakref.ref,
    "a sender": lambda ch: ch.sender(),
    "a case": gort.recv,
    "a buffer of another channel": lambda ch: (other := gort.Chan(1), other.send(ch)),
    "an exception": lambda ch: ValueError(ch),
    "a view of a dict": lambda ch: {1: ch}.values(),
    "a class": lambda ch: type("C", (), {"ch": ch}),
    "a module": lambda ch: vars(module := types.ModuleType("m")).update(ch=ch) or module,
}


@pytest.mark.parametrize("body", BODIES, ids=name_of)
@pytest.mark.parametrize("way", WAYS)
def test_whoever_reaches_the_channel_makes_its_waiter_live(way, body):
    def start():
        ch = gort.Chan()
        start.way = WAYS[way](ch)
        return {"live": gort.go(body, ch) if body else gort.go(ch.recv)}

    assert leaked_among(start) == ([], ["live"])
    del start.way


def test_a_running_or_sleeping_goroutine_keeps_what_its_frame_has():
    def keeps(ch):
        gort.sleep(30)   # the run ends it
        ch.close()

    def main():
        ch = gort.Chan()
        keeper, waiter = gort.go(keeps, ch), gort.go(receives, ch)
        del ch
        settle(keeper, waiter)
        return runtime.goroutines(leaked=True)

    assert gort.run(main) == []


@pytest.mark.parametrize("way", ["a method", "an iterator", "a view's method", "a view"])
def test_a_way_to_the_channel_that_the_waiter_was_sent_and_the_sender_has_kept_is_one(way):
    """Nothing in the waiter's frame shows the thing that it has called: it came out of a channel onto the evaluation stack."""

    def calls(q, ch):
        q.recv()()

    def takes(q, ch):
        next(q.recv())

    def receives_from(q, ch):
        q.recv().recv()

    def start():
        ch, q = gort.Chan(), gort.Chan(1)
        kept, body = {
            "a method": (ch.recv, calls),
            "an iterator": (iter(ch.recv, None), takes),
            "a view's method": (ch.receiver().recv, calls),
            "a view": (ch.receiver(), receives_from),
        }[way]
        q.send(kept)
        start.kept = kept
        return {"live": gort.go(body, q, ch)}

    assert leaked_among(start) == ([], ["live"])
    del start.kept


def test_a_goroutine_that_has_not_begun_keeps_its_arguments():
    def main():
        ch = gort.Chan()
        waiter = gort.go(receives, ch)
        settle(waiter)
        gort.go(ch.close)
        del ch
        leaked = runtime.goroutines(leaked=True)
        waiter.join()
        return leaked

    assert gort.run(main) == []


def test_waits_with_a_time_limit_timers_and_contexts_are_never_named():
    def start():
        start.cancel = gort.context.with_cancel(gort.context.background())
        return {
            "timeout": gort.go(lambda: gort.Chan().recv(timeout=30)),
            "select timeout": gort.go(lambda: gort.select(gort.Chan(), gort.Chan(), timeout=30)),
            "sleep": gort.go(gort.sleep, 30),
            "timer": gort.go(gort.after(30).recv),
            "context": gort.go(start.cancel[0].done().recv),
        }

    leaked, others = leaked_among(start)
    assert leaked == [] and len(others) == 5
    del start.cancel


def test_goroutine_1_and_plain_threads_are_never_named():
    def main():
        found = []

        def looks():
            while gort.num_goroutine() > 0 and not found:
                if all(g.status == "waiting" for g in runtime.goroutines() if g.id == 1):
                    found.append(runtime.goroutines(leaked=True))
                gort.gosched()
            done.close()

        done = gort.Chan()
        gort.go(looks)
        done.recv()
        return found

    assert gort.run(main) == [[]]


def test_looking_changes_nothing():
    def main():
        ch = gort.Chan()
        gs = [gort.go(receives, ch) for _ in range(3)]
        settle(*gs)
        before = sys.getrefcount(ch)
        for _ in range(5):
            runtime.goroutines(leaked=True)
        after = sys.getrefcount(ch)
        ch.close()
        for g in gs:
            g.join()
        return before, after

    before, after = gort.run(main)
    assert before == after


def test_a_function_that_has_looked_at_its_locals_is_still_found():
    def body(ch):
        locals()
        ch.recv()

    assert leaked_among(lambda: {"leaked": gort.go(body, gort.Chan())}) == (["leaked"], [])


def test_a_function_whose_locals_somebody_keeps_is_live():
    def body(ch):
        kept.append(locals())
        ch.recv()

    kept = []
    assert leaked_among(lambda: {"live": gort.go(body, gort.Chan())}) == ([], ["live"])


def test_many_at_once():
    def start():
        start.ch = gort.Chan()
        return {f"{kind}{i}": gort.go(gort.Chan().recv if kind == "dead" else start.ch.recv) for i in range(200) for kind in ("dead", "live")}

    leaked, others = leaked_among(start)
    assert len(leaked) == len(others) == 200 and all(name.startswith("dead") for name in leaked)
    del start.ch
