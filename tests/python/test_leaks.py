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


# --- what is never named


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


@pytest.mark.parametrize("body", [receives, sends, iterates, None], ids=["receives", "sends", "iterates", "no frame"])
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


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="3.12 leaves the dict with the frame and shows nobody: it counts as somebody else's")
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
